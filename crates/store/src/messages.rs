//! `messages`: accepting them, showing them, and what their owner may do with them.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgExecutor, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::{Slice, group::Commit};

/// One of the messages that are accepted together.
#[derive(Debug, Clone)]
pub struct NewPart {
    /// UUIDv7, made by the caller.
    pub id: Uuid,
    /// Kind of content.
    pub kind: &'static str,
    /// The content as JSON text.
    pub content: String,
    /// Id that the platform deduplicates on.
    pub random_id: i64,
    /// The stored files that it needs.
    pub files: Vec<Uuid>,
}

/// A message to accept, or several that are accepted together and keep their order.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The id of the first.
    pub id: Uuid,
    /// All of them.
    pub parts: Vec<NewPart>,
    /// Who calls.
    pub caller: i32,
    /// The caller may send through everybody's senders.
    pub caller_is_admin: bool,
    /// The route that was called: `bot`, `account` or `channel`.
    pub route: &'static str,
    /// The sender's row.
    pub sender_id: Uuid,
    /// The channel that it is for.
    pub channel_id: Option<Uuid>,
    /// Numeric destination, unless a name is given.
    pub chat_id: Option<i64>,
    /// Destination by name, without `@`, lower case.
    pub chat_name: Option<String>,
    /// 0 high, 1 mid, 2 low.
    pub priority: i16,
    /// Not before this time.
    pub scheduled_at: Option<DateTime<Utc>>,
    /// `Idempotency-Key` and the hash of the body.
    pub key: Option<(String, Vec<u8>)>,
    /// The answer to store with the key, as JSON text.
    pub response: String,
    /// Id of the request that brought it.
    pub request_id: Option<String>,
    /// W3C trace context that it continues.
    pub traceparent: Option<String>,
}

/// What became of a message offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is stored and will be sent.
    Stored,
    /// Nothing was stored: the sender does not exist, is not the caller's, is not active, or the key is taken.
    Refused,
}

/// Accepts messages, many in one commit.
pub struct Accept {
    /// The database.
    pub pool: PgPool,
}

/// The constraint that keeps a file as long as messages need it.
const FILE_KEY: &str = "message_files_file_id_fkey";

/// Whether a message was refused because a file that it needs is gone.
pub fn lacks_file(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.constraint() == Some(FILE_KEY))
}

const ACCEPT: &str = "
WITH input AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::bool[], $4::text[], $5::uuid[], $6::bigint[], $7::text[],
                         $8::smallint[], $9::timestamptz[], $10::text[], $11::bytea[], $12::text[], $13::text[],
                         $14::text[], $23::uuid[])
        WITH ORDINALITY AS t(id, caller, is_admin, route, sender_id, chat_id, chat_name, priority, scheduled_at, key,
                             body_hash, response, request_id, traceparent, channel_id, place)
), parts AS (
    SELECT * FROM unnest($15::bigint[], $16::uuid[], $17::text[], $18::text[], $19::bigint[], $20::uuid[])
        WITH ORDINALITY AS t(of_place, part_id, kind, content, random_id, event_id, part_place)
), valid AS (
    -- One look by key for each message, whatever the planner believes of the tables' sizes: hence OFFSET and the subquery.
    SELECT i.*, s.user_id AS owner, COALESCE(i.chat_id, (
               SELECT p.chat_id FROM telegram_peers p WHERE p.sender_id = i.sender_id AND p.name = i.chat_name
           )) AS known_chat_id
    FROM input i
    CROSS JOIN LATERAL (
        SELECT user_id FROM senders
        WHERE id = i.sender_id AND is_active AND (i.is_admin OR user_id = i.caller)
          AND (kind = i.route OR i.channel_id IS NOT NULL) OFFSET 0
    ) s
    WHERE i.channel_id IS NULL OR EXISTS (
        SELECT 1 FROM telegram_channels c WHERE c.id = i.channel_id AND c.user_id = s.user_id AND c.is_active)
), keyed AS (
    INSERT INTO idempotency_keys AS k
        (user_id, key, body_hash, resource_id, response_status, response, locked_until, expires_at)
    SELECT caller, key, body_hash, id, 202, response::jsonb, now(), now() + interval '24 hours'
    FROM valid WHERE key IS NOT NULL ORDER BY caller, key
    ON CONFLICT (user_id, key) DO UPDATE SET body_hash = EXCLUDED.body_hash, resource_id = EXCLUDED.resource_id,
        response_status = EXCLUDED.response_status, response = EXCLUDED.response, expires_at = EXCLUDED.expires_at
    WHERE k.expires_at < now()
    RETURNING resource_id
), accepted AS (
    INSERT INTO messages (id, user_id, route, sender_id, channel_id, chat_id, chat_name, kind, content, status, priority,
                          scheduled_at, random_id, request_id, traceparent, queued_at)
    SELECT part_id, owner, route, sender_id, channel_id, known_chat_id, chat_name, kind, content::jsonb,
           CASE WHEN scheduled_at IS NULL THEN 'queued' ELSE 'scheduled' END, priority,
           scheduled_at, random_id, request_id, traceparent, CASE WHEN scheduled_at IS NULL THEN now() END
    FROM valid JOIN parts ON of_place = place
    WHERE key IS NULL OR id IN (SELECT resource_id FROM keyed)
    ORDER BY part_place
    RETURNING id, user_id, sender_id, status, chat_id
), needed AS (
    INSERT INTO message_files (message_id, file_id)
    SELECT message_id, file_id FROM unnest($21::uuid[], $22::uuid[]) AS t(message_id, file_id)
    JOIN accepted ON id = message_id
), told AS (
    INSERT INTO events (id, user_id, type, resource_id, data)
    SELECT p.event_id, a.user_id, 'message.' || a.status, a.id,
           jsonb_build_object('status', a.status, 'sender_id', a.sender_id, 'chat_id', a.chat_id)
    FROM accepted a JOIN parts p ON p.part_id = a.id
)
SELECT id FROM accepted";

