//! `telegram_channel_checks`: when each channel was looked at last, and is to be next; and what its owner is told of a look.

use std::time::Duration;

use platform::ChatInfo;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use store::{events, logs};
use uuid::Uuid;

use super::{senders::Change, table};

/// Takes channels whose time has come, and sets the next time of each: about a period later, so that those that were connected
/// together do not stay together. Of a chat that is gone it is asked less often: it may come back.
pub async fn take_due(pool: &PgPool, period: Duration, limit: i64) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "UPDATE telegram_channel_checks k
         SET next_check_at = now() + make_interval(secs => $1 * (0.8 + 0.4 * random())
             * CASE WHEN c.status = 'gone' THEN 24 ELSE 1 END)
         FROM telegram_channels c
         WHERE c.id = k.channel_id AND k.channel_id IN (
             SELECT channel_id FROM telegram_channel_checks WHERE next_check_at <= now()
             ORDER BY next_check_at LIMIT $2 FOR UPDATE SKIP LOCKED)
         RETURNING k.channel_id",
    )
    .bind(period.as_secs_f64())
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// It was looked at just now.
pub async fn done(db: &mut PgConnection, channel_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE telegram_channel_checks SET checked_at = now() WHERE channel_id = $1")
        .bind(channel_id)
        .execute(db)
        .await
        .map(drop)
}

/// The next look is due a period after the first one.
pub async fn schedule(db: &mut PgConnection, channel_id: Uuid, period: Duration) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE telegram_channel_checks SET next_check_at = now() + make_interval(secs => $2 * (0.5 + 0.5 * random()))
         WHERE channel_id = $1",
    )
    .bind(channel_id)
    .bind(period.as_secs_f64())
    .execute(db)
    .await
    .map(drop)
}

/// Keeps what the chat is now, and tells its owner when it has another name.
pub async fn keep_chat(
    db: &mut PgConnection,
    user_id: i32,
    channel_id: Uuid,
    info: &ChatInfo,
) -> Result<(), sqlx::Error> {
    if table::refresh(&mut *db, channel_id, info).await? {
        let data = json!({ "title": info.title, "username": info.username });
        events::insert(db, user_id, "channel.renamed", channel_id, &data).await?;
    }
    Ok(())
}

/// Tells the owner of a channel what a sender may no longer do, or may do now; what is lost is logged, too.
pub async fn tell(db: &mut PgConnection, user_id: i32, channel_id: Uuid, change: &Change) -> Result<(), sqlx::Error> {
    let (code, words) = change.obstacle.clone().unzip();
    let data = json!({ "sender_id": change.sender_id, "lost": change.lost, "gained": change.gained, "code": code, "reason": words });
    if !change.gained.is_empty() {
        events::insert(&mut *db, user_id, "channel.rights_gained", channel_id, &data).await?;
    }
    if change.lost.is_empty() {
        return Ok(());
    }
    events::insert(&mut *db, user_id, "channel.rights_lost", channel_id, &data).await?;
    tracing::warn!(%channel_id, sender_id = %change.sender_id, lost = ?change.lost, code, "a sender lost rights in a channel");
    let words = words.unwrap_or_else(|| format!("The sender may not do any more: {}.", change.lost.join(", ")));
    let log = logs::NewLog {
        user_id,
        integration_type: "telegram_channel",
        action: "rights_lost",
        error: Some(&words),
        details: Some(
            json!({ "channel_id": channel_id, "sender_id": change.sender_id, "lost": change.lost, "code": code }),
        ),
    };
    logs::insert(db, &log).await
}
