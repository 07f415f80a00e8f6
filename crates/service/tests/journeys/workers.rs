//! What an operator sees of workers and queues.

use serde_json::json;
use uuid::Uuid;

use crate::common::app::TestApp;
use crate::common::eventually;

const WORKERS: &str = "/api/integrations/workers";
const QUEUES: &str = "/api/integrations/queues";

#[tokio::test]
async fn workers_are_listed_with_what_they_own() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let message = app.send(&bot, app.person(&bot), "hi").await;
    app.until(message, "sent").await;
    let dead = Uuid::from_u128(1);
    let row = "INSERT INTO workers VALUES ($1, 'gone', 5, '0.0.1', now() - interval '1 hour', now() - interval '1 minute', now())";
    sqlx::query(row).bind(dead).execute(&app.pool).await.unwrap();
    let workers = app.admin().list(WORKERS).await;
    assert_eq!(workers.len(), 2);
    let (own, gone) = (&workers[0], &workers[1]);
    assert_eq!((&own["is_alive"], &own["pid"]), (&json!(true), &json!(std::process::id())));
    assert_eq!(
        (&own["senders"], &own["version"]),
        (&json!({ "bot": 1, "account": 0 }), &json!(env!("CARGO_PKG_VERSION")))
    );
    assert_eq!((&gone["id"], &gone["is_alive"], &gone["host"]), (&json!(dead), &json!(false), &json!("gone")));
    assert_eq!(gone["senders"], json!({ "bot": 0, "account": 0 }));
    assert!(own["cut_off_since"].is_null() && gone["cut_off_since"].is_string(), "{own} {gone}");
}

#[tokio::test]
async fn queues_tell_what_waits() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let later = json!({ "chat_id": chat, "text": "x", "priority": "high", "scheduled_at": "2099-01-01T00:00:00Z" });
    app.user.post(&bot.send_path(), &later).await.problem(400, "invalid_body");
    let soon = (chrono::Utc::now() + chrono::TimeDelta::days(1)).to_rfc3339();
    let later = json!({ "chat_id": chat, "text": "x", "priority": "high", "scheduled_at": soon });
    let later = app.send_body(&bot, &later).await;
    // In the queue of a sender that is away.
    sqlx::query(
        "INSERT INTO messages (id, user_id, route, sender_id, chat_id, kind, content, status, priority, random_id, queued_at)
         SELECT uuid7_now(), 7, 'bot', id, 1, 'text', '{}', 'queued', 2, 1, now() - interval '1 minute'
         FROM telegram_bots",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    app.leave_messages();
    let queues = app.admin().get(QUEUES).await.ok(200);
    let (high, low) = (&queues["messages"][0], &queues["messages"][2]);
    assert_eq!((&high["queue"], &high["due"], &high["scheduled"]), (&json!("high"), &json!(0), &json!(1)));
    assert_eq!(high["oldest_seconds"], json!(null));
    assert_eq!(low["queue"], "low");
    assert_eq!(queues["tasks"].as_array().unwrap().len(), 3);
    eventually("the periodic tasks wait for their next turns", async || {
        let queues = app.admin().get(QUEUES).await.ok(200);
        let of = |queue: usize, what: &str| queues["tasks"][queue][what].as_i64().unwrap();
        (of(0, "waiting"), of(2, "waiting")) == (1, 3) && of(0, "running") + of(0, "ready") + of(0, "dead") == 0
    })
    .await;
    app.change(later, "cancel").await;
}
