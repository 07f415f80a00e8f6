//! What operators see of tasks, and do with dead ones.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::Slice;

/// A task as it is shown.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct TaskRow {
    pub id: Uuid,
    pub name: String,
    pub queue: i16,
    pub key: Option<String>,
    pub input: Value,
    /// `ready` is split into `ready` (due) and `waiting`.
    pub status: String,
    pub attempts: i32,
    pub max_attempts: i32,
    pub due_at: DateTime<Utc>,
    pub every_ms: Option<i64>,
    pub worker_id: Option<Uuid>,
    pub local: bool,
    pub last_error: Option<String>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

const STATE: &str = "CASE WHEN status = 'ready' AND due_at > now() THEN 'waiting' ELSE status END";
const COLUMNS: &str = "id, name, queue, key, input,
     CASE WHEN status = 'ready' AND due_at > now() THEN 'waiting' ELSE status END AS status, attempts, max_attempts,
     due_at, every_ms, worker_id, local, last_error, created_at, started_at, finished_at";

/// Which tasks a list shows.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// In one of these states, as they are shown; empty is any.
    pub statuses: Vec<String>,
    /// Of this kind.
    pub name: Option<String>,
    /// In this queue.
    pub queue: Option<i16>,
}

/// One page of tasks.
pub async fn list(pool: &PgPool, filter: &TaskFilter, slice: Slice) -> Result<Vec<TaskRow>, sqlx::Error> {
    let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
    sql.push(COLUMNS).push(" FROM tasks WHERE TRUE");
    if !filter.statuses.is_empty() {
        sql.push(" AND ").push(STATE).push(" = ANY(").push_bind(&filter.statuses).push(")");
    }
    if let Some(name) = &filter.name {
        sql.push(" AND name = ").push_bind(name);
    }
    if let Some(queue) = filter.queue {
        sql.push(" AND queue = ").push_bind(queue);
    }
    if let Some(before) = slice.before {
        sql.push(" AND id < ").push_bind(before);
    }
    sql.push(" ORDER BY id DESC LIMIT ").push_bind(slice.rows);
    sql.build_query_as().fetch_all(pool).await
}

/// One task.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<TaskRow>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM tasks WHERE id = $1");
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await
}

/// Lets a dead task begin anew. Returns it as it is now, or `None` when it is not dead.
pub async fn replay(db: &mut PgConnection, id: Uuid) -> Result<Option<TaskRow>, sqlx::Error> {
    let sql = format!(
        "UPDATE tasks SET status = 'ready', attempts = 0, due_at = now(), finished_at = NULL
         WHERE id = $1 AND status = 'dead' RETURNING {COLUMNS}"
    );
    let row = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(&mut *db).await?;
    super::notify(db).await?;
    Ok(row)
}

/// Removes a dead task; false when it is not dead.
pub async fn delete(db: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("DELETE FROM tasks WHERE id = $1 AND status = 'dead'").bind(id).execute(db).await?;
    Ok(done.rows_affected() == 1)
}

/// How many dead tasks there are, by kind.
pub async fn dead_counts(pool: &PgPool) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as("SELECT name, count(*) FROM tasks WHERE status = 'dead' GROUP BY name").fetch_all(pool).await
}

/// One queue of tasks in numbers.
#[derive(Debug, Clone, FromRow)]
pub struct QueueRow {
    /// 0 high, 1 mid, 2 low.
    pub queue: i16,
    /// Due now.
    pub ready: i64,
    /// Being run.
    pub running: i64,
    /// Not due yet: a retry, a delay, or a periodic task between two runs.
    pub waiting: i64,
    /// Failed for good.
    pub dead: i64,
    /// For how many seconds the one that has been due for longest has been so.
    pub oldest_seconds: Option<f64>,
}

/// The three queues in numbers.
pub async fn queues(pool: &PgPool) -> Result<Vec<QueueRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT q.queue,
                count(*) FILTER (WHERE t.status = 'ready' AND t.due_at <= now()) AS ready,
                count(*) FILTER (WHERE t.status = 'running') AS running,
                count(*) FILTER (WHERE t.status = 'ready' AND t.due_at > now()) AS waiting,
                count(*) FILTER (WHERE t.status = 'dead') AS dead,
                extract(epoch FROM now() - min(t.due_at) FILTER (WHERE t.status = 'ready' AND t.due_at <= now()))::float8
                    AS oldest_seconds
         FROM unnest('{0,1,2}'::smallint[]) AS q(queue)
         LEFT JOIN tasks t ON t.queue = q.queue AND t.status <> 'done'
         GROUP BY q.queue ORDER BY q.queue",
    )
    .fetch_all(pool)
    .await
}
