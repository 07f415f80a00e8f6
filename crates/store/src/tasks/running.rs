//! How rows are claimed, and how a run ends.

use std::time::Duration;

use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::{PERIODIC_DEAD, millis};

/// A task that this worker runs now.
#[derive(Debug, Clone, FromRow)]
pub struct ClaimedTask {
    /// The row.
    pub id: Uuid,
    /// This run of it.
    pub run_id: Uuid,
    /// The kind's name.
    pub name: String,
    /// What it needs to know.
    pub input: Value,
    /// Which attempt this is, from 1.
    pub attempts: i32,
}

/// Which queues have tasks of these kinds that are due.
pub async fn due_queues(pool: &PgPool, names: &[&str]) -> Result<Vec<i16>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT queue FROM unnest('{0,1,2}'::smallint[]) AS q(queue)
         WHERE EXISTS (SELECT 1 FROM tasks t WHERE t.status = 'ready' AND t.queue = q.queue AND t.due_at <= now()
                       AND NOT t.local AND t.name = ANY($1))",
    )
    .bind(names)
    .fetch_all(pool)
    .await
}

/// Claims due tasks of one queue for a worker, whose row must be valid. Kinds that it does not know are left to others.
pub async fn claim(
    pool: &PgPool,
    worker_id: Uuid,
    queue: i16,
    names: &[&str],
    limit: i64,
) -> Result<Vec<ClaimedTask>, sqlx::Error> {
    sqlx::query_as(
        "WITH due AS (
             SELECT id FROM tasks
             WHERE status = 'ready' AND queue = $2 AND due_at <= now() AND NOT local AND name = ANY($3)
               AND EXISTS (SELECT 1 FROM workers WHERE id = $1 AND valid_until > now())
             ORDER BY due_at, id LIMIT $4 FOR UPDATE SKIP LOCKED
         )
         UPDATE tasks t SET status = 'running', worker_id = $1, run_id = gen_random_uuid(), started_at = now(),
                attempts = t.attempts + 1, again = FALSE
         FROM due WHERE t.id = due.id
         RETURNING t.id, t.run_id, t.name, t.input, t.attempts",
    )
    .bind(worker_id)
    .bind(queue)
    .bind(names)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The work is done.
    Done,
    /// It failed and is to be tried again.
    Again {
        /// After this time.
        wait: Duration,
        /// Why it failed.
        error: String,
    },
    /// It failed for good.
    Dead {
        /// Why.
        error: String,
    },
    /// It was not finished, and that is nobody's fault: the attempt does not count.
    GivenBack,
}

/// Writes the end of a run; false when the run is not the task's any more, because another worker has taken it over.
pub async fn finish(pool: &PgPool, id: Uuid, run_id: Uuid, ended: &Ended) -> Result<bool, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let written = match ended {
        Ended::Done => end(&mut tx, id, run_id, "done", None).await?,
        Ended::Dead { error } => end(&mut tx, id, run_id, "dead", Some(error)).await?,
        Ended::Again { wait, error } => {
            let again = "UPDATE tasks SET status = 'ready', due_at = now() + $3 * interval '1 millisecond',
                             last_error = $4, worker_id = NULL, run_id = NULL, again = FALSE
                         WHERE id = $1 AND run_id = $2";
            let again = sqlx::query(again).bind(id).bind(run_id).bind(millis(*wait)).bind(error);
            again.execute(&mut *tx).await?.rows_affected() == 1
        }
        Ended::GivenBack => {
            let back = "UPDATE tasks SET status = 'ready', due_at = now(), attempts = attempts - 1, worker_id = NULL,
                            run_id = NULL, again = FALSE
                        WHERE id = $1 AND run_id = $2";
            let written = sqlx::query(back).bind(id).bind(run_id).execute(&mut *tx).await?.rows_affected() == 1;
            super::notify(&mut tx).await?;
            written
        }
    };
    tx.commit().await?;
    Ok(written)
}

