//! Messages to a channel: defaults, limits, who sends, and what is refused.

use serde_json::{Value, json};
use telegram_sim::bot_api::{Fault, FaultAction};
use telegram_sim::world::{Member, MemberStatus};

use crate::common::app::{MESSAGES, TestApp, id_of};
use crate::common::eventually;
use crate::stage::{CHANNELS, channel, connect, set, via_bot, wait};

#[tokio::test]
async fn a_message_goes_out_in_order_and_says_who_sent_it() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let news = connect(&app, &bot, channel(&app, "News", &[&bot])).await;
    let mut messages = Vec::new();
    for n in 0..10 {
        messages.push(news.send(&app, &format!("{n}")).await);
    }
    app.until_all(&messages, "sent").await;
    assert_eq!(news.texts(&app), ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let sent = app.message(messages[3]).await;
    assert_eq!((&sent["route"], &sent["channel_id"]), (&json!("channel"), &json!(news.id)));
    assert_eq!((&sent["sender_id"], &sent["chat_id"]), (&json!(bot.id), &json!(news.chat)));
    assert_eq!(sent["attempt_list"][0]["sender_id"], json!(bot.id));
    let listed = app.user.list(&format!("{MESSAGES}?channel_id={}", news.id)).await;
    assert_eq!(listed.len(), 10);
    let metrics = app.user.get("/metrics").await.text;
    assert!(metrics.contains("telegram_messages_sent_total{type=\"channel\"}"), "{metrics}");
    eventually("channels are counted", async || {
        app.user.get("/metrics").await.text.contains("integrations_channels{status=\"active\"}")
    })
    .await;
}

#[tokio::test]
async fn settings_are_defaults_of_each_message() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = channel(&app, "News", &[&bot]);
    let settings = json!({ "silent": true, "footer": "<b>Us</b>", "footer_parse_mode": "HTML", "team": "press" });
    let body = json!({ "via": via_bot(&bot), "channel": chat, "settings": settings });
    let shown = app.user.post(CHANNELS, &body).await.ok(201);
    assert_eq!(shown["settings"], settings);
    let path = format!("{CHANNELS}/{}", id_of(&shown));
    let send = async |body: Value| id_of(&app.user.post(&format!("{path}/send"), &body).await.ok(202));
    let first = send(json!({ "text": "<i>one</i>", "parse_mode": "HTML" })).await;
    let loud = send(json!({ "text": "two", "silent": false })).await;
    app.until_all(&[first, loud], "sent").await;
    let message = app.message(first).await["content"].take();
    assert_eq!((&message["text"], &message["silent"]), (&json!("one\n\nUs"), &json!(true)));
    assert_eq!(message["entities"][1], json!({ "type": "bold", "offset": 5, "length": 2 }));
    assert_eq!(app.message(loud).await["content"]["silent"], Value::Null);
    let arrived = app.arrivals(&bot, chat);
    assert_eq!(arrived[0].body.text, "one\n\nUs");
    let long = app.user.post(&format!("{path}/send"), &json!({ "text": "x".repeat(4093) })).await;
    assert_eq!(long.problem(400, "invalid_body")["errors"][0]["pointer"], "/text");
    app.user.patch(&path, &json!({ "settings": { "footer": null, "silent": null } })).await.ok(200);
    let plain = send(json!({ "text": "x".repeat(4093) })).await;
    app.until(plain, "sent").await;
}

#[tokio::test]
async fn a_key_makes_a_send_happen_once() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let news = connect(&app, &bot, channel(&app, "News", &[&bot])).await;
    let body = json!({ "text": "once" });
    let first = app.user.post_with_key(&news.send_path(), "k", &body).await.ok(202);
    let again = app.user.post_with_key(&news.send_path(), "k", &body).await.ok(202);
    assert_eq!(first, again);
    app.user
        .post_with_key(&news.send_path(), "k", &json!({ "text": "other" }))
        .await
        .problem(422, "idempotency_key_reused");
    app.until(id_of(&first), "sent").await;
    assert_eq!(app.arrived("once"), 1);
    // Also when nobody could send any more.
    app.user.patch(&news.path(), &json!({ "is_active": false })).await.ok(200);
    assert_eq!(app.user.post_with_key(&news.send_path(), "k", &body).await.ok(202), first);
    app.user.post(&news.send_path(), &body).await.problem(409, "channel_inactive");
}

