//! What is removed after a while, and what never is.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use store::retention::{self, Aged, Partitioned};
use testdb::TestDb;
use uuid::Uuid;

const AGE: Duration = Duration::from_hours(24 * 90);

async fn start() -> (TestDb, PgPool) {
    let db = TestDb::migrated().await;
    let pool = store::connect(db.options(), 4).await.unwrap();
    (db, pool)
}

async fn run(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

async fn count(pool: &PgPool, from: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {from}"))).fetch_one(pool).await.unwrap()
}

/// The partition of a whole month (or day) so many days ago, as the service made it then.
async fn past_partition(pool: &PgPool, table: &str, unit: &str, days: i32) -> String {
    let name = format!("{table}_past_{days}");
    let sql = format!(
        "DO $$ DECLARE lower TIMESTAMPTZ := date_trunc('{unit}', now() - interval '{days} days', 'UTC'); BEGIN
             EXECUTE format('CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM (%L) TO (%L)',
                 uuid7_floor(lower), uuid7_floor(lower + interval '1 {unit}'));
         END $$"
    );
    run(pool, &sql).await;
    name
}

/// A message that was accepted and reached its state so many days ago, with an attempt; returns its id.
async fn message(pool: &PgPool, accepted: i32, finished: i32, status: &str) -> Uuid {
    let id: Uuid = sqlx::query_scalar(
        "INSERT INTO messages (id, user_id, route, sender_id, chat_id, kind, content, status, priority, random_id, finished_at)
         SELECT overlay(gen_random_uuid()::text placing left(uuid7_floor(now() - $1 * interval '1 day')::text, 13) from 1)::uuid,
                7, 'bot', gen_random_uuid(), 1, 'text', '{}', $3, 1, 1,
                CASE WHEN $3 IN ('scheduled', 'queued', 'sending') THEN NULL ELSE now() - $2 * interval '1 day' END
         RETURNING id",
    )
    .bind(accepted)
    .bind(finished)
    .bind(status)
    .fetch_one(pool)
    .await
    .unwrap();
    for table in [
        "message_attempts (id, message_id, sender_id, worker_id, epoch)",
        "message_parts (id, message_id, part, random_id)",
    ] {
        let values = if table.contains("epoch") { "gen_random_uuid(), gen_random_uuid(), 1" } else { "1, 1" };
        let sql = format!(
            "INSERT INTO {table}
             SELECT overlay(gen_random_uuid()::text placing left($1::text, 13) from 1)::uuid, $1, {values}"
        );
        sqlx::query(AssertSqlSafe(sql)).bind(id).execute(pool).await.unwrap();
    }
    id
}

async fn exists(pool: &PgPool, id: Uuid) -> (bool, bool, bool) {
    sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM messages WHERE id = $1),
                EXISTS (SELECT 1 FROM message_attempts WHERE message_id = $1),
                EXISTS (SELECT 1 FROM message_parts WHERE message_id = $1)",
    )
    .bind(id)
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn messages_go_when_they_have_been_final_for_long_enough() {
    let (_db, pool) = start().await;
    let mut goes = Vec::new();
    for status in ["sent", "failed", "cancelled"] {
        goes.push(message(&pool, 100, 91, status).await);
    }
    let mut stays = vec![message(&pool, 100, 89, "sent").await, message(&pool, 89, 89, "sent").await];
    for status in ["scheduled", "queued", "sending", "unknown"] {
        stays.push(message(&pool, 400, 399, status).await);
    }
    // Two by two, so that a batch begins where the last one ended.
    let mut after = Uuid::nil();
    let mut batches = 0;
    while let Some(last) = retention::messages(&pool, AGE, after, 2).await.unwrap() {
        assert!(last > after);
        after = last;
        batches += 1;
    }
    assert_eq!(batches, 2);
    for id in goes {
        assert_eq!(exists(&pool, id).await, (false, false, false));
    }
    for id in stays {
        assert_eq!(exists(&pool, id).await, (true, true, true));
    }
}

