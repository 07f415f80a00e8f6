//! What has been kept for long enough goes; everything else stays.

use sqlx::PgPool;
use testdb::TestDb;
use uuid::Uuid;

use crate::common::app::{MESSAGES, TestApp};
use crate::common::eventually;

/// A message that was accepted so many days ago and reached its state then.
async fn message(pool: &PgPool, days: i32, status: &str) -> Uuid {
    sqlx::query_scalar(
        "INSERT INTO messages (id, user_id, route, sender_id, chat_id, kind, content, status, priority, random_id, finished_at)
         SELECT overlay(gen_random_uuid()::text placing left(uuid7_floor(now() - $1 * interval '1 day')::text, 13) from 1)::uuid,
                7, 'bot', gen_random_uuid(), 1, 'text', '{\"kind\": \"text\", \"text\": \"x\"}', $2, 1, 1,
                now() - $1 * interval '1 day'
         RETURNING id",
    )
    .bind(days)
    .bind(status)
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn the_service_removes_what_is_old_and_nothing_else() {
    let db = TestDb::migrated().await;
    let pool = store::connect(db.options(), 2).await.unwrap();
    let old = message(&pool, 20, "sent").await;
    let stays =
        [message(&pool, 20, "unknown").await, message(&pool, 5, "sent").await, message(&pool, 0, "failed").await];
    sqlx::raw_sql(
        "CREATE TABLE messages_past PARTITION OF messages
             FOR VALUES FROM ('00000000-0000-0000-0000-000000000000') TO ('00000000-0001-0000-0000-000000000000');
         INSERT INTO users VALUES (7);
         INSERT INTO integration_logs (user_id, integration_type, action, status, created_at)
             SELECT 7, 'telegram_bot', 'send', 'success', now() - d * interval '1 day' FROM unnest(ARRAY[1, 20]) d;
         INSERT INTO idempotency_keys (user_id, key, body_hash, locked_until, expires_at)
             SELECT 7, d::text, '', now(), now() - d * interval '1 day' FROM unnest(ARRAY[-1, 1]) d;",
    )
    .execute(&pool)
    .await
    .unwrap();
    let settings = [("INTEGRATIONS_RETENTION__MESSAGES_DAYS", "10"), ("INTEGRATIONS_RETENTION__LOGS_DAYS", "10")];
    let app = TestApp::start_on(db, &settings).await;
    let finished = "SELECT EXISTS (SELECT 1 FROM tasks WHERE name = 'retention' AND finished_at IS NOT NULL)";
    eventually("it ran", async || sqlx::query_scalar::<_, bool>(finished).fetch_one(&pool).await.unwrap()).await;
    let task = app.admin().list("/api/integrations/tasks?name=retention").await;
    assert_eq!((task.len(), &task[0]["last_error"]), (1, &serde_json::Value::Null));
    app.user.get(&format!("{MESSAGES}/{old}")).await.problem(404, "not_found");
    for id in stays {
        app.user.get(&format!("{MESSAGES}/{id}")).await.ok(200);
    }
    for (table, left) in [("integration_logs", 1_i64), ("idempotency_keys", 1)] {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&pool).await.unwrap(), left, "{table}");
    }
    let past = "SELECT to_regclass('messages_past') IS NULL";
    assert!(sqlx::query_scalar::<_, bool>(past).fetch_one(&pool).await.unwrap(), "an empty partition goes");
}
