//! What is done with messages after they were accepted: their content changed, taken back, pinned.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::events;
use crate::logs::{self, NewLog};
use crate::messages::{COLUMNS, MessageRow};

/// What was done with a message that had been sent.
#[derive(Debug, Clone)]
pub enum Done {
    /// It says this now.
    Edited(Value),
    /// It was taken back.
    Deleted,
    /// It is pinned, or no longer.
    Pinned(bool),
}

impl Done {
    fn name(&self) -> &'static str {
        match self {
            Self::Edited(_) => "edited",
            Self::Deleted => "deleted",
            Self::Pinned(true) => "pinned",
            Self::Pinned(false) => "unpinned",
        }
    }

    fn action(&self) -> &'static str {
        match self {
            Self::Edited(_) => "edit",
            Self::Deleted => "delete",
            Self::Pinned(true) => "pin",
            Self::Pinned(false) => "unpin",
        }
    }
}

/// A part of a message at the platform.
#[derive(Debug, Clone, FromRow)]
pub struct PartRow {
    /// Its place, counted from 0.
    pub part: i32,
    /// Its id at the platform.
    pub platform_message_id: Option<i64>,
}

/// The parts of a message that has several at the platform, in their order.
pub async fn parts(pool: &PgPool, message_id: Uuid) -> Result<Vec<PartRow>, sqlx::Error> {
    sqlx::query_as("SELECT part, platform_message_id FROM message_parts WHERE message_id = $1 ORDER BY part")
        .bind(message_id)
        .fetch_all(pool)
        .await
}

/// The public name of a chat: as its connected channel is known, else as this sender was last asked for it.
pub async fn chat_name(pool: &PgPool, row: &MessageRow) -> Result<Option<String>, sqlx::Error> {
    let connected: Option<Option<String>> =
        sqlx::query_scalar("SELECT username FROM telegram_channels WHERE user_id = $1 AND channel_id = $2 LIMIT 1")
            .bind(row.user_id)
            .bind(row.chat_id)
            .fetch_optional(pool)
            .await?;
    if let Some(name) = connected {
        return Ok(name);
    }
    sqlx::query_scalar(
        "SELECT name FROM telegram_peers WHERE sender_id = $1 AND chat_id = $2 ORDER BY resolved_at DESC LIMIT 1",
    )
    .bind(row.sender_id)
    .bind(row.chat_id)
    .fetch_optional(pool)
    .await
}

/// Changes what a message says that still waits. `None` when it waits no more, says something else than `before` meanwhile, or may have
/// arrived already: then its next attempt would repeat what it said before.
pub async fn rewrite(
    db: &mut PgConnection,
    id: Uuid,
    before: &Value,
    content: &Value,
) -> Result<Option<MessageRow>, sqlx::Error> {
    let sql = format!(
        "UPDATE messages m SET content = $2 WHERE id = $1 AND status IN ('scheduled', 'queued') AND content = $3
             AND NOT (attempts > 0 AND EXISTS (
                 SELECT 1 FROM message_attempts a WHERE a.message_id = m.id AND a.outcome = 'unknown'))
         RETURNING {COLUMNS}"
    );
    let row: Option<MessageRow> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(id).bind(content).bind(before).fetch_optional(&mut *db).await?;
    if let Some(row) = &row {
        tell(db, row, "edited").await?;
    }
    Ok(row)
}

/// Reserves a message that was sent for one change; false when another one runs, when it is not there to be changed, or when it says
/// something else than `before` meanwhile.
pub async fn begin(pool: &PgPool, id: Uuid, before: &Value, seconds: f64) -> Result<bool, sqlx::Error> {
    let begun = sqlx::query(
        "UPDATE messages SET changing_until = now() + make_interval(secs => $2)
         WHERE id = $1 AND status = 'sent' AND deleted_at IS NULL AND content = $3
           AND (changing_until IS NULL OR changing_until < now())",
    )
    .bind(id)
    .bind(seconds)
    .bind(before)
    .execute(pool)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// The change came to nothing: the next one may begin.
pub async fn abandon(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE messages SET changing_until = NULL WHERE id = $1").bind(id).execute(pool).await.map(drop)
}

/// Writes what was done, with event and log.
pub async fn finish(db: &mut PgConnection, id: Uuid, done: &Done) -> Result<Option<MessageRow>, sqlx::Error> {
    let (set, content) = match done {
        Done::Edited(content) => ("content = $2, edited_at = now()", content.clone()),
        Done::Deleted => ("deleted_at = now(), pinned = FALSE", Value::Null),
        Done::Pinned(true) => ("pinned = TRUE", Value::Null),
        Done::Pinned(false) => ("pinned = FALSE", Value::Null),
    };
    let sql = format!(
        "UPDATE messages SET {set}, changing_until = NULL WHERE id = $1 AND $2::jsonb IS NOT NULL RETURNING {COLUMNS}"
    );
    let row: Option<MessageRow> =
        sqlx::query_as(AssertSqlSafe(sql)).bind(id).bind(content).fetch_optional(&mut *db).await?;
    let Some(row) = row else { return Ok(None) };
    tell(db, &row, done.name()).await?;
    log(db, &row, done.action(), None).await?;
    Ok(Some(row))
}

/// Logs that the platform refused a change.
pub async fn refused(db: &mut PgConnection, row: &MessageRow, action: &Done, why: &str) -> Result<(), sqlx::Error> {
    log(db, row, action.action(), Some(why)).await
}

async fn tell(db: &mut PgConnection, row: &MessageRow, what: &str) -> Result<(), sqlx::Error> {
    let data = json!({
        "status": row.status, "sender_id": row.sender_id, "chat_id": row.chat_id,
        "platform_message_id": row.platform_message_id,
    });
    events::insert(&mut *db, row.user_id, &format!("message.{what}"), row.id, &data).await
}

async fn log(db: &mut PgConnection, row: &MessageRow, action: &str, error: Option<&str>) -> Result<(), sqlx::Error> {
    let log = NewLog {
        user_id: row.user_id,
        integration_type: &format!("telegram_{}", row.route),
        action,
        error,
        details: Some(json!({ "message_id": row.id })),
    };
    logs::insert(db, &log).await
}
