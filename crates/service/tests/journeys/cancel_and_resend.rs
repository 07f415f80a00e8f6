//! What the owner of a message can still decide.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::app::{MESSAGES, TestApp, too_many_requests};

async fn refuse(app: &TestApp, id: Uuid, verb: &str, code: &str) {
    app.user.post(&format!("{MESSAGES}/{id}/{verb}"), &json!({})).await.problem(409, code);
}

#[tokio::test]
async fn a_scheduled_message_is_cancelled_and_sent_after_all() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let tomorrow = chrono::Utc::now() + chrono::TimeDelta::days(1);
    let body = json!({ "chat_id": app.person(&bot), "text": "tomorrow", "scheduled_at": tomorrow });
    let message = app.send_body(&bot, &body).await;
    let cancelled = app.change(message, "cancel").await;
    assert_eq!((&cancelled["status"], cancelled["finished_at"].is_string()), (&json!("cancelled"), true));
    refuse(&app, message, "cancel", "message_not_cancellable").await;
    refuse(&app, message, "dismiss", "message_not_dismissable").await;
    let resent = app.change(message, "resend").await;
    assert_eq!((&resent["status"], &resent["scheduled_at"]), (&json!("queued"), &Value::Null));
    app.until(message, "sent").await;
    for (verb, code) in [
        ("cancel", "message_not_cancellable"),
        ("resend", "message_not_resendable"),
        ("dismiss", "message_not_dismissable"),
    ] {
        refuse(&app, message, verb, code).await;
    }
    assert_eq!(app.arrived("tomorrow"), 1);
}

#[tokio::test]
async fn queued_messages_are_cancelled_while_their_chat_is_held() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    app.disturb(chat, 1, too_many_requests(1));
    let first = app.send(&bot, chat, "first").await;
    let second = app.send(&bot, chat, "second").await;
    let third = app.send(&bot, chat, "third").await;
    app.until_refused(first).await;
    app.change(second, "cancel").await;
    app.until_all(&[first, third], "sent").await;
    assert_eq!(app.texts(&bot, chat), ["first", "third"]);
    assert_eq!(app.message(second).await["attempts"], 0);
    app.change(second, "resend").await;
    app.until(second, "sent").await;
    assert_eq!(app.texts(&bot, chat), ["first", "third", "second"], "a resend joins the tail");
}

#[tokio::test]
async fn nothing_is_decided_about_messages_that_are_not_there() {
    let app = TestApp::start().await;
    for verb in ["cancel", "resend", "dismiss"] {
        app.user.post(&format!("{MESSAGES}/{}/{verb}", Uuid::now_v7()), &json!({})).await.problem(404, "not_found");
    }
}
