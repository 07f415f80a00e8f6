//! How rows come into the table.

use std::time::Duration;

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{PERIODIC, millis, notify};

/// A piece of work to queue.
#[derive(Debug, Clone, Copy)]
pub struct NewTask<'a> {
    /// The kind's name.
    pub name: &'a str,
    /// 0 high, 1 mid, 2 low.
    pub queue: i16,
    /// Work with the same name and key is queued once.
    pub key: Option<&'a str>,
    /// What the task needs to know; no secrets.
    pub input: &'a Value,
    /// After so many failed attempts it is dead.
    pub max_attempts: i32,
    /// Not before this time has passed.
    pub delay: Duration,
}

/// Queues a task in the caller's transaction; returns the id of its row. One with the same name and key gets the new input and
/// - is left to wait for its next try, if it waits for one, or comes earlier, if the new one would;
/// - runs once more afterwards, if it runs now: it may have read what has changed since;
/// - begins anew, if it is done or dead.
pub async fn enqueue(db: &mut PgConnection, task: NewTask<'_>) -> Result<Uuid, sqlx::Error> {
    let id = sqlx::query_scalar(
        "INSERT INTO tasks AS t (id, name, queue, key, input, status, max_attempts, due_at)
         VALUES ($1, $2, $3, $4, $5, 'ready', $6, now() + $7 * interval '1 millisecond')
         ON CONFLICT (name, key) DO UPDATE SET
             queue = EXCLUDED.queue, input = EXCLUDED.input, max_attempts = EXCLUDED.max_attempts,
             status = CASE WHEN t.status = 'running' THEN 'running' ELSE 'ready' END,
             again = t.status = 'running',
             attempts = CASE WHEN t.status IN ('done', 'dead') THEN 0 ELSE t.attempts END,
             due_at = CASE WHEN t.status <> 'ready' THEN EXCLUDED.due_at
                           WHEN t.attempts > 0 THEN t.due_at
                           ELSE LEAST(t.due_at, EXCLUDED.due_at) END,
             finished_at = NULL
         RETURNING id",
    )
    .bind(Uuid::now_v7())
    .bind(task.name)
    .bind(task.queue)
    .bind(task.key)
    .bind(task.input)
    .bind(task.max_attempts)
    .bind(millis(task.delay))
    .fetch_one(&mut *db)
    .await?;
    notify(db).await?;
    Ok(id)
}

/// A periodic task.
#[derive(Debug, Clone, Copy)]
pub struct Periodic<'a> {
    /// The kind's name.
    pub name: &'a str,
    /// 0 high, 1 mid, 2 low.
    pub queue: i16,
    /// After so many failed attempts it waits for its next turn.
    pub max_attempts: i32,
    /// So long from the end of one run to the next.
    pub every: Duration,
}

/// Makes sure that a periodic task has its one row. A new one is due at once; a shorter period takes effect at once.
pub async fn arm(pool: &PgPool, task: Periodic<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO tasks AS t (id, name, queue, key, input, status, max_attempts, every_ms)
         VALUES ($1, $2, $3, $4, 'null', 'ready', $5, $6)
         ON CONFLICT (name, key) DO UPDATE SET
             queue = EXCLUDED.queue, input = EXCLUDED.input, max_attempts = EXCLUDED.max_attempts,
             every_ms = EXCLUDED.every_ms,
             due_at = LEAST(t.due_at, now() + $6 * interval '1 millisecond')",
    )
    .bind(Uuid::now_v7())
    .bind(task.name)
    .bind(task.queue)
    .bind(PERIODIC)
    .bind(task.max_attempts)
    .bind(millis(task.every))
    .execute(pool)
    .await
    .map(drop)
}

/// A local task that has used up its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLocal {
    /// The kind's name.
    pub name: &'static str,
    /// 0 high, 1 mid, 2 low.
    pub queue: i16,
    /// What it failed for.
    pub key: Uuid,
    /// How often it was tried.
    pub attempts: i32,
    /// After how many it was dead.
    pub max_attempts: i32,
    /// Why it failed last.
    pub error: String,
}

/// Notes that local tasks are dead, and why; each name and key is there once. When it died stays what it was, and one that somebody
/// wants to be run again stays so.
pub async fn bury(pool: &PgPool, dead: &[&DeadLocal]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO tasks AS t (id, name, queue, key, input, status, attempts, max_attempts, local, last_error,
                                 finished_at)
         SELECT uuid7_now(), name, queue, key, jsonb_build_object('key', key), 'dead', attempts, max_attempts, TRUE, error,
                now()
         FROM unnest($1::text[], $2::smallint[], $3::text[], $4::int[], $5::int[], $6::text[])
              AS dead(name, queue, key, attempts, max_attempts, error)
         ORDER BY name, key
         ON CONFLICT (name, key) DO UPDATE SET queue = EXCLUDED.queue, attempts = EXCLUDED.attempts,
             max_attempts = EXCLUDED.max_attempts, last_error = EXCLUDED.last_error
         WHERE t.local AND t.status = 'dead'",
    )
    .bind(dead.iter().map(|dead| dead.name).collect::<Vec<_>>())
    .bind(dead.iter().map(|dead| dead.queue).collect::<Vec<_>>())
    .bind(dead.iter().map(|dead| dead.key.to_string()).collect::<Vec<_>>())
    .bind(dead.iter().map(|dead| dead.attempts).collect::<Vec<_>>())
    .bind(dead.iter().map(|dead| dead.max_attempts).collect::<Vec<_>>())
    .bind(dead.iter().map(|dead| &*dead.error).collect::<Vec<_>>())
    .execute(pool)
    .await
    .map(drop)
}

/// Removes what [`bury`] noted: these keys succeeded since.
pub async fn settle(pool: &PgPool, name: &str, keys: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM tasks WHERE name = $1 AND key = ANY($2) AND local")
        .bind(name)
        .bind(keys.iter().map(Uuid::to_string).collect::<Vec<_>>())
        .execute(pool)
        .await
        .map(drop)
}
