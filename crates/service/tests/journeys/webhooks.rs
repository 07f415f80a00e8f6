//! Updates of bots that Telegram delivers.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use telegram_sim::world::ChatKind;
use uuid::Uuid;

use crate::common::app::{Bot, TestApp};
use crate::common::client::Answer;
use crate::common::eventually;
use crate::told::{Door, chat, each_kind_is_told, shown, take_by, texts_until, until_state, write};

const SECRET: &str = "X-Telegram-Bot-Api-Secret-Token";

/// The service behind a door, with a bot whose webhook is set.
async fn hooked(settings: &[(&str, &str)]) -> (TestApp, Door, Bot) {
    let mut door = Door::new();
    let own = [("INTEGRATIONS_HTTP__PUBLIC_URL", door.url.as_str()), ("INTEGRATIONS_TELEGRAM__BOT_UPDATES", "webhook")];
    let app = TestApp::start_with(&[&own, settings].concat()).await;
    door.open(&app);
    let bot = app.connect_bot().await;
    until_state(&app, &bot, "webhook").await;
    secret(&app, &bot);
    (app, door, bot)
}

/// The secret that Telegram knows.
fn secret(app: &TestApp, bot: &Bot) -> String {
    let (url, secret) = app.sim.api().webhook(bot.telegram_id).expect("it is set");
    assert!(url.ends_with(&path(bot.id)), "{url}");
    app.secret(secret.expect("it has a secret"))
}

fn path(id: impl std::fmt::Display) -> String {
    format!("/api/integrations/telegram/webhooks/{id}")
}

async fn deliver(app: &TestApp, path: &str, secret: Option<&str>, body: impl Into<reqwest::Body>) -> Answer {
    let nobody = app.bearer(None);
    let request = nobody.request(Method::POST, path).body(body);
    let request = secret.into_iter().fold(request, |request, secret| request.header(SECRET, secret));
    nobody.send(request).await
}

fn message(id: i64, text: &str) -> String {
    json!({ "update_id": id, "message": { "message_id": 1, "date": 1, "chat": { "id": 5 }, "text": text } }).to_string()
}

async fn stored(app: &TestApp, text: &str) -> i64 {
    let count = "SELECT count(*) FROM events WHERE type = 'bot.message_new' AND data->>'text' = $1";
    sqlx::query_scalar(count).bind(text).fetch_one(&app.pool).await.unwrap()
}

#[tokio::test]
async fn each_kind_is_told_in_its_order() {
    let (app, _door, bot) = hooked(&[]).await;
    each_kind_is_told(&app, &bot).await;
    let info = app.telegram(&bot.token, "getWebhookInfo", &json!({})).await;
    assert_eq!((&info["pending_update_count"], &info["max_connections"]), (&json!(0), &json!(8)));
}

#[tokio::test]
async fn only_telegram_may_deliver() {
    let (app, _door, bot) = hooked(&[]).await;
    let right = secret(&app, &bot);
    let other = app.connect_bot().await;
    until_state(&app, &other, "webhook").await;
    let wrong = format!("{}{}", if right.starts_with('A') { "B" } else { "A" }, &right[1..]);
    let mut answers = Vec::new();
    for (path, secret) in [
        (path(bot.id), None),
        (path(bot.id), Some("")),
        (path(bot.id), Some("x")),
        (path(bot.id), Some(wrong.as_str())),
        (path(bot.id), Some(&right[..42])),
        (path(other.id), Some(right.as_str())),
        (path(Uuid::now_v7()), Some(right.as_str())),
        (path("x"), Some(right.as_str())),
        (path("%00"), Some(right.as_str())),
    ] {
        // Whatever the body is: it is not looked at.
        for body in [message(1, "forged"), "{".to_owned()] {
            let mut problem = deliver(&app, &path, secret, body).await.problem(401, "unauthorized");
            problem["request_id"].take();
            problem["instance"].take();
            answers.push(problem);
        }
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "they tell nothing apart");
    // Also a good token does not help.
    let request = app.admin().request(Method::POST, &path(bot.id)).json(&json!({ "update_id": 1 }));
    app.user.send(request).await.problem(401, "unauthorized");
    assert_eq!(stored(&app, "forged").await, 0);
    assert_eq!(deliver(&app, &path(bot.id), Some(&right), message(1, "real")).await.status, 200);
    assert_eq!(stored(&app, "real").await, 1);
}

