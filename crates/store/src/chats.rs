//! The chats that messages go to: `telegram_peers` and the destinations of what waits.

use sqlx::PgPool;
use uuid::Uuid;

/// Gives the numeric id of a name to everything that waits for it, and remembers it for later messages.
pub async fn resolved(pool: &PgPool, sender_id: Uuid, name: &str, chat_id: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH peer AS (
             INSERT INTO telegram_peers (sender_id, name, chat_id) VALUES ($1, $2, $3)
             ON CONFLICT (sender_id, name) DO UPDATE SET chat_id = EXCLUDED.chat_id, resolved_at = now()
         )
         UPDATE messages SET chat_id = $3
         WHERE sender_id = $1 AND chat_name = $2 AND chat_id IS NULL AND status IN ('queued', 'scheduled')",
    )
    .bind(sender_id)
    .bind(name)
    .bind(chat_id)
    .execute(pool)
    .await
    .map(drop)
}

/// Moves what waits for a chat to the id under which the chat lives on.
pub async fn migrate(pool: &PgPool, sender_id: Uuid, from: i64, to: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH peers AS (UPDATE telegram_peers SET chat_id = $3 WHERE sender_id = $1 AND chat_id = $2)
         UPDATE messages SET chat_id = $3
         WHERE sender_id = $1 AND chat_id = $2 AND status IN ('queued', 'scheduled')",
    )
    .bind(sender_id)
    .bind(from)
    .bind(to)
    .execute(pool)
    .await
    .map(drop)
}

/// The people whom a sender has reached: the private chats that a message was sent to.
pub async fn people_reached(pool: &PgPool, sender_id: Uuid) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT DISTINCT chat_id FROM messages WHERE sender_id = $1 AND status = 'sent' AND chat_id > 0")
        .bind(sender_id)
        .fetch_all(pool)
        .await
}
