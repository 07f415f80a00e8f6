//! `workers` and `sender_leases`: who speaks for a sender.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

/// How long a worker's row stays valid after a renewal, in seconds by the database's clock.
pub const VALID_SECONDS: f64 = 6.0;

/// A sender that a worker has taken.
#[derive(Debug, Clone, Copy, PartialEq, sqlx::FromRow)]
pub struct Lease {
    /// The sender.
    pub sender_id: Uuid,
    /// Grows with each move; guards the start of every attempt.
    pub epoch: i64,
    /// The platform told the sender as a whole to wait for so many seconds more: nothing is sent before.
    pub held_seconds: Option<f64>,
    /// It is not to be connected for so many seconds more.
    pub connect_in_seconds: Option<f64>,
}

impl Lease {
    /// How long nothing may be sent yet, as the platform told a former owner or this one.
    pub fn held_for(&self) -> Option<Duration> {
        positive(self.held_seconds)
    }

    /// How long it must not be connected yet.
    pub fn connects_in(&self) -> Option<Duration> {
        positive(self.connect_in_seconds)
    }
}

fn positive(seconds: Option<f64>) -> Option<Duration> {
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).filter(|duration| !duration.is_zero())
}

/// Enters a worker, or renews its row.
pub async fn renew(pool: &PgPool, worker_id: Uuid, host: &str, version: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO workers (id, host, pid, version, valid_until)
         VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5))
         ON CONFLICT (id) DO UPDATE SET valid_until = EXCLUDED.valid_until",
    )
    .bind(worker_id)
    .bind(host)
    .bind(i32::try_from(std::process::id()).unwrap_or(0))
    .bind(version)
    .bind(VALID_SECONDS)
    .execute(pool)
    .await
    .map(drop)
}

/// Senders that were taken.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// The senders.
    pub leases: Vec<Lease>,
    /// What became `unknown` by that.
    pub unknown: Vec<Unknown>,
}

/// A message that became `unknown`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Unknown {
    /// The route that it counts for.
    pub route: String,
    /// 0 high, 1 mid, 2 low.
    pub priority: i16,
}

/// Takes those of the senders that no living worker owns, at most so many. What their former owner left in `sending` becomes
/// `unknown`: nobody can tell whether it went out.
pub async fn acquire(pool: &PgPool, worker_id: Uuid, senders: &[Uuid], at_most: usize) -> Result<Taken, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let taken = acquire_in(&mut tx, worker_id, senders, at_most).await?;
    tx.commit().await?;
    Ok(taken)
}

/// The same within a transaction of the caller's.
pub async fn acquire_in(
    tx: &mut sqlx::PgConnection,
    worker_id: Uuid,
    senders: &[Uuid],
    at_most: usize,
) -> Result<Taken, sqlx::Error> {
    // What others own is left out before the limit, and looked at again under the row's lock. Workers that ask at the same moment prefer
    // different ones, and lock them in the same order.
    let leases: Vec<Lease> = sqlx::query_as(
        "INSERT INTO sender_leases AS l (sender_id, worker_id, epoch)
         SELECT id, $1, 1 FROM (
             SELECT id FROM unnest($2::uuid[]) AS t(id)
             WHERE NOT EXISTS (
                 SELECT 1 FROM sender_leases o JOIN workers w ON w.id = o.worker_id AND w.valid_until >= now()
                 WHERE o.sender_id = t.id AND o.worker_id <> $1)
             ORDER BY hashtext(id::text || $1::text) LIMIT $3
         ) AS preferred ORDER BY id
         ON CONFLICT (sender_id) DO UPDATE SET worker_id = $1, epoch = l.epoch + 1, acquired_at = now()
         WHERE l.worker_id IS NULL OR l.worker_id = $1
            OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.id = l.worker_id AND w.valid_until >= now())
         RETURNING sender_id, epoch, extract(epoch FROM held_until - now())::float8 AS held_seconds,
                   extract(epoch FROM connect_after - now())::float8 AS connect_in_seconds",
    )
    .bind(worker_id)
    .bind(senders)
    .bind(i64::try_from(at_most).unwrap_or(i64::MAX))
    .fetch_all(&mut *tx)
    .await?;
    let ids: Vec<Uuid> = leases.iter().map(|l| l.sender_id).collect();
    let unknown = abandon_attempts(tx, &ids).await?;
    Ok(Taken { leases, unknown })
}

