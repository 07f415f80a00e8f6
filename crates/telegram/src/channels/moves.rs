//! Groups that live on as supergroups: the row, its history and its queue go on under the new id.

use serde_json::json;
use sqlx::{PgConnection, PgPool};
use store::events;
use uuid::Uuid;

/// A sender was told that a chat lives on under another id. Safe to be told again.
pub async fn migrate(pool: &PgPool, sender_id: Uuid, from: i64, to: i64) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let moved: Vec<(Uuid, i32)> = sqlx::query_as(
        "SELECT c.id, c.user_id FROM telegram_channels c
         WHERE c.channel_id = $2 AND EXISTS (
             SELECT 1 FROM channel_senders s WHERE s.channel_id = c.id AND s.sender_id = $1)
         ORDER BY c.id FOR UPDATE",
    )
    .bind(sender_id)
    .bind(from)
    .fetch_all(&mut *tx)
    .await?;
    for (channel_id, user_id) in moved {
        move_row(&mut tx, channel_id, user_id, from, to).await?;
    }
    tx.commit().await
}

/// Gives a row and what waits for it the new id.
pub async fn move_row(
    db: &mut PgConnection,
    channel_id: Uuid,
    user_id: i32,
    from: i64,
    to: i64,
) -> Result<(), sqlx::Error> {
    let taken: Option<Uuid> =
        sqlx::query_scalar("SELECT id FROM telegram_channels WHERE user_id = $1 AND channel_id = $2")
            .bind(user_id)
            .bind(to)
            .fetch_optional(&mut *db)
            .await?;
    match taken {
        // Somebody else was told, too, and has moved it.
        Some(other) if other == channel_id => return Ok(()),
        Some(other) => return merge(db, channel_id, user_id, other).await,
        None => {}
    }
    sqlx::query("UPDATE telegram_channels SET channel_id = $2, type = 'group' WHERE id = $1")
        .bind(channel_id)
        .bind(to)
        .execute(&mut *db)
        .await?;
    sqlx::query("UPDATE messages SET chat_id = $2 WHERE channel_id = $1 AND status IN ('scheduled', 'queued')")
        .bind(channel_id)
        .bind(to)
        .execute(&mut *db)
        .await?;
    let data = json!({ "from": from, "to": to });
    events::insert(db, user_id, "channel.migrated", channel_id, &data).await
}

/// The supergroup was connected by itself before the move was known: its row takes over what waits for the group, and who sends for it.
async fn merge(db: &mut PgConnection, channel_id: Uuid, user_id: i32, other: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE messages m SET channel_id = $2, chat_id = c.channel_id FROM telegram_channels c
         WHERE m.channel_id = $1 AND c.id = $2 AND m.status IN ('scheduled', 'queued')",
    )
    .bind(channel_id)
    .bind(other)
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "INSERT INTO channel_senders (channel_id, sender_id, position, standing, state, rights, checked_at)
         SELECT $2, s.sender_id, s.position + 1 + COALESCE((SELECT max(position) FROM channel_senders WHERE channel_id = $2), 0),
                s.standing, s.state, s.rights, s.checked_at
         FROM channel_senders s WHERE s.channel_id = $1
         ON CONFLICT DO NOTHING",
    )
    .bind(channel_id)
    .bind(other)
    .execute(&mut *db)
    .await?;
    sqlx::query("DELETE FROM channel_senders WHERE channel_id = $1").bind(channel_id).execute(&mut *db).await?;
    let reason = format!("The group became the supergroup that is connected as {other}.");
    sqlx::query(
        "UPDATE telegram_channels SET status = 'gone', status_reason = $2, status_changed_at = now()
         WHERE id = $1",
    )
    .bind(channel_id)
    .bind(&reason)
    .execute(&mut *db)
    .await?;
    let data = json!({ "status": "gone", "reason": reason, "goes_on_as": other });
    events::insert(db, user_id, "channel.gone", channel_id, &data).await
}
