//! `broadcasts` and `broadcast_targets`: one message to many chats.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::Slice;

/// A broadcast to make.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct NewBroadcast {
    pub id: Uuid,
    pub user_id: i32,
    pub name: Option<String>,
    pub content: Value,
    pub priority: i16,
    pub scheduled_at: Option<DateTime<Utc>>,
    pub request_id: Option<String>,
    pub traceparent: Option<String>,
}

/// Where one of its messages goes.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Target {
    pub id: Uuid,
    pub route: String,
    pub via: Uuid,
    pub chat_id: Option<i64>,
    pub chat_name: Option<String>,
    pub variables: Option<Value>,
}

impl Target {
    /// The route that its messages count for.
    pub fn route(&self) -> &'static str {
        match self.route.as_str() {
            "account" => "account",
            "channel" => "channel",
            _ => "bot",
        }
    }
}

/// A broadcast as it is shown.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct BroadcastRow {
    pub id: Uuid,
    pub user_id: i32,
    pub name: Option<String>,
    pub status: String,
    pub content: Value,
    pub priority: i16,
    pub total: i32,
    pub scheduled_at: Option<DateTime<Utc>>,
    pub request_id: Option<String>,
    pub traceparent: Option<String>,
    pub follow_up: Option<String>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "id, user_id, name, status, content, priority, total, scheduled_at, request_id, traceparent,
     follow_up, created_at, finished_at";

/// A target as it is shown.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct TargetRow {
    pub id: Uuid,
    pub route: String,
    pub via: Uuid,
    pub chat_id: Option<i64>,
    pub chat_name: Option<String>,
    pub status: String,
    pub message_id: Option<Uuid>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub follow_up: Option<String>,
    pub follow_up_code: Option<String>,
    pub follow_up_message: Option<String>,
}

/// Stores a broadcast with its targets.
pub async fn insert(
    db: &mut PgConnection,
    new: &NewBroadcast,
    targets: &[Target],
    files: &[Uuid],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO broadcasts (id, user_id, name, status, content, priority, total, scheduled_at, request_id, traceparent)
         VALUES ($1, $2, $3, CASE WHEN $6::timestamptz IS NULL THEN 'running' ELSE 'scheduled' END, $4, $5, $7, $6, $8, $9)",
    )
    .bind(new.id)
    .bind(new.user_id)
    .bind(&new.name)
    .bind(&new.content)
    .bind(new.priority)
    .bind(new.scheduled_at)
    .bind(i32::try_from(targets.len()).unwrap_or(i32::MAX))
    .bind(&new.request_id)
    .bind(&new.traceparent)
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "INSERT INTO broadcast_files (broadcast_id, file_id) SELECT DISTINCT $1, f FROM unnest($2::uuid[]) AS f",
    )
    .bind(new.id)
    .bind(files)
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "INSERT INTO broadcast_targets (id, broadcast_id, route, via, chat_id, chat_name, variables)
         SELECT t.id, $1, t.route, t.via, t.chat_id, t.chat_name, t.variables
         FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::bigint[], $6::text[], $7::jsonb[])
             AS t(id, route, via, chat_id, chat_name, variables)",
    )
    .bind(new.id)
    .bind(targets.iter().map(|t| t.id).collect::<Vec<_>>())
    .bind(targets.iter().map(|t| t.route.as_str()).collect::<Vec<_>>())
    .bind(targets.iter().map(|t| t.via).collect::<Vec<_>>())
    .bind(targets.iter().map(|t| t.chat_id).collect::<Vec<_>>())
    .bind(targets.iter().map(|t| t.chat_name.as_deref()).collect::<Vec<_>>())
    .bind(targets.iter().map(|t| t.variables.as_ref()).collect::<Vec<_>>())
    .execute(db)
    .await
    .map(drop)
}

