//! What stands before a message that is not accepted yet: for saying when it would go out.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

/// Counted up to here: more is a long time anyway.
const MOST: i64 = 10_000;

/// What a message of a sender to a chat would have to wait for.
#[derive(Debug, Clone, Default, FromRow)]
pub struct Ahead {
    /// The platform lets the sender send nothing before.
    pub held_until: Option<DateTime<Utc>>,
    /// The chat is not tried before.
    pub chat_until: Option<DateTime<Utc>>,
    /// Messages that the sender would send first.
    pub of_sender: i64,
    /// Of these, those to the chat.
    pub of_chat: i64,
    /// Messages that went to the chat within the window of its pace.
    pub lately: i64,
}

/// Looks it up. `window` is that of the chat's pace.
pub async fn ahead(
    pool: &PgPool,
    sender_id: Uuid,
    chat_id: Option<i64>,
    priority: i16,
    window: Duration,
) -> Result<Ahead, sqlx::Error> {
    sqlx::query_as(
        "WITH queued AS (
             SELECT chat_id, not_before FROM messages
             WHERE sender_id = $1 AND status = 'queued' AND priority <= $3 LIMIT $5
         )
         SELECT (SELECT held_until FROM sender_leases WHERE sender_id = $1 AND held_until > now()) AS held_until,
                (SELECT max(not_before) FROM queued WHERE chat_id = $2 AND not_before > now()) AS chat_until,
                (SELECT count(*) FROM queued) AS of_sender,
                (SELECT count(*) FROM queued WHERE chat_id = $2) AS of_chat,
                (SELECT count(*) FROM messages m
                 WHERE m.sender_id = $1 AND m.chat_id = $2 AND m.id > uuid7_floor(now() - interval '1 hour')
                   AND m.status = 'sent' AND m.finished_at > now() - make_interval(secs => $4)) AS lately",
    )
    .bind(sender_id)
    .bind(chat_id)
    .bind(priority)
    .bind(window.as_secs_f64())
    .bind(MOST)
    .fetch_one(pool)
    .await
}