impl Commit for Accept {
    type Item = NewMessage;
    type Output = Accepted;

    async fn commit(&self, items: &[NewMessage]) -> Result<Vec<Accepted>, sqlx::Error> {
        accept(&self.pool, items).await
    }
}

/// Accepts messages in one statement; their senders' workers have to be told.
pub async fn accept(db: impl PgExecutor<'_>, items: &[NewMessage]) -> Result<Vec<Accepted>, sqlx::Error> {
    // A statement can claim a key once only: a second message with the same key in this group is refused here, and its
    // caller then finds the first one's answer.
    let mut keys = std::collections::HashSet::new();
    let batch: Vec<&NewMessage> =
        items.iter().filter(|m| m.key.as_ref().is_none_or(|(key, _)| keys.insert((m.caller, key)))).collect();
    let of = |f: fn(&NewMessage) -> Option<String>| batch.iter().map(|m| f(m)).collect::<Vec<_>>();
    let parts = || (1_i64..).zip(&batch).flat_map(|(place, m)| m.parts.iter().map(move |part| (place, part)));
    let files = || parts().flat_map(|(_, part)| part.files.iter().map(|file| (part.id, *file)));
    let stored: Vec<Uuid> = sqlx::query_scalar(ACCEPT)
        .bind(batch.iter().map(|m| m.id).collect::<Vec<_>>())
        .bind(batch.iter().map(|m| m.caller).collect::<Vec<_>>())
        .bind(batch.iter().map(|m| m.caller_is_admin).collect::<Vec<_>>())
        .bind(batch.iter().map(|m| m.route).collect::<Vec<_>>())
        .bind(batch.iter().map(|m| m.sender_id).collect::<Vec<_>>())
        .bind(batch.iter().map(|m| m.chat_id).collect::<Vec<_>>())
        .bind(of(|m| m.chat_name.clone()))
        .bind(batch.iter().map(|m| m.priority).collect::<Vec<_>>())
        .bind(batch.iter().map(|m| m.scheduled_at).collect::<Vec<_>>())
        .bind(of(|m| m.key.as_ref().map(|(key, _)| key.clone())))
        .bind(batch.iter().map(|m| m.key.as_ref().map(|(_, hash)| hash.clone())).collect::<Vec<_>>())
        .bind(batch.iter().map(|m| m.response.as_str()).collect::<Vec<_>>())
        .bind(of(|m| m.request_id.clone()))
        .bind(of(|m| m.traceparent.clone()))
        .bind(parts().map(|(place, _)| place).collect::<Vec<_>>())
        .bind(parts().map(|(_, part)| part.id).collect::<Vec<_>>())
        .bind(parts().map(|(_, part)| part.kind).collect::<Vec<_>>())
        .bind(parts().map(|(_, part)| part.content.as_str()).collect::<Vec<_>>())
        .bind(parts().map(|(_, part)| part.random_id).collect::<Vec<_>>())
        .bind(parts().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(files().map(|(message, _)| message).collect::<Vec<_>>())
        .bind(files().map(|(_, file)| file).collect::<Vec<_>>())
        .bind(batch.iter().map(|m| m.channel_id).collect::<Vec<_>>())
        .fetch_all(db)
        .await?;
    let stored: std::collections::HashSet<Uuid> = stored.into_iter().collect();
    Ok(items.iter().map(|m| if stored.contains(&m.id) { Accepted::Stored } else { Accepted::Refused }).collect())
}

/// A message as it is shown.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct MessageRow {
    pub id: Uuid,
    pub user_id: i32,
    pub route: String,
    pub sender_id: Uuid,
    pub channel_id: Option<Uuid>,
    pub chat_id: Option<i64>,
    pub chat_name: Option<String>,
    pub kind: String,
    pub content: Value,
    pub status: String,
    pub priority: i16,
    pub scheduled_at: Option<DateTime<Utc>>,
    pub not_before: Option<DateTime<Utc>>,
    pub platform_message_id: Option<i64>,
    pub attempts: i32,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub request_id: Option<String>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub edited_at: Option<DateTime<Utc>>,
    pub deleted_at: Option<DateTime<Utc>>,
    pub pinned: bool,
}