/// Settles what the former owner had on the wire, with event and log. Where the platform knows a repeated message by its random id,
/// it is tried again, for up to an hour; elsewhere nobody can tell. Returns what became `unknown`.
async fn abandon_attempts(db: &mut sqlx::PgConnection, senders: &[Uuid]) -> Result<Vec<Unknown>, sqlx::Error> {
    sqlx::query_as(
        "WITH lost AS (
             UPDATE messages m SET error_code = 'interrupted',
                 error_message = 'The process stopped while the message was on its way.',
                 status = CASE WHEN s.deduplicates AND m.queued_at > now() - interval '1 hour'
                               THEN 'queued' ELSE 'unknown' END,
                 finished_at = CASE WHEN s.deduplicates AND m.queued_at > now() - interval '1 hour' THEN NULL ELSE now() END
             FROM messages o LEFT JOIN senders s ON s.id = o.sender_id
             WHERE m.id = o.id AND o.sender_id = ANY($1) AND o.status = 'sending' AND m.status = 'sending'
             RETURNING m.id, m.user_id, m.route, m.priority, m.sender_id, m.chat_id, m.status, m.attempt_id,
                       m.error_code, m.error_message
         ), attempts AS (
             UPDATE message_attempts a SET outcome = 'unknown', code = 'interrupted', finished_at = now()
             FROM lost WHERE a.id = lost.attempt_id AND a.outcome IS NULL
         ), told AS (
             INSERT INTO events (id, user_id, type, resource_id, data)
             SELECT uuid7_now(), user_id, 'message.' || status, id,
                    jsonb_build_object('status', status, 'sender_id', sender_id, 'chat_id', chat_id, 'code', error_code)
             FROM lost
         ), logged AS (
             INSERT INTO integration_logs (id, user_id, integration_type, action, status, details, error_message)
             SELECT uuid7_now(), l.user_id, 'telegram_' || route, 'send', 'error',
                    jsonb_build_object('message_id', l.id, 'state', status, 'code', error_code), error_message
             FROM lost l JOIN users u ON u.id = l.user_id
             WHERE status = 'unknown'
         )
         SELECT route, priority FROM lost WHERE status = 'unknown'",
    )
    .bind(senders)
    .fetch_all(db)
    .await
}

/// Takes a sender, or keeps it in its present epoch where the worker has it already: taking it once more would end its actor.
/// False when another living worker owns it.
pub async fn take_or_keep(tx: &mut sqlx::PgConnection, worker_id: Uuid, sender_id: Uuid) -> Result<bool, sqlx::Error> {
    let new = "INSERT INTO sender_leases (sender_id, worker_id, epoch) VALUES ($1, $2, 1) ON CONFLICT DO NOTHING";
    if sqlx::query(new).bind(sender_id).bind(worker_id).execute(&mut *tx).await?.rows_affected() == 1 {
        // Nobody has ever had it, so nothing of it is on the wire.
        return Ok(true);
    }
    let owns = "SELECT EXISTS (SELECT 1 FROM sender_leases WHERE sender_id = $1 AND worker_id = $2)";
    let owns: bool = sqlx::query_scalar(owns).bind(sender_id).bind(worker_id).fetch_one(&mut *tx).await?;
    Ok(owns || !acquire_in(tx, worker_id, &[sender_id], 1).await?.leases.is_empty())
}

/// The living worker that owns a sender.
pub async fn owner(pool: &PgPool, sender_id: Uuid) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT w.id FROM sender_leases l JOIN workers w ON w.id = l.worker_id AND w.valid_until >= now()
         WHERE l.sender_id = $1",
    )
    .bind(sender_id)
    .fetch_optional(pool)
    .await
}

