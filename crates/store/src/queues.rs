//! The queues of messages in numbers.

use sqlx::{FromRow, PgPool};

/// One queue of messages.
#[derive(Debug, Clone, FromRow)]
pub struct QueueRow {
    /// 0 high, 1 mid, 2 low.
    pub priority: i16,
    /// Waiting to be sent.
    pub due: i64,
    /// Scheduled for later.
    pub scheduled: i64,
    /// For how many seconds the one that has been due for longest has been so.
    pub oldest_seconds: Option<f64>,
}

/// The three queues. Each part is one that has an index of its own.
pub async fn list(pool: &PgPool) -> Result<Vec<QueueRow>, sqlx::Error> {
    sqlx::query_as(
        "WITH queued AS (
             SELECT priority, count(*) AS due, min(queued_at) AS oldest FROM messages WHERE status = 'queued'
             GROUP BY priority
         ), later AS (
             SELECT priority, count(*) AS scheduled FROM messages WHERE status = 'scheduled' GROUP BY priority
         )
         SELECT p.priority, COALESCE(q.due, 0) AS due, COALESCE(l.scheduled, 0) AS scheduled,
                extract(epoch FROM now() - q.oldest)::float8 AS oldest_seconds
         FROM unnest('{0,1,2}'::smallint[]) AS p(priority)
         LEFT JOIN queued q ON q.priority = p.priority LEFT JOIN later l ON l.priority = p.priority
         ORDER BY p.priority",
    )
    .fetch_all(pool)
    .await
}
