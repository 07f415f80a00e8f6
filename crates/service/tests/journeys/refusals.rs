//! Messages that Telegram refuses for good.

use serde_json::{Value, json};
use telegram_sim::bot_api::FaultAction;
use telegram_sim::world::{ChatKind, MemberStatus, NewChat};
use uuid::Uuid;

use crate::common::app::{Bot, LOGS, TestApp};

async fn assert_failed(app: &TestApp, message: Uuid, code: &str) {
    let failed = app.until(message, "failed").await;
    assert_eq!((&failed["error_code"], &failed["attempts"]), (&json!(code), &json!(1)), "{failed}");
    assert!(failed["error_message"].is_string() && failed["finished_at"].is_string());
    let attempt = &failed["attempt_list"][0];
    assert_eq!((&attempt["outcome"], &attempt["code"]), (&json!("refused"), &json!(code)));
    let details = format!("%7B%22message_id%22:%22{message}%22%7D");
    let logs = app.user.list(&format!("{LOGS}?details={details}")).await;
    assert_eq!(logs.len(), 1);
    assert_eq!((&logs[0]["status"], &logs[0]["action"]), (&json!("error"), &json!("send")));
    assert_eq!((&logs[0]["details"]["code"], &logs[0]["details"]["state"]), (&json!(code), &json!("failed")));
    assert_eq!(logs[0]["error_message"], failed["error_message"]);
}

#[tokio::test]
async fn a_person_who_has_blocked_the_bot() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let (blocking, open) = (app.person(&bot), app.person(&bot));
    app.sim.world().lock().block(blocking, bot.telegram_id);
    let refused = app.send(&bot, blocking, "unwanted").await;
    let welcome = app.send(&bot, open, "welcome").await;
    assert_failed(&app, refused, "blocked_by_user").await;
    app.until(welcome, "sent").await;
    let bot_now = app.user.get(&bot.path()).await.ok(200);
    assert_eq!(bot_now["status"], "active", "the bot is not to blame");
    app.sim.world().lock().unblock(blocking, bot.telegram_id);
    app.change(refused, "resend").await;
    let sent = app.until(refused, "sent").await;
    assert_eq!((&sent["error_code"], app.arrived("unwanted")), (&Value::Null, 1));
}

#[tokio::test]
async fn chats_that_the_bot_cannot_reach() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let stranger = app.sim.world().lock().add_user(telegram_sim::world::NewUser::default());
    let gone = app.person(&bot);
    app.sim.world().lock().user_mut(gone).unwrap().deactivated = true;
    let group = group(&app, &bot, MemberStatus::Kicked);
    for (chat, code) in [
        (1, "chat_not_found"),
        (-1, "chat_not_found"),
        (stranger, "cannot_initiate_conversation"),
        (gone, "user_deactivated"),
        (group, "kicked_from_chat"),
    ] {
        let message = app.send(&bot, chat, code).await;
        assert_failed(&app, message, code).await;
    }
}

#[tokio::test]
async fn a_reply_to_a_message_that_is_not_there() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let body = json!({ "chat_id": app.person(&bot), "text": "x", "reply_to_message_id": 999_999 });
    let message = app.send_body(&bot, &body).await;
    assert_failed(&app, message, "reply_not_found").await;
}

#[tokio::test]
async fn a_refusal_in_words_of_their_own() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    // As a proxy that repeats the path would put it.
    let description = format!("Bad Request: something new at /bot{}/sendMessage", bot.token);
    app.disturb(chat, 1, FaultAction::Error { error_code: 400, description, parameters: None });
    let message = app.send(&bot, chat, "x").await;
    assert_failed(&app, message, "bad_request").await;
    let told = app.message(message).await["error_message"].clone();
    assert_eq!(told, "Bad Request: something new at /bot(token)/sendMessage");
}

fn group(app: &TestApp, bot: &Bot, standing: MemberStatus) -> i64 {
    let members = vec![(app.person(bot), MemberStatus::Creator), (bot.telegram_id, standing)];
    let chat = NewChat { kind: ChatKind::Group, id: None, title: "Group".into(), username: None, members };
    app.sim.world().lock().add_chat(chat)
}