pub(crate) const COLUMNS: &str = "id, user_id, route, sender_id, channel_id, chat_id, chat_name, kind, content, status, priority, \
     scheduled_at, not_before, platform_message_id, attempts, error_code, error_message, request_id, created_at, \
     finished_at, edited_at, deleted_at, pinned";

/// One attempt as it is shown.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct AttemptRow {
    pub id: Uuid,
    pub sender_id: Uuid,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub outcome: Option<String>,
    pub code: Option<String>,
    pub description: Option<String>,
    pub retry_after_ms: Option<i64>,
}

/// Which messages a list shows.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Of this user; `None` is everybody's.
    pub user_id: Option<i32>,
    /// In one of these states; empty is any.
    pub statuses: Vec<String>,
    /// Through this sender.
    pub sender_id: Option<Uuid>,
    /// For this channel.
    pub channel_id: Option<Uuid>,
    /// To this chat.
    pub chat_id: Option<i64>,
    /// Accepted not before this time.
    pub from: Option<DateTime<Utc>>,
    /// Accepted before this time.
    pub to: Option<DateTime<Utc>>,
}

impl MessageFilter {
    /// Nothing of the user's is left out.
    fn is_everything(&self) -> bool {
        let Self { user_id: _, statuses, sender_id, channel_id, chat_id, from, to } = self;
        statuses.is_empty()
            && sender_id.is_none()
            && channel_id.is_none()
            && chat_id.is_none()
            && from.is_none()
            && to.is_none()
    }
}

/// One message; of one user, or whoever owns it.
pub async fn find(pool: &PgPool, id: Uuid, user_id: Option<i32>) -> Result<Option<MessageRow>, sqlx::Error> {
    let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
    sql.push(COLUMNS).push(" FROM messages WHERE id = ").push_bind(id);
    if let Some(user_id) = user_id {
        sql.push(" AND user_id = ").push_bind(user_id);
    }
    sql.build_query_as().fetch_optional(pool).await
}

/// The attempts of a message, in their order.
pub async fn attempts(pool: &PgPool, message_id: Uuid) -> Result<Vec<AttemptRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, sender_id, started_at, finished_at, outcome, code, description, retry_after_ms
         FROM message_attempts WHERE message_id = $1 ORDER BY id",
    )
    .bind(message_id)
    .fetch_all(pool)
    .await
}