#[tokio::test]
async fn what_is_queued_waits_while_the_channel_is_off_and_is_cancelled_with_it() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let news = connect(&app, &bot, channel(&app, "News", &[&bot])).await;
    app.sim.add_fault(wait(1).times(1));
    let (first, second) = (news.send(&app, "first").await, news.send(&app, "second").await);
    app.until_refused(first).await;
    app.user.patch(&news.path(), &json!({ "is_active": false })).await.ok(200);
    let waiting = app.message(first).await;
    assert_eq!((&waiting["status"], &waiting["sender_id"]), (&json!("queued"), &Value::Null), "{waiting}");
    assert_eq!(waiting["error_code"], "no_sender");
    app.user.patch(&news.path(), &json!({ "is_active": true })).await.ok(200);
    app.until_all(&[first, second], "sent").await;
    assert_eq!(news.texts(&app), ["first", "second"]);
    app.user.patch(&news.path(), &json!({ "is_active": false })).await.ok(200);
    let later = json!({ "text": "never", "scheduled_at": chrono::Utc::now() + chrono::TimeDelta::hours(1) });
    app.user.post(&news.send_path(), &later).await.problem(409, "channel_inactive");
    app.user.patch(&news.path(), &json!({ "is_active": true })).await.ok(200);
    let scheduled = news.send_body(&app, &later).await;
    app.user.delete(&news.path()).await;
    let cancelled = app.message(scheduled).await;
    assert_eq!((&cancelled["status"], &cancelled["error_code"]), (&json!("cancelled"), &json!("channel_deleted")));
    app.user.get(&news.path()).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_message_of_a_channel_is_sent_again_by_whoever_may_then() {
    let app = TestApp::start().await;
    let bots = [app.connect_bot().await, app.connect_bot().await];
    let news = connect(&app, &bots[0], channel(&app, "News", &[&bots[0], &bots[1]])).await;
    let unclear = FaultAction::Http { status: 502, body: String::new(), taken: false };
    app.sim.add_fault(Fault::new(unclear).method("sendMessage").times(1));
    let lost = news.send(&app, "lost").await;
    app.until(lost, "unknown").await;
    news.add(&app, &via_bot(&bots[1])).await;
    app.user.delete(&bots[0].path()).await;
    app.change(lost, "resend").await;
    let sent = app.until(lost, "sent").await;
    assert_eq!(sent["sender_id"], json!(bots[1].id));
    assert_eq!(app.arrived("lost"), 1);
}

#[tokio::test]
async fn what_would_become_of_a_message_is_told_without_storing_it() {
    let app = TestApp::start().await;
    let bots = [app.connect_bot().await, app.connect_bot().await];
    let news = connect(&app, &bots[0], channel(&app, "News", &[&bots[0], &bots[1]])).await;
    let try_channel = async |body: Value| app.user.post(&format!("{}?dry_run=true", news.send_path()), &body).await;
    let run = try_channel(json!({ "text": "<b>x</b>", "parse_mode": "HTML" })).await.ok(200);
    assert_eq!((&run["ok"], &run["problems"], &run["waits"]), (&json!(true), &json!([]), &json!([])), "{run}");
    assert_eq!((&run["sender"]["id"], &run["chat"]["title"]), (&json!(bots[0].id), &json!("News")));
    assert_eq!((&run["rights"]["post"], &run["standing"]), (&json!(true), &json!("administrator")));
    assert_eq!((&run["content"]["text"], run["expected_at"].is_string()), (&json!("x"), true));
    let later = chrono::Utc::now() + chrono::TimeDelta::hours(2);
    let run = try_channel(json!({ "text": "x", "scheduled_at": later })).await.ok(200);
    assert_eq!(run["waits"][0]["reason"], "scheduled", "{run}");
    try_channel(json!({ "text": "" })).await.problem(400, "invalid_body");
    for bot in &bots {
        set(&app, news.chat, bot.telegram_id, Member::new(MemberStatus::Kicked));
    }
    let run = try_channel(json!({ "text": "x" })).await.ok(200);
    assert_eq!((&run["ok"], &run["problems"][0]["code"]), (&json!(false), &json!("kicked_from_chat")), "{run}");
    assert_eq!(run["expected_at"], Value::Null);
    news.check(&app).await;
    let run = try_channel(json!({ "text": "x" })).await.ok(200);
    assert_eq!((&run["sender"], &run["problems"][0]["code"]), (&Value::Null, &json!("no_sender")), "{run}");

    let try_bot = async |body: Value| app.user.post(&format!("{}?dry_run=true", bots[0].send_path()), &body).await;
    let person = app.person(&bots[0]);
    let run = try_bot(json!({ "chat_id": person, "text": "x" })).await.ok(200);
    assert_eq!((&run["ok"], &run["chat"]["type"]), (&json!(true), &json!("person")), "{run}");
    let run = try_bot(json!({ "chat_id": "@nobody_has_this", "text": "x" })).await.ok(200);
    assert_eq!(run["problems"][0]["code"], "chat_not_found");
    app.user.patch(&bots[0].path(), &json!({ "is_active": false })).await.ok(200);
    let run = try_bot(json!({ "chat_id": person, "text": "x" })).await.ok(200);
    assert_eq!(run["problems"][0]["code"], "sender_inactive");
    assert!(app.user.list(MESSAGES).await.is_empty());
    assert_eq!(app.calls("sendMessage"), 0);
}
