//! What is removed after a while. Each call removes a small batch, or one partition, so that nothing is locked for long.
//!
//! A message goes when it has been final for long enough: sent, failed or cancelled. One whose outcome is unknown waits for its
//! owner's decision, however old it is.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

/// A partitioned table from which whole partitions may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioned {
    /// `messages`: a partition goes when all of its messages may.
    Messages,
    /// `message_attempts`: when none of its messages is left.
    Attempts,
    /// `message_parts`: likewise.
    Parts,
    /// `events`: when it is old enough, and counted.
    Events,
}

impl Partitioned {
    fn table(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Attempts => "message_attempts",
            Self::Parts => "message_parts",
            Self::Events => "events",
        }
    }

    /// Which rows keep their partition `p`; `$1` is the age in seconds from which they may go.
    fn keeps(self) -> &'static str {
        match self {
            Self::Messages => {
                "p.status NOT IN ('sent', 'failed', 'cancelled') OR p.finished_at IS NULL
                 OR p.finished_at >= now() - $1 * interval '1 second'"
            }
            Self::Attempts | Self::Parts => {
                "$1::float8 IS NOT NULL AND EXISTS (SELECT 1 FROM messages m WHERE m.id = p.message_id)"
            }
            // What is not counted yet would be missing in the statistics.
            Self::Events => "$1::float8 IS NOT NULL AND p.xid >= (SELECT xid FROM message_stats_cursor)",
        }
    }
}

/// The partitions that end before everything younger than `age` begins, the oldest first.
pub async fn old_partitions(pool: &PgPool, of: Partitioned, age: Duration) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT name FROM (
             SELECT c.relname::text AS name,
                    (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \\(''([0-9a-f-]{36})''\\)'))[1]::uuid AS ends
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = to_regclass($1)
         ) AS partitions
         WHERE ends <= uuid7_floor(now() - $2 * interval '1 second') ORDER BY ends",
    )
    .bind(of.table())
    .bind(age.as_secs_f64())
    .fetch_all(pool)
    .await
}

/// Drops a partition if nothing in it has to stay. False when something has, when the lock that it takes cannot be had at once
/// (everything that comes later would queue up behind a waiting drop), or when the look takes long: rows then go one by one until it
/// does not.
pub async fn drop_partition(pool: &PgPool, of: Partitioned, name: &str, age: Duration) -> Result<bool, sqlx::Error> {
    // The name comes from the catalogue; it is quoted all the same.
    let name = format!("\"{}\"", name.replace('"', "\"\""));
    let dropped = async {
        let mut tx = pool.begin().await?;
        sqlx::raw_sql("SET LOCAL lock_timeout = '300ms'; SET LOCAL statement_timeout = '10s'")
            .execute(&mut *tx)
            .await?;
        // Nobody changes a row between the look and the drop: an old message may be resent.
        let lock = format!("LOCK TABLE {name} IN SHARE MODE");
        sqlx::query(AssertSqlSafe(lock)).execute(&mut *tx).await?;
        let kept = format!("SELECT EXISTS (SELECT 1 FROM {name} p WHERE {})", of.keeps());
        let kept: bool = sqlx::query_scalar(AssertSqlSafe(kept)).bind(age.as_secs_f64()).fetch_one(&mut *tx).await?;
        if kept {
            return Ok(false);
        }
        sqlx::query(AssertSqlSafe(format!("DROP TABLE {name}"))).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    };
    match dropped.await {
        // lock_not_available, deadlock_detected, query_canceled (too much to look at), undefined_table (somebody was faster).
        Err(sqlx::Error::Database(error))
            if error.code().is_some_and(|c| ["55P03", "40P01", "57014", "42P01"].contains(&&*c)) =>
        {
            Ok(false)
        }
        other => other,
    }
}

/// A batch that was looked at: where the next one begins, if there is more.
pub type Next = Option<Uuid>;