/// Ends a run for good. A periodic task waits for its next turn, one that was queued again begins anew.
async fn end(
    db: &mut PgConnection,
    id: Uuid,
    run_id: Uuid,
    status: &str,
    error: Option<&str>,
) -> Result<bool, sqlx::Error> {
    note_periodic(db, id, run_id, error).await?;
    let done = sqlx::query(
        "UPDATE tasks SET
             status = CASE WHEN every_ms IS NOT NULL OR again THEN 'ready' ELSE $3 END,
             due_at = CASE WHEN every_ms IS NOT NULL THEN now() + every_ms * interval '1 millisecond' ELSE due_at END,
             attempts = CASE WHEN every_ms IS NOT NULL OR again THEN 0 ELSE attempts END,
             finished_at = CASE WHEN again AND every_ms IS NULL THEN NULL ELSE now() END,
             last_error = $4, worker_id = NULL, run_id = NULL, again = FALSE
         WHERE id = $1 AND run_id = $2",
    )
    .bind(id)
    .bind(run_id)
    .bind(status)
    .bind(error)
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A periodic task goes on after it used up its attempts, so a row beside it tells of that, until a run succeeds.
async fn note_periodic(db: &mut PgConnection, id: Uuid, run_id: Uuid, error: Option<&str>) -> Result<(), sqlx::Error> {
    let statement = if error.is_some() {
        "INSERT INTO tasks AS d (id, name, queue, key, input, status, attempts, max_attempts, last_error, finished_at)
         SELECT uuid7_now(), name, queue, $3, input, 'dead', attempts, max_attempts, $4, now()
         FROM tasks WHERE id = $1 AND run_id = $2 AND every_ms IS NOT NULL
         ON CONFLICT (name, key) DO UPDATE SET status = 'dead', attempts = EXCLUDED.attempts,
             last_error = EXCLUDED.last_error, finished_at = now()
         WHERE d.status <> 'running'"
    } else {
        "DELETE FROM tasks WHERE key = $3 AND status = 'dead' AND $4::text IS NULL
           AND name = (SELECT name FROM tasks WHERE id = $1 AND run_id = $2 AND every_ms IS NOT NULL)"
    };
    sqlx::query(statement).bind(id).bind(run_id).bind(PERIODIC_DEAD).bind(error).execute(db).await.map(drop)
}

/// A run that goes on nowhere.
#[derive(Debug, Clone, FromRow)]
pub struct Lost {
    /// The row.
    pub id: Uuid,
    /// The run.
    pub run_id: Uuid,
    /// The kind's name.
    pub name: String,
    /// Whether that was its last attempt: a task that kills its process must not do so for ever.
    pub was_last: bool,
    /// The asking worker claimed it without knowing: the claim's answer was lost.
    pub is_own: bool,
}

/// The runs whose workers live no more, and those of this worker that are not among the ones it knows. Whoever sees one ends it with
/// [`finish`]: one of them succeeds.
pub async fn lost(pool: &PgPool, worker_id: Uuid, known: &[Uuid]) -> Result<Vec<Lost>, sqlx::Error> {
    sqlx::query_as(
        "SELECT t.id, t.run_id, t.name, t.attempts >= t.max_attempts AS was_last,
                t.worker_id IS NOT DISTINCT FROM $1 AS is_own
         FROM tasks t LEFT JOIN workers w ON w.id = t.worker_id AND w.valid_until >= now()
         WHERE t.status = 'running' AND NOT t.run_id = ANY($2) AND (w.id IS NULL OR t.worker_id = $1) LIMIT 100",
    )
    .bind(worker_id)
    .bind(known)
    .fetch_all(pool)
    .await
}

/// A dead local task that an operator wants to be run again.
#[derive(Debug, Clone, FromRow)]
pub struct LocalTask {
    /// The row.
    pub id: Uuid,
    /// The kind's name.
    pub name: String,
    /// Its key.
    pub key: String,
}

/// Local tasks of these kinds that are to be run again by the process that holds their keys.
pub async fn replayed_locals(pool: &PgPool, names: &[&str]) -> Result<Vec<LocalTask>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, COALESCE(key, '') AS key FROM tasks WHERE status = 'ready' AND local AND name = ANY($1)
         ORDER BY queue, due_at LIMIT 1000",
    )
    .bind(names)
    .fetch_all(pool)
    .await
}

/// Takes one of them out of the table: true when it was there.
pub async fn take_local(pool: &PgPool, id: Uuid) -> Result<bool, sqlx::Error> {
    let done =
        sqlx::query("DELETE FROM tasks WHERE id = $1 AND status = 'ready' AND local").bind(id).execute(pool).await?;
    Ok(done.rows_affected() == 1)
}