#[tokio::test]
async fn an_update_that_comes_again_is_stored_once() {
    let (mut app, _door, bot) = hooked(&[]).await;
    let (right, path) = (secret(&app, &bot), path(bot.id));
    let all = join_all((0..20).map(|_| deliver(&app, &path, Some(&right), message(700, "once")))).await;
    assert!(all.iter().all(|answer| answer.status == 200));
    app.stop_service().await;
    app.start_service().await;
    assert_eq!(deliver(&app, &path, Some(&right), message(700, "once")).await.status, 200);
    assert_eq!(deliver(&app, &path, Some(&right), message(699, "late")).await.status, 200);
    assert_eq!((stored(&app, "once").await, stored(&app, "late").await), (1, 1));
}

#[tokio::test]
async fn what_is_no_update_is_refused_and_what_cannot_be_read_is_kept_out() {
    let (app, _door, bot) = hooked(&[]).await;
    let (right, path) = (secret(&app, &bot), path(bot.id));
    for bad in [&b""[..], b"{", b"[]", b"7", b"{\"message\":{}}", b"{\"update_id\":\"x\"}", b"\xff\xfe"] {
        deliver(&app, &path, Some(&right), bad).await.problem(400, "invalid_body");
    }
    deliver(&app, &path, Some(&right), vec![b' '; 1_048_577]).await.problem(413, "payload_too_large");
    let mut events = app.events(&app.user, "?type=bot.update", None).await;
    for (n, odd) in
        [r#""message":{"text":"\ud800"}"#, r#""poll":1e999"#, r#""of_tomorrow":{"a":"\u0000"}"#].into_iter().enumerate()
    {
        assert_eq!(
            deliver(&app, &path, Some(&right), format!("{{\"update_id\":{n},{odd}}}")).await.status,
            200,
            "{odd}"
        );
    }
    let mut kinds = Vec::new();
    while kinds.len() < 3 {
        let event = events.next().await;
        if event.kind == "bot.update" {
            kinds.push(event.data["data"]["kind"].clone());
        }
    }
    assert_eq!(kinds, [json!("unreadable"), json!("unreadable"), json!("of_tomorrow")]);
}

#[tokio::test]
async fn what_came_while_the_service_was_away_is_delivered_later() {
    let (mut app, mut door, bot) = hooked(&[("INTEGRATIONS_TELEGRAM__BOT_PROBE_SECONDS", "1")]).await;
    let person = app.person(&bot);
    let mut events = app.events(&app.user, "?type=bot.message", None).await;
    write(&app, person, bot.telegram_id, "heard");
    let last = events.next().await.id;
    app.stop_service().await;
    door.close();
    for n in 0..10 {
        write(&app, person, bot.telegram_id, &format!("{n}"));
    }
    app.start_service().await;
    door.open(&app);
    let mut events = app.events(&app.user, "?type=bot.message", Some(&last)).await;
    let expected: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(texts_until(&mut events, "9").await, expected);
}

#[tokio::test]
async fn what_telegram_says_of_failed_deliveries_is_shown() {
    let (app, mut door, bot) = hooked(&[("INTEGRATIONS_TELEGRAM__BOT_PROBE_SECONDS", "1")]).await;
    assert_eq!(shown(&app, &bot).await["updates"]["last_error"], Value::Null);
    // Whoever stands before the service answers, but not as it should.
    let gateway = axum::Router::new().fallback(async || http::StatusCode::BAD_GATEWAY);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, gateway).into_future());
    door.lead_to(address);
    let person = app.person(&bot);
    write(&app, person, bot.telegram_id, "not yet");
    eventually("the error is shown", async || {
        shown(&app, &bot).await["updates"]["last_error"].as_str().is_some_and(|error| error.contains("502"))
    })
    .await;
    let mut events = app.events(&app.user, "?type=bot.message", None).await;
    door.open(&app);
    texts_until(&mut events, "not yet").await;
}

