//! `workers`, as operators see them. Their own side is [`crate::leases`].

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

/// A worker.
#[derive(Debug, Clone, FromRow)]
pub struct WorkerRow {
    /// Made anew at each start of a process.
    pub id: Uuid,
    /// The machine.
    pub host: String,
    /// The process there.
    pub pid: i32,
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// What it owns is free when it has not renewed its row by then.
    pub valid_until: DateTime<Utc>,
    /// Whether that time is still to come.
    pub is_alive: bool,
    /// Since when it does not reach the platform of its accounts.
    pub cut_off_since: Option<DateTime<Utc>>,
    /// How many bots it speaks for.
    pub bots: i64,
    /// How many accounts it speaks for.
    pub accounts: i64,
    /// How many background tasks it runs now.
    pub tasks: i64,
}

/// All workers, the newest first; one that was killed stays for a day.
pub async fn list(pool: &PgPool) -> Result<Vec<WorkerRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT w.id, w.host, w.pid, w.version, w.started_at, w.valid_until, w.valid_until >= now() AS is_alive,
                w.cut_off_since,
                COALESCE(o.bots, 0) AS bots, COALESCE(o.accounts, 0) AS accounts,
                (SELECT count(*) FROM tasks t WHERE t.worker_id = w.id AND t.status = 'running') AS tasks
         FROM workers w
         LEFT JOIN (
             SELECT l.worker_id, count(*) FILTER (WHERE s.kind = 'bot') AS bots,
                    count(*) FILTER (WHERE s.kind = 'account') AS accounts
             FROM sender_leases l JOIN senders s ON s.id = l.sender_id GROUP BY l.worker_id
         ) o ON o.worker_id = w.id
         ORDER BY w.id DESC",
    )
    .fetch_all(pool)
    .await
}