/// Which broadcasts a list shows.
#[derive(Debug, Clone, Default)]
pub struct BroadcastFilter {
    /// Of this user; `None` is everybody's.
    pub user_id: Option<i32>,
    /// In one of these states; empty is any.
    pub statuses: Vec<String>,
}

/// One page of broadcasts.
pub async fn list(pool: &PgPool, filter: &BroadcastFilter, slice: Slice) -> Result<Vec<BroadcastRow>, sqlx::Error> {
    let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
    sql.push(COLUMNS).push(" FROM broadcasts WHERE TRUE");
    if let Some(user_id) = filter.user_id {
        sql.push(" AND user_id = ").push_bind(user_id);
    }
    if !filter.statuses.is_empty() {
        sql.push(" AND status = ANY(").push_bind(&filter.statuses).push(")");
    }
    if let Some(before) = slice.before {
        sql.push(" AND id < ").push_bind(before);
    }
    sql.push(" ORDER BY id DESC LIMIT ").push_bind(slice.rows);
    sql.build_query_as().fetch_all(pool).await
}

/// One broadcast; of one user, or whoever owns it.
pub async fn find(pool: &PgPool, id: Uuid, user_id: Option<i32>) -> Result<Option<BroadcastRow>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM broadcasts WHERE id = $1 AND ($2::int IS NULL OR user_id = $2)");
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).bind(user_id).fetch_optional(pool).await
}

/// How many targets are in which state. The state of a message that still exists is shown as it is now.
pub async fn progress(pool: &PgPool, id: Uuid) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT COALESCE(m.status, t.status) AS status, count(*)
         FROM broadcast_targets t LEFT JOIN messages m ON m.id = t.message_id
         WHERE t.broadcast_id = $1 GROUP BY 1",
    )
    .bind(id)
    .fetch_all(pool)
    .await
}

/// How far the correction or the recall is.
pub async fn follow_up_progress(pool: &PgPool, id: Uuid) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT follow_up, count(*) FROM broadcast_targets WHERE broadcast_id = $1 AND follow_up IS NOT NULL GROUP BY 1",
    )
    .bind(id)
    .fetch_all(pool)
    .await
}

/// One page of the targets of a broadcast, the last first.
pub async fn targets(
    pool: &PgPool,
    broadcast_id: Uuid,
    statuses: &[String],
    slice: Slice,
) -> Result<Vec<TargetRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT t.id, t.route, t.via, t.chat_id, t.chat_name, COALESCE(m.status, t.status) AS status, t.message_id,
                COALESCE(m.error_code, t.error_code) AS error_code,
                COALESCE(m.error_message, t.error_message) AS error_message,
                t.follow_up, t.follow_up_code, t.follow_up_message
         FROM broadcast_targets t LEFT JOIN messages m ON m.id = t.message_id
         WHERE t.broadcast_id = $1 AND (cardinality($2::text[]) = 0 OR COALESCE(m.status, t.status) = ANY($2))
           AND ($3::uuid IS NULL OR t.id < $3)
         ORDER BY t.id DESC LIMIT $4",
    )
    .bind(broadcast_id)
    .bind(statuses)
    .bind(slice.before)
    .bind(slice.rows)
    .fetch_all(pool)
    .await
}

/// Locks one broadcast for a change of its owner.
pub async fn lock(db: &mut PgConnection, id: Uuid) -> Result<Option<BroadcastRow>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM broadcasts WHERE id = $1 FOR UPDATE");
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(db).await
}

/// Sets the state, with its event.
pub async fn set_status(db: &mut PgConnection, row: &BroadcastRow, status: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE broadcasts SET status = $2 WHERE id = $1").bind(row.id).bind(status).execute(&mut *db).await?;
    let data = serde_json::json!({ "status": status, "total": row.total });
    crate::events::insert(db, row.user_id, &format!("broadcast.{status}"), row.id, &data).await
}

/// What pulling back does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullBack {
    /// The targets wait for their turn again.
    ToWaiting,
    /// The targets are cancelled, also those that have no message yet.
    ToCancelled,
}

