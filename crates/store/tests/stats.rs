//! Statistics: each event is counted once, whoever counts and whatever happens meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use store::retention::{self, Partitioned};
use store::stats::{self, GroupBy, Progress, StatsFilter, StatsRow};
use testdb::TestDb;
use uuid::Uuid;

async fn start() -> (TestDb, PgPool) {
    let db = TestDb::migrated().await;
    let pool = store::connect(db.options(), 8).await.unwrap();
    sqlx::query("INSERT INTO users VALUES (7), (8)").execute(&pool).await.unwrap();
    (db, pool)
}

/// A message that ended now, as delivery leaves it: so long after it became due, of which the platform imposed a part.
async fn ended(db: &mut PgConnection, user: i32, sender: Uuid, status: &str, ms: i32, imposed_ms: i64) -> Uuid {
    let id = Uuid::now_v7();
    sqlx::query(
        "INSERT INTO messages (id, user_id, route, sender_id, chat_id, kind, content, status, priority, random_id, queued_at,
                               imposed_wait_ms, finished_at)
         VALUES ($1, $2, 'bot', $3, 1, 'text', '{}', $4, 1, 1, now() - $5 * interval '1 millisecond', $6, now())",
    )
    .bind(id)
    .bind(user)
    .bind(sender)
    .bind(status)
    .bind(ms)
    .bind(imposed_ms)
    .execute(&mut *db)
    .await
    .unwrap();
    let data = serde_json::json!({ "status": status, "sender_id": sender });
    store::events::insert(db, user, &format!("message.{status}"), id, &data).await.unwrap();
    id
}

/// Counts what there is now.
async fn count(pool: &PgPool, limit: i64) -> Progress {
    loop {
        match stats::count_next(pool, limit).await.unwrap() {
            Progress::More => {}
            end => return end,
        }
    }
}

