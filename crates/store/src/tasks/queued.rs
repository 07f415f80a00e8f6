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

/// Notes that a local task is dead.
pub async fn bury(
    pool: &PgPool,
    name: &str,
    queue: i16,
    key: Uuid,
    attempts: i32,
    error: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO tasks AS t (id, name, queue, key, input, status, attempts, max_attempts, local, last_error,
                                 finished_at)
         VALUES ($1, $2, $3, $4::text, jsonb_build_object('key', $4::text), 'dead', $5, $5, TRUE, $6, now())
         ON CONFLICT (name, key) DO UPDATE SET status = 'dead', queue = EXCLUDED.queue, attempts = EXCLUDED.attempts,
             max_attempts = EXCLUDED.max_attempts, last_error = EXCLUDED.last_error, finished_at = now()
         WHERE t.local",
    )
    .bind(Uuid::now_v7())
    .bind(name)
    .bind(queue)
    .bind(key.to_string())
    .bind(attempts)
    .bind(error)
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