/// Takes the messages of a broadcast out of the queues that certainly did not arrive; what is on its way, or had no answer, goes on.
pub async fn pull_back(db: &mut PgConnection, id: Uuid, how: PullBack) -> Result<(), sqlx::Error> {
    let code = if how == PullBack::ToWaiting { "broadcast_paused" } else { "broadcast_cancelled" };
    sqlx::query(
        "WITH pulled AS (
             UPDATE messages m SET status = 'cancelled', error_code = $2, finished_at = now(), not_before = NULL
             FROM broadcast_targets t
             WHERE t.broadcast_id = $1 AND t.status = 'queued' AND m.id = t.message_id AND m.status = 'queued'
               AND NOT (m.attempts > 0 AND EXISTS (
                   SELECT 1 FROM message_attempts a WHERE a.message_id = m.id AND a.outcome = 'unknown'))
             RETURNING m.id, m.user_id, m.sender_id, m.chat_id
         ), told AS (
             INSERT INTO events (id, user_id, type, resource_id, data)
             SELECT uuid7_now(), user_id, 'message.cancelled', id,
                    jsonb_build_object('status', 'cancelled', 'sender_id', sender_id, 'chat_id', chat_id, 'code', $2::text)
             FROM pulled
         )
         UPDATE broadcast_targets t
         SET status = CASE WHEN $3 THEN 'waiting' ELSE 'cancelled' END,
             message_id = CASE WHEN $3 THEN NULL ELSE t.message_id END
         FROM pulled WHERE t.broadcast_id = $1 AND t.message_id = pulled.id",
    )
    .bind(id)
    .bind(code)
    .bind(how == PullBack::ToWaiting)
    .execute(&mut *db)
    .await?;
    if how == PullBack::ToCancelled {
        sqlx::query("UPDATE broadcast_targets SET status = 'cancelled' WHERE broadcast_id = $1 AND status = 'waiting'")
            .bind(id)
            .execute(db)
            .await?;
    }
    Ok(())
}

/// Begins to correct or recall what was sent, and what is on its way, as soon as it was.
pub async fn begin_follow_up(db: &mut PgConnection, row: &BroadcastRow, what: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE broadcasts SET follow_up = $2 WHERE id = $1").bind(row.id).bind(what).execute(&mut *db).await?;
    sqlx::query(
        "UPDATE broadcast_targets SET follow_up = 'waiting', follow_up_code = NULL, follow_up_message = NULL
         WHERE broadcast_id = $1 AND status IN ('queued', 'sent', 'unknown') AND message_id IS NOT NULL",
    )
    .bind(row.id)
    .execute(db)
    .await
    .map(drop)
}

/// Replaces the message.
pub async fn set_content(db: &mut PgConnection, id: Uuid, content: &Value, files: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE broadcasts SET content = $2 WHERE id = $1").bind(id).bind(content).execute(&mut *db).await?;
    sqlx::query(
        "INSERT INTO broadcast_files (broadcast_id, file_id) SELECT DISTINCT $1, f FROM unnest($2::uuid[]) AS f
         ON CONFLICT DO NOTHING",
    )
    .bind(id)
    .bind(files)
    .execute(db)
    .await
    .map(drop)
}

/// All targets, with their variables, in order.
pub async fn all_targets(pool: &PgPool, id: Uuid) -> Result<Vec<Target>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, route, via, chat_id, chat_name, variables FROM broadcast_targets WHERE broadcast_id = $1 ORDER BY id",
    )
    .bind(id)
    .fetch_all(pool)
    .await
}

/// A message that is to be corrected or recalled.
#[derive(Debug, Clone, FromRow)]
pub struct FollowUp {
    /// The target.
    #[sqlx(flatten)]
    pub target: Target,
    /// Its message.
    pub message_id: Uuid,
    /// Who sent it; `None` when its row is gone.
    pub sender_id: Option<Uuid>,
}

