//! Broadcasts to channels: each through whichever of its senders can.

use reqwest::Method;
use serde_json::{Value, json};
use telegram_sim::world::{Member, MemberStatus};

use crate::common::app::{BROADCASTS, TestApp, id_of};
use crate::common::eventually;
use crate::stage::{Connected, channel, connect, set, via_bot};

/// Sends a broadcast; answers with its path.
async fn send(app: &TestApp, message: Value, targets: &[(&Connected, &str)]) -> String {
    let targets: Vec<Value> = targets
        .iter()
        .map(|(channel, name)| json!({ "channel_id": channel.id, "variables": { "name": name } }))
        .collect();
    let body = json!({ "message": message, "targets": targets });
    format!("{BROADCASTS}/{}", id_of(&app.user.post(BROADCASTS, &body).await.ok(202)))
}

/// Sends a broadcast and waits for its end.
async fn broadcast(app: &TestApp, message: Value, targets: &[(&Connected, &str)]) -> Value {
    let path = send(app, message, targets).await;
    eventually("the broadcast is done", async || app.user.get(&path).await.ok(200)["status"] == "done").await;
    app.user.get(&path).await.ok(200)
}

#[tokio::test]
async fn a_broadcast_goes_to_channels_with_what_they_want() {
    let app = TestApp::start().await;
    let (one, two) = (app.connect_bot().await, app.connect_bot().await);
    let first = connect(&app, &one, channel(&app, "First", &[&one])).await;
    let second = connect(&app, &one, channel(&app, "Second", &[&one, &two])).await;
    second.add(&app, &via_bot(&two)).await;
    let settings = json!({ "settings": { "footer": "from us", "silent": true } });
    app.user.send(app.user.request(Method::PATCH, &first.path()).json(&settings)).await.ok(200);

    let message = json!({ "text": "<b>News</b> for {{name}}", "parse_mode": "HTML" });
    let done = broadcast(&app, message.clone(), &[(&first, "first"), (&second, "second")]).await;
    assert_eq!(done["counts"], json!({ "sent": 2 }));
    assert_eq!(first.texts(&app), ["News for first\n\nfrom us"]);
    assert_eq!(second.texts(&app), ["News for second"]);

    // The first bot may not post any more: the other one does, and what nobody can send waits, as any message to that channel.
    for chat in [first.chat, second.chat] {
        set(&app, chat, one.telegram_id, Member::new(MemberStatus::Member));
    }
    let path = send(&app, message, &[(&first, "again"), (&second, "again")]).await;
    let counts = async || app.user.get(&path).await.ok(200)["counts"].clone();
    eventually("one is sent", async || counts().await == json!({ "sent": 1, "queued": 1 })).await;
    let is_shown = async || first.now(&app).await["status"] == "no_sender";
    eventually("it is shown that nobody can", is_shown).await;
    app.user.post(&format!("{path}/cancel"), &json!({})).await.ok(200);
    let has_ended = async || app.user.get(&path).await.ok(200)["finished_at"].is_string();
    eventually("the broadcast has ended", has_ended).await;
    assert_eq!(counts().await, json!({ "sent": 1, "cancelled": 1 }));
    assert_eq!(second.arrived(&app).pop().unwrap(), (two.telegram_id, "News for again".to_owned()));
    assert_eq!(first.texts(&app).len(), 1);
}

#[tokio::test]
async fn corrections_and_recalls_reach_channels() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let news = connect(&app, &bot, channel(&app, "News", &[&bot])).await;
    let settings = json!({ "settings": { "footer": "from us" } });
    app.user.send(app.user.request(Method::PATCH, &news.path()).json(&settings)).await.ok(200);
    let done = broadcast(&app, json!({ "text": "wrong, {{name}}" }), &[(&news, "all")]).await;
    let path = format!("{BROADCASTS}/{}", id_of(&done));
    let followed_up = async || app.user.get(&path).await.ok(200)["follow_up"].is_null();
    let correction = json!({ "message": { "text": "right, {{name}}" } });
    app.user.send(app.user.request(Method::PATCH, &path).json(&correction)).await.ok(200);
    eventually("it is corrected", followed_up).await;
    assert_eq!(news.texts(&app), ["right, all\n\nfrom us"]);
    app.user.post(&format!("{path}/recall"), &json!({})).await.ok(200);
    eventually("it is recalled", followed_up).await;
    assert_eq!(app.user.get(&path).await.ok(200)["follow_up_counts"], json!({ "done": 1 }));
    let place = Some(telegram_sim::world::Place::Chat(news.chat));
    let left = telegram_sim::world::Filter { place, ..Default::default() };
    assert_eq!(app.sim.world().lock().messages().find(&left).count(), 0);
}
