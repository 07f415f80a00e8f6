//! Tokens that Telegram refuses, at the beginning and later.

use serde_json::{Value, json};

use crate::common::app::{BOTS, Bot, LOGS, TestApp};
use crate::common::eventually;

#[tokio::test]
async fn a_token_that_telegram_does_not_know_is_refused() {
    let app = TestApp::start().await;
    let well_formed = format!("123456789:{}", "x".repeat(35));
    for token in ["", "x", "123456789", "123:short", "123456789:ёёёёёёёёёёёёёёёёёёёёёёё", &well_formed]
    {
        app.user.post(BOTS, &json!({ "token": token })).await.problem(422, "telegram_token_invalid");
    }
    assert_eq!(app.calls("getMe"), 1, "only what has the form of a token goes to Telegram");
    assert!(app.user.list(BOTS).await.is_empty());
}

#[tokio::test]
async fn a_token_is_replaced_only_by_one_of_the_same_bot() {
    let app = TestApp::start().await;
    let (bot, other) = (app.connect_bot().await, app.new_token());
    let replace = format!("{}/token", bot.path());
    let problem = app.user.post(&replace, &json!({ "token": other })).await.problem(422, "bot_mismatch");
    assert!(!problem.to_string().contains(&other));
    app.user.post(&replace, &json!({ "token": "1:2" })).await.problem(422, "telegram_token_invalid");
    let renewed = app.secret(renew(&app, &bot));
    app.user.post(&replace, &json!({ "token": bot.token })).await.problem(422, "telegram_token_invalid");
    let replaced = app.user.post(&replace, &json!({ "token": renewed })).await.ok(200);
    assert_eq!((&replaced["id"], &replaced["status"]), (&json!(bot.id), &json!("active")));
    let chat = app.person(&Bot { token: renewed, ..bot.clone() });
    app.until(app.send(&bot, chat, "with the new token").await, "sent").await;
}

#[tokio::test]
async fn what_waits_behind_a_revoked_token_goes_out_with_the_next_one() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let mut events = app.events(&app.user, "?type=bot.", None).await;
    app.until(app.send(&bot, chat, "before").await, "sent").await;
    let renewed = app.secret(renew(&app, &bot));
    let waiting = app.send(&bot, chat, "waits").await;

    let event = events.until(|event| event.kind == "bot.token_revoked").await.pop().unwrap();
    assert_eq!(event.resource(), bot.id.to_string());
    let revoked = app.user.get(&bot.path()).await.ok(200);
    assert_eq!((&revoked["status"], &revoked["is_active"]), (&json!("token_revoked"), &json!(false)));
    assert_eq!(revoked["status_reason"], "Unauthorized");
    let message = app.message(waiting).await;
    assert_eq!((&message["status"], &message["attempt_list"][0]["outcome"]), (&json!("queued"), &json!("refused")));
    let logs = app.user.list(&format!("{LOGS}?action=token_revoked")).await;
    assert_eq!((logs.len(), &logs[0]["status"]), (1, &json!("error")));

    let body = json!({ "chat_id": chat, "text": "too late" });
    let refused = app.user.post(&bot.send_path(), &body).await.problem(409, "sender_inactive");
    assert!(refused["detail"].as_str().unwrap().contains("replace it"));
    app.user.patch(&bot.path(), &json!({ "is_active": true })).await.problem(409, "conflict");

    app.user.post(&format!("{}/token", bot.path()), &json!({ "token": renewed })).await.ok(200);
    app.until(waiting, "sent").await;
    assert_eq!(app.texts(&bot, chat), ["before", "waits"]);
    assert_eq!(events.next().await.kind, "bot.token_replaced");
}

#[tokio::test]
async fn a_revoked_token_is_noticed_when_a_name_is_resolved() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    app.sim.world().lock().revoke_token(bot.telegram_id, false);
    let message = app.send_body(&bot, &json!({ "chat_id": "@somewhere", "text": "x" })).await;
    eventually("the bot is marked", async || app.user.get(&bot.path()).await.ok(200)["status"] == "token_revoked")
        .await;
    assert_eq!(app.message(message).await["status"], "queued");
    app.leave_messages();
}

#[tokio::test]
async fn telegram_away_while_connecting_is_told_and_nothing_is_stored() {
    let mut app = TestApp::start().await;
    let token = app.new_token();
    app.without_telegram(async |app: &TestApp| {
        let answer = app.user.post(BOTS, &json!({ "token": token })).await;
        answer.problem(503, "telegram_unavailable");
        assert!(answer.headers.contains_key("retry-after"));
    })
    .await;
    assert_eq!(app.user.list(BOTS).await, Vec::<Value>::new());
    app.user.post(BOTS, &json!({ "token": token })).await.ok(201);
}

fn renew(app: &TestApp, bot: &Bot) -> String {
    app.sim.world().lock().revoke_token(bot.telegram_id, true).unwrap()
}