#[tokio::test]
async fn a_partition_goes_only_as_a_whole_and_its_attempts_follow() {
    let (_db, pool) = start().await;
    let (old, held) =
        (past_partition(&pool, "messages", "month", 400).await, past_partition(&pool, "messages", "month", 300).await);
    let young = past_partition(&pool, "messages", "month", 40).await;
    let attempts = past_partition(&pool, "message_attempts", "month", 400).await;
    let goes = message(&pool, 400, 399, "sent").await;
    let kept_with = message(&pool, 300, 299, "sent").await;
    let scheduled = message(&pool, 300, 299, "scheduled").await;

    let found = retention::old_partitions(&pool, Partitioned::Messages, AGE).await.unwrap();
    assert_eq!(found, [old.clone(), held.clone()], "{young} is too young, and the default one never goes");
    assert!(!retention::drop_partition(&pool, Partitioned::Attempts, &attempts, AGE).await.unwrap());
    assert!(!retention::drop_partition(&pool, Partitioned::Messages, &held, AGE).await.unwrap());
    assert_eq!(exists(&pool, kept_with).await, (true, true, true));
    assert!(retention::drop_partition(&pool, Partitioned::Messages, &old, AGE).await.unwrap());
    assert!(!retention::drop_partition(&pool, Partitioned::Messages, &old, AGE).await.unwrap(), "somebody was faster");
    assert_eq!(exists(&pool, goes).await, (false, true, true));

    assert!(retention::drop_partition(&pool, Partitioned::Attempts, &attempts, AGE).await.unwrap());
    let mut after = Uuid::nil();
    while let Some(last) = retention::orphans(&pool, Partitioned::Parts, AGE, after, 1).await.unwrap() {
        after = last;
    }
    assert_eq!(exists(&pool, goes).await, (false, false, false));
    assert_eq!(exists(&pool, scheduled).await, (true, true, true));
}

#[tokio::test]
async fn a_drop_does_not_wait_for_its_lock() {
    let (_db, pool) = start().await;
    let old = past_partition(&pool, "events", "day", 10).await;
    let mut reader = pool.begin().await.unwrap();
    sqlx::query("SELECT count(*) FROM events").execute(&mut *reader).await.unwrap();
    let age = Duration::from_hours(48);
    assert_eq!(retention::old_partitions(&pool, Partitioned::Events, age).await.unwrap(), std::slice::from_ref(&old));
    assert!(!retention::drop_partition(&pool, Partitioned::Events, &old, age).await.unwrap());
    reader.rollback().await.unwrap();
    assert!(retention::drop_partition(&pool, Partitioned::Events, &old, age).await.unwrap());
    assert_eq!(count(&pool, "events").await, 0);
}

#[tokio::test]
async fn rows_go_by_their_age_and_what_is_not_over_stays() {
    let (_db, pool) = start().await;
    run(
        &pool,
        "INSERT INTO users VALUES (7);
         INSERT INTO integration_logs (user_id, integration_type, action, status, created_at)
             SELECT 7, 'telegram_bot', 'send', 'success', now() - n * interval '1 day' FROM generate_series(1, 10) n;
         INSERT INTO logins (id, user_id, platform, method, status, step, expires_at, updated_at)
             SELECT gen_random_uuid(), 7, 'telegram', 'qr', s, '{}', now(), now() - d * interval '1 day'
             FROM unnest(ARRAY['active', 'done', 'failed', 'cancelled']) s, unnest(ARRAY[1, 9]) d;
         INSERT INTO tasks (id, name, queue, input, status, max_attempts, finished_at, due_at)
             SELECT gen_random_uuid(), 'a', 1, '{}', s, 1, now() - d * interval '1 day', now() - interval '99 days'
             FROM unnest(ARRAY['ready', 'running', 'done', 'dead']) s, unnest(ARRAY[1, 9]) d;
         INSERT INTO workers SELECT gen_random_uuid(), 'h', 1, '1', now(), now() - d * interval '1 day'
             FROM unnest(ARRAY[-1, 1, 9]) d;
         INSERT INTO idempotency_keys (user_id, key, body_hash, locked_until, expires_at)
             SELECT 7, d::text, '', now(), now() - d * interval '1 day' FROM unnest(ARRAY[-1, 1, 9]) d;
         INSERT INTO events_default (id, user_id, type, resource_id, data, created_at)
             SELECT '00000000-0000-7000-8000-000000000000', 7, 'a', gen_random_uuid(), '{}', now() - interval '9 days';
         INSERT INTO message_stats
             SELECT 7, current_date - d, gen_random_uuid(), 'telegram', 'bot', 1, 0, 0, 0, 1, 0, '{0,1}', '{1}'
             FROM unnest(ARRAY[1, 9]) d",
    )
    .await;
    let age = Duration::from_hours(24 * 5);
    for (aged, table, goes, stays) in [
        (Aged::Logs, "integration_logs", 6, 4),
        (Aged::Logins, "logins", 3, 5),
        (Aged::DoneTasks, "tasks", 1, 7),
        (Aged::DeadTasks, "tasks", 1, 6),
        (Aged::Workers, "workers", 1, 2),
        (Aged::IdempotencyKeys, "idempotency_keys", 1, 2),
        (Aged::StrayEvents, "events", 1, 0),
        (Aged::Statistics, "message_stats", 1, 1),
    ] {
        let mut gone = 0;
        loop {
            let batch = retention::aged(&pool, aged, age, 2).await.unwrap();
            gone += batch;
            if batch < 2 {
                break;
            }
        }
        assert_eq!((gone, count(&pool, table).await), (goes, stays), "{aged:?}");
    }
    assert_eq!(count(&pool, "tasks WHERE status IN ('ready', 'running')").await, 4);
}
