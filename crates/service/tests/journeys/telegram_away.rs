//! Telegram cannot be reached: what certainly was not sent is tried again.

use serde_json::json;
use telegram_sim::bot_api::FaultAction;

use crate::common::app::TestApp;

#[tokio::test]
async fn what_could_not_be_written_is_sent_once_telegram_is_back() {
    let mut app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    app.until(app.send(&bot, chat, "before").await, "sent").await;
    let mut waiting = Vec::new();
    app.without_telegram(async |app: &TestApp| {
        for n in 0..3 {
            waiting.push(app.send(&bot, chat, &format!("waits {n}")).await);
        }
        app.until_refused(waiting[0]).await;
    })
    .await;
    app.until_all(&waiting, "sent").await;
    assert_eq!(app.texts(&bot, chat), ["before", "waits 0", "waits 1", "waits 2"]);
    let first = app.message(waiting[0]).await;
    let attempt = &first["attempt_list"][0];
    assert_eq!((&attempt["outcome"], &attempt["code"]), (&json!("refused"), &json!("telegram_unreachable")));
}

#[tokio::test]
async fn what_stays_impossible_fails_in_the_end() {
    let mut app = TestApp::start_with(&[("INTEGRATIONS_TELEGRAM__GIVE_UP_SECONDS", "1")]).await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    app.without_telegram(async |app: &TestApp| {
        let message = app.send(&bot, chat, "in vain").await;
        let failed = app.until(message, "failed").await;
        assert_eq!(failed["error_code"], "telegram_unreachable");
        assert!(failed["attempts"].as_i64().unwrap() > 1, "{failed}");
    })
    .await;
    assert_eq!(app.arrived("in vain"), 0);
}

#[tokio::test]
async fn a_conflict_is_tried_again() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let conflict = FaultAction::Error { error_code: 409, description: "Conflict".into(), parameters: None };
    app.disturb(chat, 2, conflict);
    let message = app.send(&bot, chat, "third time lucky").await;
    assert_eq!(app.until(message, "sent").await["attempts"], 3);
    assert_eq!(app.arrived("third time lucky"), 1);
}