/// One page of messages.
pub async fn list(pool: &PgPool, filter: &MessageFilter, slice: Slice) -> Result<Vec<MessageRow>, sqlx::Error> {
    let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
    sql.push(COLUMNS).push(" FROM messages WHERE TRUE");
    if let Some(user_id) = filter.user_id {
        sql.push(" AND user_id = ").push_bind(user_id);
    }
    if !filter.statuses.is_empty() {
        sql.push(" AND status = ANY(").push_bind(&filter.statuses).push(")");
    }
    if let Some(sender_id) = filter.sender_id {
        sql.push(" AND sender_id = ").push_bind(sender_id);
    }
    if let Some(channel_id) = filter.channel_id {
        sql.push(" AND channel_id = ").push_bind(channel_id);
    }
    if let Some(chat_id) = filter.chat_id {
        sql.push(" AND chat_id = ").push_bind(chat_id);
    }
    if let Some(from) = filter.from {
        sql.push(" AND created_at >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        sql.push(" AND created_at < ").push_bind(to);
    }
    if let Some(before) = slice.before {
        sql.push(" AND id < ").push_bind(before);
    }
    sql.push(" ORDER BY id DESC LIMIT ");
    // One plan fits all values of a page without filters. The server keeps it only when it knows how few rows are wanted: else it plans
    // all partitions anew for each page, which takes longer than reading it.
    if filter.is_everything() {
        sql.push(slice.rows)
    } else {
        sql.push_bind(slice.rows)
    };
    sql.build_query_as().fetch_all(pool).await
}

/// What an owner does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `scheduled` or `queued` → `cancelled`.
    Cancel,
    /// `failed`, `unknown` or `cancelled` → `queued`, at the tail, with a new `random_id`: it is a new sending.
    Resend,
    /// `unknown` → `failed` with the code `dismissed`.
    Dismiss,
}

/// Changes a message if its state allows it, with its event. Returns the message as it is now, or `None` when its state did not
/// allow the change.
pub async fn change(
    db: &mut sqlx::PgConnection,
    id: Uuid,
    change: Change,
    random_id: i64,
) -> Result<Option<MessageRow>, sqlx::Error> {
    let set = match change {
        Change::Cancel => {
            "status = 'cancelled', finished_at = now(), not_before = NULL WHERE status IN ('scheduled', 'queued')"
        }
        Change::Resend => {
            "status = 'queued', seq = nextval('message_seq'), queued_at = now(), finished_at = NULL, not_before = NULL,
             scheduled_at = NULL, error_code = NULL, error_message = NULL, random_id = $2, imposed_wait_ms = 0
             WHERE status IN ('failed', 'unknown', 'cancelled')"
        }
        Change::Dismiss => {
            "status = 'failed', error_code = 'dismissed', error_message = 'Dismissed by its owner.', finished_at = now()
             WHERE status = 'unknown'"
        }
    };
    let sql = format!("UPDATE messages SET {set} AND id = $1 AND $2::bigint IS NOT NULL RETURNING {COLUMNS}");
    let row: Option<MessageRow> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).bind(random_id).fetch_optional(&mut *db).await?;
    if let Some(row) = &row {
        let data = serde_json::json!({
            "status": row.status, "sender_id": row.sender_id, "chat_id": row.chat_id, "code": row.error_code,
        });
        crate::events::insert(db, row.user_id, &format!("message.{}", row.status), row.id, &data).await?;
    }
    Ok(row)
}

/// Gives up everything of a sender that waits, but for what is for channels, which other senders can send; returns how many. What was tried without an answer may have arrived: it is not
/// `cancelled` but `unknown`.
pub async fn cancel_all(db: &mut sqlx::PgConnection, sender_id: Uuid, code: &str) -> Result<u64, sqlx::Error> {
    let done: Vec<(Uuid, i32, Option<i64>, String)> = sqlx::query_as(
        "UPDATE messages m SET finished_at = now(), error_code = $2, not_before = NULL, status = CASE
             WHEN m.attempts > 0
                  AND EXISTS (SELECT 1 FROM message_attempts a WHERE a.message_id = m.id AND a.outcome = 'unknown')
             THEN 'unknown' ELSE 'cancelled' END
         WHERE sender_id = $1 AND channel_id IS NULL AND status IN ('scheduled', 'queued')
         RETURNING id, user_id, chat_id, status",
    )
    .bind(sender_id)
    .bind(code)
    .fetch_all(&mut *db)
    .await?;
    sqlx::query(
        "INSERT INTO events (id, user_id, type, resource_id, data)
         SELECT e, u, 'message.' || s, m,
                jsonb_build_object('status', s, 'sender_id', $4::uuid, 'chat_id', c, 'code', $5::text)
         FROM unnest($1::uuid[], $2::int[], $3::uuid[], $6::bigint[], $7::text[]) AS t(e, u, m, c, s)",
    )
    .bind(done.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(done.iter().map(|d| d.1).collect::<Vec<_>>())
    .bind(done.iter().map(|d| d.0).collect::<Vec<_>>())
    .bind(sender_id)
    .bind(code)
    .bind(done.iter().map(|d| d.2).collect::<Vec<_>>())
    .bind(done.iter().map(|d| d.3.as_str()).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(done.len() as u64)
}