/// What is to be corrected or recalled next: a few messages of each sender, but for those that wait.
pub async fn follow_ups(
    pool: &PgPool,
    id: Uuid,
    held: &[Uuid],
    per_sender: i64,
    limit: i64,
) -> Result<Vec<FollowUp>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, route, via, chat_id, chat_name, variables, message_id, sender_id FROM (
             SELECT t.id, t.route, t.via, t.chat_id, t.chat_name, t.variables, t.message_id, m.sender_id,
                    row_number() OVER (PARTITION BY m.sender_id ORDER BY t.id) AS place
             FROM broadcast_targets t LEFT JOIN messages m ON m.id = t.message_id
             WHERE t.broadcast_id = $1 AND t.follow_up = 'waiting' AND t.status <> 'queued' AND NOT COALESCE(m.sender_id = ANY($2), FALSE)
         ) AS waiting WHERE place <= $3 ORDER BY id LIMIT $4",
    )
    .bind(id)
    .bind(held)
    .bind(per_sender)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// Writes what became of a correction or a recall: `done`, or why not.
pub async fn followed_up(
    db: &mut PgConnection,
    target: Uuid,
    failure: Option<(&str, &str)>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE broadcast_targets SET follow_up = CASE WHEN $2::text IS NULL THEN 'done' ELSE 'failed' END,
                follow_up_code = $2, follow_up_message = $3 WHERE id = $1",
    )
    .bind(target)
    .bind(failure.map(|(code, _)| code))
    .bind(failure.map(|(_, message)| message))
    .execute(db)
    .await
    .map(drop)
}

/// There is nothing to correct or recall: the message never arrived.
pub async fn not_followed_up(pool: &PgPool, target: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE broadcast_targets SET follow_up = NULL WHERE id = $1")
        .bind(target)
        .execute(pool)
        .await
        .map(drop)
}

/// Ends the correction or the recall when nothing waits for it any more, with its event. Returns whether it did.
pub async fn end_follow_up(db: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let ended: Option<(i32, i32, String)> = sqlx::query_as(
        "WITH old AS (SELECT id, follow_up FROM broadcasts WHERE id = $1 FOR UPDATE)
         UPDATE broadcasts b SET follow_up = NULL FROM old
         WHERE b.id = old.id AND old.follow_up IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM broadcast_targets t WHERE t.broadcast_id = $1 AND t.follow_up = 'waiting')
         RETURNING b.user_id, b.total, old.follow_up",
    )
    .bind(id)
    .fetch_optional(&mut *db)
    .await?;
    let Some((user_id, total, what)) = ended else { return Ok(false) };
    let kind = if what == "recall" { "broadcast.recalled" } else { "broadcast.corrected" };
    crate::events::insert(db, user_id, kind, id, &serde_json::json!({ "total": total })).await?;
    Ok(true)
}

/// Lets one process at a time correct or recall a broadcast, as long as the transaction lasts.
pub async fn reserve_follow_up(db: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtext('broadcasts'), hashtext($1::text))")
        .bind(id)
        .fetch_one(db)
        .await
}

/// Broadcasts that may have something to do now.
pub async fn open(pool: &PgPool) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT id FROM broadcasts
         WHERE (finished_at IS NULL OR follow_up IS NOT NULL) AND (scheduled_at IS NULL OR scheduled_at <= now())
         ORDER BY id",
    )
    .fetch_all(pool)
    .await
}

/// Takes one broadcast to move it on, unless another process has it.
pub async fn take(db: &mut PgConnection, id: Uuid) -> Result<Option<BroadcastRow>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM broadcasts WHERE id = $1 FOR UPDATE SKIP LOCKED");
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(db).await
}