/// Who owns these senders; those that nobody owns are left out.
pub async fn owners(pool: &PgPool, senders: &[Uuid]) -> Result<Vec<(Uuid, Uuid)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT l.sender_id, w.id FROM sender_leases l JOIN workers w ON w.id = l.worker_id AND w.valid_until >= now()
         WHERE l.sender_id = ANY($1)",
    )
    .bind(senders)
    .fetch_all(pool)
    .await
}

/// Gives everything back at the end of a worker.
pub async fn release_all(pool: &PgPool, worker_id: Uuid) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("UPDATE sender_leases SET worker_id = NULL WHERE worker_id = $1")
        .bind(worker_id)
        .execute(&mut *tx)
        .await?;
    sqlx::query("DELETE FROM workers WHERE id = $1").bind(worker_id).execute(&mut *tx).await?;
    tx.commit().await
}

/// Gives one sender back.
pub async fn release(pool: &PgPool, worker_id: Uuid, sender_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE sender_leases SET worker_id = NULL WHERE worker_id = $1 AND sender_id = $2")
        .bind(worker_id)
        .bind(sender_id)
        .execute(pool)
        .await
        .map(drop)
}

/// A worker that lives, as the others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Standing {
    /// The worker.
    pub worker_id: Uuid,
    /// It does not reach the platform of its accounts.
    pub cut_off: bool,
    /// How many senders it owns.
    pub owned: i64,
}

/// All workers that live.
pub async fn standings(pool: &PgPool) -> Result<Vec<Standing>, sqlx::Error> {
    sqlx::query_as(
        "SELECT w.id AS worker_id, w.cut_off_since IS NOT NULL AS cut_off,
                (SELECT count(*) FROM sender_leases l WHERE l.worker_id = w.id) AS owned
         FROM workers w WHERE w.valid_until >= now()",
    )
    .fetch_all(pool)
    .await
}

/// The senders that this worker owns and that may act, without those that are on their way out.
pub async fn owned(pool: &PgPool, worker_id: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT l.sender_id FROM sender_leases l JOIN senders s ON s.id = l.sender_id AND s.is_active
         WHERE l.worker_id = $1",
    )
    .bind(worker_id)
    .fetch_all(pool)
    .await
}

/// Those of the senders that no living worker owns.
pub async fn unowned(pool: &PgPool, senders: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT id FROM unnest($1::uuid[]) AS t(id) WHERE NOT EXISTS (
             SELECT 1 FROM sender_leases l JOIN workers w ON w.id = l.worker_id AND w.valid_until >= now()
             WHERE l.sender_id = t.id)",
    )
    .bind(senders)
    .fetch_all(pool)
    .await
}

/// Shows whether a worker reaches the platform of its accounts.
pub async fn set_cut_off(pool: &PgPool, worker_id: Uuid, cut_off: bool) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE workers SET cut_off_since = CASE WHEN $2 THEN now() END WHERE id = $1")
        .bind(worker_id)
        .bind(cut_off)
        .execute(pool)
        .await
        .map(drop)
}

/// Keeps that the platform told the sender as a whole to wait, for whoever owns it then.
pub async fn hold(pool: &PgPool, sender_id: Uuid, wait: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE sender_leases SET held_until = GREATEST(held_until, now() + make_interval(secs => $2)),
                held_from = CASE WHEN held_until > now() THEN COALESCE(held_from, now()) ELSE now() END
         WHERE sender_id = $1",
    )
    .bind(sender_id)
    .bind(wait.as_secs_f64())
    .execute(pool)
    .await
    .map(drop)
}

/// Keeps that the sender must not be connected for some time, for whoever owns it then.
pub async fn connect_later(pool: &PgPool, sender_id: Uuid, wait: Duration) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE sender_leases SET connect_after = now() + make_interval(secs => $2) WHERE sender_id = $1")
        .bind(sender_id)
        .bind(wait.as_secs_f64())
        .execute(pool)
        .await
        .map(drop)
}

/// Forgets all workers. Only for the embedded database, whose data folder is locked by this process: no other can be alive.
pub async fn forget_all(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM workers").execute(pool).await.map(drop)
}
