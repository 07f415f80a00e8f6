//! The service ends and starts again; nothing is lost and nothing is doubled.

use serde_json::json;
use telegram_sim::bot_api::{Fault, FaultAction};

use crate::common::app::{TestApp, too_many_requests};
use crate::common::eventually;

#[tokio::test]
async fn what_waits_is_sent_after_the_restart() {
    let mut app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    app.disturb(chat, 1, too_many_requests(1));
    let mut messages = Vec::new();
    for n in 0..10 {
        messages.push(app.send(&bot, chat, &format!("{n}")).await);
    }
    app.until_refused(messages[0]).await;
    app.stop_service().await;
    app.start_service().await;
    app.until_all(&messages, "sent").await;
    let expected: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(app.texts(&bot, chat), expected);
}

#[tokio::test]
async fn what_is_on_the_wire_gets_its_outcome_before_the_end() {
    let mut app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let slow = Fault::new(FaultAction::Delay { ms: 500 }).method("sendMessage").times(1);
    let fault = app.sim.add_fault(slow);
    let message = app.send(&bot, app.person(&bot), "on the wire").await;
    eventually("Telegram has it", async || app.hits(fault) == 1).await;
    app.stop_service().await;
    app.start_service().await;
    let sent = app.message(message).await;
    assert_eq!((&sent["status"], app.arrived("on the wire")), (&json!("sent"), 1));
}

#[tokio::test]
async fn what_a_killed_process_had_on_the_wire_is_unknown() {
    let mut app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let message = app.send(&bot, chat, "perhaps").await;
    app.until(message, "sent").await;
    app.stop_service().await;
    // As the process would have left it, had it been killed before the answer came.
    sqlx::raw_sql(
        "UPDATE messages SET status = 'sending', finished_at = NULL, platform_message_id = NULL;
         UPDATE message_attempts SET outcome = NULL, finished_at = NULL;
         INSERT INTO workers (id, host, pid, version, valid_until)
             VALUES ('00000000-0000-7000-8000-000000000001', 'gone', 1, '0', now() - interval '1 minute');
         UPDATE sender_leases SET worker_id = '00000000-0000-7000-8000-000000000001'",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    app.start_service().await;
    let unknown = app.until(message, "unknown").await;
    assert_eq!((&unknown["error_code"], app.arrived("perhaps")), (&json!("interrupted"), 1));
    assert_eq!(unknown["attempt_list"][0]["outcome"], "unknown");
    let logs = app.user.list(&format!("{}?status=error", crate::common::app::LOGS)).await;
    assert_eq!((logs.len(), &logs[0]["details"]["state"]), (1, &json!("unknown")));
    for counted in ["telegram_messages_error_total{type=\"bot\"} 1", "integrations_unknown_total 1"] {
        eventually(counted, async || app.bearer(None).get("/metrics").await.text.lines().any(|line| line == counted))
            .await;
    }
    app.change(message, "dismiss").await;
}
