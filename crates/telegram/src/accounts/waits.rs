//! Waits that Telegram imposes on an account, also over restarts and lost connections: on all that it does (`status_until`), and on its
//! messages to strangers (`strangers_blocked_until`).

use chrono::{DateTime, SubsecRound as _, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::table::{AccountStatus, tell};

/// Shows an account as connected: active, or still limited when a wait is not over. Nothing happens when it is shown so already, when
/// its owner switched it off, or when it has been logged in anew since `login_epoch`.
pub async fn set_connected(pool: &PgPool, id: Uuid, login_epoch: i32) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let shown: Option<(i32, Option<DateTime<Utc>>)> = sqlx::query_as(
        "UPDATE telegram_sessions s SET status = w.status, status_reason = w.reason, status_until = w.until,
             status_changed_at = now(), is_active = TRUE, connected_at = now()
         FROM (SELECT id, CASE WHEN status_until > now() THEN 'limited' ELSE 'active' END AS status,
                      CASE WHEN status_until > now() THEN 'flood_wait' END AS reason,
                      CASE WHEN status_until > now() THEN status_until END AS until
               FROM telegram_sessions WHERE id = $1 FOR UPDATE) w
         WHERE s.id = w.id AND s.login_epoch = $2 AND s.status <> 'off' AND s.status <> w.status
         RETURNING s.user_id, s.status_until",
    )
    .bind(id)
    .bind(login_epoch)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((user_id, until)) = shown else { return Ok(()) };
    let (status, reason) = match until {
        Some(_) => (AccountStatus::Limited, Some("flood_wait")),
        None => (AccountStatus::Active, None),
    };
    tell(&mut tx, user_id, id, status, reason, until).await?;
    tx.commit().await
}

/// Ends the waits whose time has passed, with event and log. Safe in several processes at once.
pub async fn end_waits(pool: &PgPool) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let ended: Vec<(Uuid, i32, bool)> = sqlx::query_as(
        "WITH passed AS (
             SELECT id, status = 'limited' AS was_limited FROM telegram_sessions
             WHERE status_until <= now() ORDER BY status_until LIMIT 500 FOR UPDATE SKIP LOCKED
         )
         UPDATE telegram_sessions s SET status_until = NULL,
             status = CASE WHEN was_limited THEN 'active' ELSE status END,
             status_reason = CASE WHEN was_limited THEN NULL ELSE status_reason END,
             status_changed_at = CASE WHEN was_limited THEN now() ELSE status_changed_at END
         FROM passed WHERE s.id = passed.id
         RETURNING s.id, s.user_id, was_limited",
    )
    .fetch_all(&mut *tx)
    .await?;
    // One that is not connected at the moment only loses the time.
    for (id, user_id, _) in ended.into_iter().filter(|(_, _, was_limited)| *was_limited) {
        tell(&mut tx, user_id, id, AccountStatus::Active, None, None).await?;
    }
    tx.commit().await
}

/// Keeps an account from writing to strangers until then. Tells its owner, unless it was kept from it already.
pub async fn block_strangers(pool: &PgPool, id: Uuid, until: DateTime<Utc>) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    // As precise as the database keeps it: the event and the resource name the same time.
    let until = until.trunc_subsecs(6);
    let blocked: Option<(i32, bool)> = sqlx::query_as(
        "UPDATE telegram_sessions s SET strangers_blocked_until = $2
         FROM (SELECT id, COALESCE(strangers_blocked_until > now(), FALSE) AS was_blocked
               FROM telegram_sessions WHERE id = $1 FOR UPDATE) b
         WHERE s.id = b.id RETURNING s.user_id, was_blocked",
    )
    .bind(id)
    .bind(until)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some((user_id, false)) = blocked {
        let data = json!({ "reason": "peer_flood", "until": until });
        store::events::insert(&mut *tx, user_id, "account.peer_flood", id, &data).await?;
        let log = store::logs::NewLog {
            user_id,
            integration_type: "telegram_account",
            action: "peer_flood",
            error: Some("Telegram takes the account's messages to strangers for spam: no more are tried for a while."),
            details: Some(json!({ "account_id": id, "until": until })),
        };
        store::logs::insert(&mut *tx, &log).await?;
    }
    tx.commit().await
}
