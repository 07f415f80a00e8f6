//! Nobody can tell whether a message went out: it is shown as `unknown` and never sent again by itself.

use serde_json::{Value, json};
use telegram_sim::bot_api::FaultAction;

use crate::common::app::{LOGS, TestApp};

/// Sends a message that meets the fault; its place is released, and it is not sent again.
async fn becomes_unknown(app: &TestApp, fault: FaultAction, arrivals: usize) -> (uuid::Uuid, Value) {
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    app.disturb(chat, 1, fault);
    let message = app.send(&bot, chat, "perhaps").await;
    let behind = app.send(&bot, chat, "behind").await;
    let unknown = app.until(message, "unknown").await;
    app.until(behind, "sent").await;
    assert_eq!(app.arrived("perhaps"), arrivals);
    assert_eq!((&unknown["attempts"], &unknown["error_code"]), (&json!(1), &json!("unknown_outcome")));
    assert_eq!(unknown["attempt_list"][0]["outcome"], "unknown");
    let logs = app.user.list(&format!("{LOGS}?status=error&action=send")).await;
    assert_eq!((logs.len(), &logs[0]["details"]["state"]), (1, &json!("unknown")));
    (message, unknown)
}

#[tokio::test]
async fn cut_after_it_was_taken_and_resent_by_its_owner() {
    let app = TestApp::start().await;
    let (message, _) = becomes_unknown(&app, FaultAction::CutAfter, 1).await;
    let again = app.change(message, "resend").await;
    assert_eq!((&again["status"], &again["error_code"]), (&json!("queued"), &Value::Null));
    let sent = app.until(message, "sent").await;
    assert_eq!((&sent["attempts"], app.arrived("perhaps")), (&json!(2), 2));
    let outcomes: Vec<&str> =
        sent["attempt_list"].as_array().unwrap().iter().map(|a| a["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["unknown", "sent"]);
}

#[tokio::test]
async fn cut_after_it_was_taken_and_dismissed() {
    let app = TestApp::start().await;
    let (message, _) = becomes_unknown(&app, FaultAction::CutAfter, 1).await;
    let dismissed = app.change(message, "dismiss").await;
    assert_eq!((&dismissed["status"], &dismissed["error_code"]), (&json!("failed"), &json!("dismissed")));
    let path = format!("{}/{message}/dismiss", crate::common::app::MESSAGES);
    app.user.post(&path, &json!({})).await.problem(409, "message_not_dismissable");
    assert_eq!(app.arrived("perhaps"), 1);
}

#[tokio::test]
async fn cut_before_it_was_taken_cannot_be_told_from_after() {
    let app = TestApp::start().await;
    let (message, _) = becomes_unknown(&app, FaultAction::CutBefore, 0).await;
    app.change(message, "resend").await;
    app.until(message, "sent").await;
    assert_eq!(app.arrived("perhaps"), 1);
}

#[tokio::test]
async fn a_failing_server_proves_nothing() {
    let app = TestApp::start().await;
    for (status, taken, arrivals) in [(500, true, 1), (502, false, 1)] {
        let app = &app;
        let (message, unknown) = {
            let bot = app.connect_bot().await;
            let chat = app.person(&bot);
            app.disturb(chat, 1, FaultAction::Http { status, body: String::new(), taken });
            let message = app.send(&bot, chat, "perhaps").await;
            (message, app.until(message, "unknown").await)
        };
        assert!(unknown["error_message"].as_str().unwrap().contains(&status.to_string()), "{unknown}");
        assert_eq!(app.arrived("perhaps"), arrivals);
        app.change(message, "dismiss").await;
    }
}

#[tokio::test]
async fn an_answer_that_is_not_telegrams_proves_nothing() {
    let app = TestApp::start().await;
    let body = "<html>Welcome to the hotel's network</html>".to_owned();
    becomes_unknown(&app, FaultAction::Http { status: 200, body, taken: false }, 0).await;
}

#[tokio::test]
async fn no_answer_in_time() {
    let app = TestApp::start_with(&[("INTEGRATIONS_TELEGRAM__REQUEST_TIMEOUT_SECONDS", "1")]).await;
    let (_, unknown) = becomes_unknown(&app, FaultAction::HangAfter { ms: 600_000 }, 1).await;
    assert!(unknown["error_message"].as_str().unwrap().contains("no answer within 1 s"), "{unknown}");
}