/// Counts until everything is counted that is committed now: transactions of other tests on the same server hold it up.
async fn count_all(pool: &PgPool, limit: i64) {
    let now = "SELECT pg_current_xact_id()::text";
    let now: String = sqlx::query_scalar(now).fetch_one(pool).await.unwrap();
    let is_past = "SELECT xid > $1::xid8 FROM message_stats_cursor";
    for _ in 0..600 {
        count(pool, limit).await;
        if sqlx::query_scalar(is_past).bind(&now).fetch_one(pool).await.unwrap() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it is not counted in the end");
}

async fn shown(pool: &PgPool, user_id: Option<i32>, group_by: &[GroupBy]) -> Vec<StatsRow> {
    let today = chrono::Utc::now().date_naive();
    let days = chrono::TimeDelta::days(2);
    let filter =
        StatsFilter { user_id, from: today - days, to: today + days, sender_id: None, platform: None, route: None };
    stats::list(pool, &filter, group_by, 100).await.unwrap()
}

async fn sent(pool: &PgPool) -> i64 {
    shown(pool, None, &[GroupBy::Platform]).await.iter().map(|row| row.sent).sum()
}

#[tokio::test]
async fn what_ended_is_counted_by_how_and_with_its_times() {
    let (_db, pool) = start().await;
    let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
    let mut db = pool.begin().await.unwrap();
    for ms in [100, 100, 100, 5_000] {
        ended(&mut db, 7, one, "sent", ms, if ms > 1000 { 4_900 } else { 0 }).await;
    }
    for status in ["failed", "unknown", "cancelled", "queued", "sending"] {
        ended(&mut db, 7, two, status, 10, 0).await;
    }
    ended(&mut db, 8, Uuid::nil(), "cancelled", 10, 0).await;
    db.commit().await.unwrap();
    // In several steps, and once more with nothing new.
    count_all(&pool, 3).await;
    count_all(&pool, 3).await;
    let rows = shown(&pool, Some(7), &[GroupBy::Sender]).await;
    let told: Vec<_> = rows.iter().map(|r| (r.sender_id, r.sent, r.failed, r.unknown, r.cancelled)).collect();
    assert_eq!(told, [(Some(one), 4, 0, 0, 0), (Some(two), 0, 1, 1, 1)]);
    assert_eq!((rows[0].own.mean_ms(), rows[0].imposed.mean_ms()), (Some(100.0), Some(1225.0)));
    assert_eq!(rows[0].imposed.percentile_ms(0.5), Some(0.0));
    assert!(rows[0].imposed.percentile_ms(0.99).unwrap() > 4_000.0);
    assert_eq!(rows[1].own.mean_ms(), None);
    let all = shown(&pool, None, &[GroupBy::User, GroupBy::Platform]).await;
    let told: Vec<_> = all.iter().map(|row| (row.user_id, row.platform.as_deref(), row.sent, row.cancelled)).collect();
    assert_eq!(told, [(Some(7), Some("telegram"), 4, 1), (Some(8), Some("telegram"), 0, 1)]);
    assert!(stats::counted_until(&pool).await.unwrap().is_some());
}

#[tokio::test]
async fn a_transaction_that_commits_late_is_not_missed() {
    let (_db, pool) = start().await;
    let sender = Uuid::now_v7();
    let mut late = pool.begin().await.unwrap();
    ended(&mut late, 7, sender, "sent", 10, 0).await;
    let mut db = pool.acquire().await.unwrap();
    ended(&mut db, 7, sender, "sent", 10, 0).await;
    count(&pool, 1000).await;
    assert_eq!(sent(&pool).await, 0, "what is behind an open transaction waits for it");
    late.commit().await.unwrap();
    count_all(&pool, 1000).await;
    assert_eq!(sent(&pool).await, 2);
}

#[tokio::test]
async fn several_count_at_once_and_each_event_is_counted_once() {
    let (_db, pool) = start().await;
    let sender = Uuid::now_v7();
    let writers = (0..3).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for _ in 0..100 {
                let mut tx = pool.begin().await.unwrap();
                ended(&mut tx, 7, sender, "sent", 10, 0).await;
                tx.commit().await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let counters = (0..3).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            // Patience for transactions of other tests on the same server.
            for _ in 0..6000 {
                stats::count_next(&pool, 7).await.unwrap();
                if sent(&pool).await >= 300 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
    });
    let counters: Vec<_> = counters.collect();
    for task in writers.into_iter().chain(counters) {
        task.await.unwrap();
    }
    count_all(&pool, 1000).await;
    assert_eq!(sent(&pool).await, 300);
}

#[tokio::test]
async fn counts_outlive_messages_and_events_that_are_not_counted_stay() {
    let (_db, pool) = start().await;
    let mut db = pool.acquire().await.unwrap();
    ended(&mut db, 7, Uuid::now_v7(), "sent", 10, 0).await;
    let day = "CREATE TABLE events_past PARTITION OF events
                   FOR VALUES FROM ('00000000-0000-0000-0000-000000000000') TO ('00000000-0001-0000-0000-000000000000');
               UPDATE events SET id = overlay(id::text placing '00000000-0000' from 1)::uuid";
    sqlx::raw_sql(AssertSqlSafe(day)).execute(&pool).await.unwrap();
    let age = std::time::Duration::from_hours(48);
    let drop = async || retention::drop_partition(&pool, Partitioned::Events, "events_past", age).await.unwrap();
    assert!(!drop().await, "it is not counted yet");
    count_all(&pool, 1000).await;
    assert!(drop().await);
    sqlx::query("DELETE FROM messages").execute(&pool).await.unwrap();
    count(&pool, 1000).await;
    assert_eq!(sent(&pool).await, 1);
}

#[tokio::test]
async fn after_a_move_to_another_cluster_counting_begins_anew() {
    let (_db, pool) = start().await;
    sqlx::query("UPDATE message_stats_cursor SET xid = '9000000000000000000'").execute(&pool).await.unwrap();
    let mut db = pool.acquire().await.unwrap();
    ended(&mut db, 7, Uuid::now_v7(), "sent", 10, 0).await;
    count_all(&pool, 1000).await;
    assert_eq!(sent(&pool).await, 1);
}