/// Removes final messages with their attempts and parts, from the id `after` on.
pub async fn messages(pool: &PgPool, age: Duration, after: Uuid, limit: i64) -> Result<Next, sqlx::Error> {
    let gone: Vec<Uuid> = sqlx::query_scalar(
        "WITH old AS (
             SELECT id FROM messages
             WHERE id > $2 AND id < uuid7_floor(now() - $1 * interval '1 second')
               AND status IN ('sent', 'failed', 'cancelled') AND finished_at < now() - $1 * interval '1 second'
             ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
         ), attempts AS (
             DELETE FROM message_attempts a USING old WHERE a.message_id = old.id
         ), parts AS (
             DELETE FROM message_parts p USING old WHERE p.message_id = old.id
         )
         DELETE FROM messages m USING old WHERE m.id = old.id RETURNING m.id",
    )
    .bind(age.as_secs_f64())
    .bind(after)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(gone.into_iter().max())
}

/// Removes attempts (or parts) whose message went with its partition, from the id `after` on.
pub async fn orphans(
    pool: &PgPool,
    of: Partitioned,
    age: Duration,
    after: Uuid,
    limit: i64,
) -> Result<Next, sqlx::Error> {
    let table = of.table();
    let sql = format!(
        "WITH old AS (
             SELECT id, message_id FROM {table}
             WHERE id > $2 AND id < uuid7_floor(now() - $1 * interval '1 second') ORDER BY id LIMIT $3
         ), gone AS (
             DELETE FROM {table} t USING old
             WHERE t.id = old.id AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = old.message_id)
         )
         SELECT id FROM old ORDER BY id DESC LIMIT 1"
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).bind(age.as_secs_f64()).bind(after).bind(limit).fetch_optional(pool).await
}

/// Rows of one kind that are removed by their age alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aged {
    /// Events that a wrong clock stamped, outside of all days.
    StrayEvents,
    /// The integration log.
    Logs,
    /// Logins that have ended.
    Logins,
    /// Tasks that are done.
    DoneTasks,
    /// Dead tasks.
    DeadTasks,
    /// Rows of workers that live no more.
    Workers,
    /// Idempotency keys whose time is over; the age is that of their end.
    IdempotencyKeys,
    /// Questions to owners of senders that nobody waits for any more; the age is that of their end.
    Questions,
    /// Statistics.
    Statistics,
}

impl Aged {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::StrayEvents,
        Self::Logs,
        Self::Logins,
        Self::DoneTasks,
        Self::DeadTasks,
        Self::Workers,
        Self::IdempotencyKeys,
        Self::Questions,
        Self::Statistics,
    ];

    /// Table, key, and which rows are old, without the comparison; their index has the same condition and column.
    fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::StrayEvents => ("events_default", "id", "created_at"),
            Self::Logs => ("integration_logs", "id", "created_at"),
            Self::Logins => ("logins", "id", "status <> 'active' AND updated_at"),
            Self::DoneTasks => ("tasks", "id", "status = 'done' AND finished_at"),
            Self::DeadTasks => ("tasks", "id", "status = 'dead' AND finished_at"),
            Self::Workers => ("workers", "id", "valid_until"),
            Self::IdempotencyKeys => ("idempotency_keys", "(user_id, key)", "expires_at"),
            Self::Questions => ("questions", "id", "expires_at"),
            Self::Statistics => ("message_stats", "(user_id, day, sender_id, platform, route)", "day"),
        }
    }
}

/// Removes a batch of rows that are older than `age`; returns how many.
pub async fn aged(pool: &PgPool, of: Aged, age: Duration, limit: i64) -> Result<u64, sqlx::Error> {
    let (table, key, old) = of.parts();
    let columns = key.trim_matches(['(', ')']);
    // The condition stands in the outer statement too: a row that changed meanwhile stays.
    let sql = format!(
        "DELETE FROM {table} WHERE {key} IN (
             SELECT {columns} FROM {table} WHERE {old} < now() - $1 * interval '1 second' LIMIT $2
         ) AND {old} < now() - $1 * interval '1 second'"
    );
    let done = sqlx::query(AssertSqlSafe(sql)).bind(age.as_secs_f64()).bind(limit).execute(pool).await?;
    Ok(done.rows_affected())
}