/// Notes which messages have come to their end. Returns how many.
pub async fn collect(db: &mut PgConnection, id: Uuid) -> Result<u64, sqlx::Error> {
    // A message whose row is gone was at its end for long; nobody can tell which.
    let done = sqlx::query(
        "UPDATE broadcast_targets t
         SET status = ended.status, error_code = ended.error_code, error_message = ended.error_message
         FROM (SELECT t.id, COALESCE(m.status, 'unknown') AS status, m.error_code, m.error_message
               FROM broadcast_targets t LEFT JOIN messages m ON m.id = t.message_id
               WHERE t.broadcast_id = $1 AND t.status = 'queued') AS ended
         WHERE t.id = ended.id AND ended.status IN ('sent', 'failed', 'unknown', 'cancelled')",
    )
    .bind(id)
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// The targets whose turn it is: in order, but past those whose sender has enough on its way.
pub async fn next(db: &mut PgConnection, id: Uuid, per_sender: i64, limit: i64) -> Result<Vec<Target>, sqlx::Error> {
    sqlx::query_as(
        "WITH busy AS (
             SELECT via, count(*) AS queued FROM broadcast_targets
             WHERE broadcast_id = $1 AND status = 'queued' GROUP BY via
         ), due AS (
             SELECT t.id, t.route, t.via, t.chat_id, t.chat_name, t.variables,
                    row_number() OVER (PARTITION BY t.via ORDER BY t.id) + COALESCE(b.queued, 0) AS place
             FROM broadcast_targets t LEFT JOIN busy b USING (via)
             WHERE t.broadcast_id = $1 AND t.status = 'waiting'
         )
         SELECT id, route, via, chat_id, chat_name, variables FROM due WHERE place <= $2 ORDER BY id LIMIT $3",
    )
    .bind(id)
    .bind(per_sender)
    .bind(limit)
    .fetch_all(db)
    .await
}

/// What became of targets whose turn it was: the message of each, or why there is none.
pub async fn fed(
    db: &mut PgConnection,
    fed: &[(Uuid, Uuid)],
    failed: &[(Uuid, &str, String)],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE broadcast_targets t SET status = 'queued', message_id = f.message_id
         FROM unnest($1::uuid[], $2::uuid[]) AS f(id, message_id) WHERE t.id = f.id",
    )
    .bind(fed.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(fed.iter().map(|(_, message)| *message).collect::<Vec<_>>())
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "UPDATE broadcast_targets t SET status = 'failed', error_code = f.code, error_message = f.message
         FROM unnest($1::uuid[], $2::text[], $3::text[]) AS f(id, code, message) WHERE t.id = f.id",
    )
    .bind(failed.iter().map(|(id, ..)| *id).collect::<Vec<_>>())
    .bind(failed.iter().map(|(_, code, _)| *code).collect::<Vec<_>>())
    .bind(failed.iter().map(|(.., message)| message.as_str()).collect::<Vec<_>>())
    .execute(db)
    .await
    .map(drop)
}

/// How many targets have no final state, and how many have which; for the event that tells of the progress.
pub async fn standing(db: &mut PgConnection, id: Uuid) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as("SELECT status, count(*) FROM broadcast_targets WHERE broadcast_id = $1 GROUP BY status")
        .bind(id)
        .fetch_all(db)
        .await
}

/// Ends a broadcast of which nothing waits any more. A cancelled one stays cancelled.
pub async fn finish(db: &mut PgConnection, row: &BroadcastRow) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE broadcasts SET finished_at = now() WHERE id = $1").bind(row.id).execute(&mut *db).await?;
    if row.status == "cancelled" { Ok(()) } else { set_status(db, row, "done").await }
}

/// Tells how far a broadcast is.
pub async fn tell(db: &mut PgConnection, row: &BroadcastRow, counts: &[(String, i64)]) -> Result<(), sqlx::Error> {
    let counts: serde_json::Map<String, Value> =
        counts.iter().map(|(status, count)| (status.clone(), Value::from(*count))).collect();
    let data = serde_json::json!({ "total": row.total, "counts": counts });
    crate::events::insert(db, row.user_id, "broadcast.progress", row.id, &data).await
}