#[tokio::test]
async fn switching_the_way_loses_and_doubles_nothing() {
    let (app, _door, bot) = hooked(&[]).await;
    let person = app.person(&bot);
    let mut events = app.events(&app.user, "?type=bot.message", None).await;
    let mut expected = Vec::new();
    for (round, mode) in ["polling", "off", "webhook", "off", "polling", "webhook", "default"].into_iter().enumerate() {
        write(&app, person, bot.telegram_id, &format!("before {round}"));
        take_by(&app, &bot, mode).await;
        write(&app, person, bot.telegram_id, &format!("after {round}"));
        let state = if mode == "default" { "webhook" } else { mode };
        until_state(&app, &bot, state).await;
        if mode == "off" {
            assert!(app.sim.api().webhook(bot.telegram_id).is_none(), "it was taken away");
        }
        write(&app, person, bot.telegram_id, &format!("well after {round}"));
        expected.extend(["before", "after", "well after"].map(|moment| format!("{moment} {round}")));
    }
    secret(&app, &bot);
    assert_eq!(texts_until(&mut events, "well after 6").await, expected);
}

#[tokio::test]
async fn a_webhook_that_somebody_removed_is_set_again_and_a_foreign_one_is_left_alone() {
    let (app, _door, bot) = hooked(&[("INTEGRATIONS_TELEGRAM__BOT_PROBE_SECONDS", "1")]).await;
    let former = secret(&app, &bot);
    app.telegram(&bot.token, "deleteWebhook", &json!({})).await;
    eventually("it is set again", async || app.sim.api().webhook(bot.telegram_id).is_some()).await;
    let renewed = secret(&app, &bot);
    assert_ne!(former, renewed);
    eventually("only the new secret is right", async || {
        deliver(&app, &path(bot.id), Some(&former), message(1, "x")).await.status == 401
    })
    .await;
    app.telegram(&bot.token, "setWebhook", &json!({ "url": "https://other.example/hook" })).await;
    until_state(&app, &bot, "elsewhere").await;
    assert_eq!(app.sim.api().webhook(bot.telegram_id).unwrap().0, "https://other.example/hook");
    app.user.patch(&bot.path(), &json!({ "take_over": true })).await.ok(200);
    until_state(&app, &bot, "webhook").await;
    secret(&app, &bot);
}

#[tokio::test]
async fn a_new_token_brings_a_new_secret_and_a_bot_that_goes_leaves_no_webhook() {
    let (app, _door, bot) = hooked(&[]).await;
    let former = secret(&app, &bot);
    let renewed = app.sim.world().lock().revoke_token(bot.telegram_id, true).unwrap();
    let renewed = app.secret(renewed);
    app.user.post(&format!("{}/token", bot.path()), &json!({ "token": renewed })).await.ok(200);
    eventually("the secret is another one", async || secret(&app, &bot) != former).await;
    eventually("the former one is wrong", async || {
        deliver(&app, &path(bot.id), Some(&former), message(1, "x")).await.status == 401
    })
    .await;
    let mut events = app.events(&app.user, "?type=bot.message", None).await;
    write(&app, app.person(&Bot { token: renewed, ..bot.clone() }), bot.telegram_id, "with the new token");
    texts_until(&mut events, "with the new token").await;
    let last = secret(&app, &bot);
    app.user.delete(&bot.path()).await.ok(204);
    eventually("the webhook is gone", async || app.sim.api().webhook(bot.telegram_id).is_none()).await;
    eventually("its secret is forgotten", async || {
        deliver(&app, &path(bot.id), Some(&last), message(2, "x")).await.status == 401
    })
    .await;
}

#[tokio::test]
async fn a_group_that_becomes_a_supergroup_takes_along_what_waits_for_it() {
    let (app, _door, bot) = hooked(&[]).await;
    let group = chat(&app, &bot, app.person(&bot), ChatKind::Group);
    let tomorrow = chrono::Utc::now() + chrono::TimeDelta::days(1);
    let later = app.send_body(&bot, &json!({ "chat_id": group, "text": "later", "scheduled_at": tomorrow })).await;
    let supergroup = app.sim.world().lock().migrate_group(group).unwrap();
    eventually("it waits for the supergroup", async || app.message(later).await["chat_id"] == supergroup).await;
    app.change(later, "cancel").await;
}
