//! `telegram_channels`.

use chrono::{DateTime, Utc};
use platform::{ChatInfo, ChatKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgPool, Postgres, QueryBuilder};
use store::Slice;
use utoipa::ToSchema;
use uuid::Uuid;

/// Code points of a title that fit into its column.
const TITLE: usize = 255;

/// The state of a channel or group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelStatus {
    /// Somebody can send for it.
    Active,
    /// Nobody can at the moment; what waits for it goes on when somebody can.
    NoSender,
    /// It does not exist any more.
    Gone,
    /// Switched off by its owner.
    Off,
}

impl ChannelStatus {
    /// The column value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::NoSender => "no_sender",
            Self::Gone => "gone",
            Self::Off => "off",
        }
    }
}

/// A channel or group.
#[derive(Debug, Clone, FromRow)]
pub struct ChannelRow {
    /// Id of the row.
    pub id: Uuid,
    /// Its owner.
    pub user_id: i32,
    /// Its id at Telegram, as bots know it.
    pub channel_id: i64,
    /// Its title.
    pub title: String,
    /// Its public name, without `@`.
    pub username: Option<String>,
    /// `channel` or `group`.
    #[sqlx(rename = "type")]
    pub kind: String,
    /// Settings of its owner.
    pub settings: Option<Value>,
    /// How many members it has.
    pub members_count: Option<i32>,
    /// Whether its owner lets it be used.
    pub is_active: bool,
    /// Names its picture.
    pub photo: Option<String>,
    /// It has topics.
    pub is_forum: bool,
    /// Plain members wait so long between two messages.
    pub slow_mode_seconds: i32,
    /// See [`ChannelStatus`].
    pub status: String,
    /// Why it is in this state.
    pub status_reason: Option<String>,
    /// Since when.
    pub status_changed_at: DateTime<Utc>,
    /// When Telegram was last asked about it.
    pub checked_at: Option<DateTime<Utc>>,
    /// When it was connected.
    pub created_at: DateTime<Utc>,
    /// When the row last changed.
    pub updated_at: DateTime<Utc>,
}

const COLUMNS: &str = "c.id, c.user_id, c.channel_id, c.title, c.username, c.type, c.settings, c.members_count, \
     COALESCE(c.is_active, FALSE) AS is_active, c.photo, c.is_forum, c.slow_mode_seconds, c.status, c.status_reason, \
     c.status_changed_at, c.created_at, c.updated_at, \
     (SELECT k.checked_at FROM telegram_channel_checks k WHERE k.channel_id = c.id) AS checked_at";

/// Which channels a list shows.
#[derive(Debug, Clone, Default)]
pub struct ChannelFilter {
    /// Of this user; `None` is everybody's.
    pub user_id: Option<i32>,
    /// `channel` or `group`.
    pub kind: Option<ChatKind>,
    /// Switched on or off.
    pub is_active: Option<bool>,
    /// In one of these states; empty is any.
    pub statuses: Vec<String>,
    /// Through this sender.
    pub sender_id: Option<Uuid>,
    /// Whose settings contain this JSON.
    pub settings: Option<Value>,
    /// Whose title or name has this in it, or has its words in any form.
    pub query: Option<String>,
    /// Connected not before this time.
    pub from: Option<DateTime<Utc>>,
    /// Connected before this time.
    pub to: Option<DateTime<Utc>>,
}

/// Stores a channel, or finds the row that its owner has of the same chat already, which then says what the chat is now. Tells whether
/// it is new.
pub async fn upsert(
    db: &mut PgConnection,
    id: Uuid,
    user_id: i32,
    info: &ChatInfo,
    settings: &Value,
) -> Result<(Uuid, bool), sqlx::Error> {
    let (row, new): (Uuid, bool) = sqlx::query_as(
        "INSERT INTO telegram_channels AS c
             (id, user_id, channel_id, title, username, type, settings, members_count, photo, is_forum, slow_mode_seconds)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (user_id, channel_id) DO UPDATE SET title = EXCLUDED.title
         RETURNING id, id = $1",
    )
    .bind(id)
    .bind(user_id)
    .bind(info.id)
    .bind(title(info))
    .bind(&info.username)
    .bind(info.kind.name())
    .bind(settings)
    .bind(info.members)
    .bind(&info.photo)
    .bind(info.is_forum)
    .bind(slow_mode(info))
    .fetch_one(&mut *db)
    .await?;
    sqlx::query("INSERT INTO telegram_channel_checks (channel_id) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(row)
        .execute(db)
        .await?;
    Ok((row, new))
}

/// Says what the chat is now. Returns whether it got another title or name.
pub async fn refresh(db: &mut PgConnection, id: Uuid, info: &ChatInfo) -> Result<bool, sqlx::Error> {
    let renamed: Option<bool> = sqlx::query_scalar(
        "UPDATE telegram_channels c SET title = $2, username = $3, type = $4, members_count = COALESCE($5, c.members_count),
                photo = $6, is_forum = $7, slow_mode_seconds = $8
         FROM telegram_channels o
         WHERE c.id = $1 AND o.id = $1 AND
             (c.title, c.username, c.type, c.members_count, c.photo, c.is_forum, c.slow_mode_seconds) IS DISTINCT FROM
             ($2, $3, $4, COALESCE($5, c.members_count), $6, $7, $8)
         RETURNING (o.title, o.username) IS DISTINCT FROM ($2, $3)",
    )
    .bind(id)
    .bind(title(info))
    .bind(&info.username)
    .bind(info.kind.name())
    .bind(info.members)
    .bind(&info.photo)
    .bind(info.is_forum)
    .bind(slow_mode(info))
    .fetch_optional(db)
    .await?;
    Ok(renamed.unwrap_or_default())
}

fn title(info: &ChatInfo) -> String {
    info.title.chars().filter(|c| *c != '\0').take(TITLE).collect()
}

fn slow_mode(info: &ChatInfo) -> i32 {
    i32::try_from(info.slow_mode_seconds).unwrap_or(i32::MAX)
}

/// One channel; of one user, or whoever owns it.
pub async fn find(
    db: impl sqlx::PgExecutor<'_>,
    id: Uuid,
    user_id: Option<i32>,
) -> Result<Option<ChannelRow>, sqlx::Error> {
    let sql =
        format!("SELECT {COLUMNS} FROM telegram_channels c WHERE c.id = $1 AND ($2::int IS NULL OR c.user_id = $2)");
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).bind(user_id).fetch_optional(db).await
}

/// The channels that this sender sends for and whose chat this is.
pub async fn of_chat(pool: &PgPool, sender_id: Uuid, chat_id: i64) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT c.id FROM telegram_channels c JOIN channel_senders s ON s.channel_id = c.id
         WHERE c.channel_id = $2 AND s.sender_id = $1",
    )
    .bind(sender_id)
    .bind(chat_id)
    .fetch_all(pool)
    .await
}

/// How many of the newest are looked through for a search before the index of words is asked.
const WINDOW: i64 = 1000;

/// A part of the list of channels.
///
/// A search is answered in two steps, since no plan is good for all words. What many of the user's channels have is found among the
/// newest; what few have, by the index, whose work grows with the number of those that fit.
pub async fn list(pool: &PgPool, filter: &ChannelFilter, slice: Slice) -> Result<Vec<ChannelRow>, sqlx::Error> {
    let (Some(user_id), Some(query)) = (filter.user_id, &filter.query) else {
        let mut sql = QueryBuilder::new("SELECT ");
        sql.push(COLUMNS).push(" FROM telegram_channels c WHERE TRUE");
        push_user(&mut sql, filter.user_id);
        push_filters(&mut sql, filter, slice.before);
        if let Some(query) = &filter.query {
            push_search(&mut sql, query);
        }
        push_order(&mut sql, filter.user_id.is_some(), slice.rows);
        return sql.build_query_as().fetch_all(pool).await;
    };
    let mut sql = QueryBuilder::new("SELECT ");
    sql.push(COLUMNS).push(" FROM (SELECT * FROM telegram_channels c WHERE TRUE");
    push_user(&mut sql, Some(user_id));
    push_filters(&mut sql, filter, slice.before);
    push_order(&mut sql, true, WINDOW);
    sql.push(") c WHERE TRUE");
    push_search(&mut sql, query);
    sql.push(" ORDER BY c.id DESC LIMIT ").push_bind(slice.rows);
    let found: Vec<ChannelRow> = sql.build_query_as().fetch_all(pool).await?;
    if i64::try_from(found.len()).is_ok_and(|found| found == slice.rows) {
        return Ok(found);
    }
    let mut sql = QueryBuilder::new(
        "WITH found AS MATERIALIZED (SELECT c.id FROM telegram_channels c WHERE c.user_id::bigint = ",
    );
    sql.push_bind(i64::from(user_id));
    push_search(&mut sql, query);
    push_filters(&mut sql, filter, slice.before);
    sql.push(") SELECT ")
        .push(COLUMNS)
        .push(" FROM (SELECT id FROM found ORDER BY id DESC LIMIT ")
        .push_bind(slice.rows);
    sql.push(") f JOIN telegram_channels c USING (id) ORDER BY c.id DESC");
    // Planned for these words each time: a plan for any word would not use the index.
    sql.build_query_as().persistent(false).fetch_all(pool).await
}

/// As a range, so that the order by user and id is one that only the index of both has: walking through the channels of all users
/// looks cheaper to the planner, and is not where this user's are the oldest.
fn push_user(sql: &mut QueryBuilder<Postgres>, user_id: Option<i32>) {
    if let Some(user_id) = user_id {
        sql.push(" AND c.user_id BETWEEN ").push_bind(user_id).push(" AND ").push_bind(user_id);
    }
}

fn push_order(sql: &mut QueryBuilder<Postgres>, of_user: bool, rows: i64) {
    sql.push(if of_user { " ORDER BY c.user_id DESC, c.id DESC LIMIT " } else { " ORDER BY c.id DESC LIMIT " });
    sql.push_bind(rows);
}

fn push_search(sql: &mut QueryBuilder<Postgres>, query: &str) {
    let pattern = format!("%{}%", escaped(query));
    sql.push(" AND (c.title ILIKE ").push_bind(pattern.clone()).push(" OR c.username ILIKE ").push_bind(pattern);
    sql.push(" OR c.search @@ websearch_to_tsquery('pg_catalog.russian'::regconfig, ").push_bind(query.to_owned());
    sql.push("))");
}

fn push_filters(sql: &mut QueryBuilder<Postgres>, filter: &ChannelFilter, before: Option<Uuid>) {
    if let Some(kind) = filter.kind {
        sql.push(" AND c.type = ").push_bind(kind.name());
    }
    if let Some(is_active) = filter.is_active {
        sql.push(" AND c.is_active = ").push_bind(is_active);
    }
    if !filter.statuses.is_empty() {
        sql.push(" AND c.status = ANY(").push_bind(filter.statuses.clone()).push(")");
    }
    if let Some(sender_id) = filter.sender_id {
        sql.push(" AND c.id IN (SELECT s.channel_id FROM channel_senders s WHERE s.sender_id = ");
        sql.push_bind(sender_id).push(")");
    }
    if let Some(settings) = &filter.settings {
        sql.push(" AND c.settings @> ").push_bind(settings.clone());
    }
    if let Some(from) = filter.from {
        sql.push(" AND c.created_at >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        sql.push(" AND c.created_at < ").push_bind(to);
    }
    if let Some(before) = before {
        sql.push(" AND c.id < ").push_bind(before);
    }
}

/// What is sought is meant as it is written.
fn escaped(query: &str) -> String {
    query.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

/// Replaces the settings and, if given, switches it on or off; its state follows by [`super::routing`].
pub async fn update(
    db: &mut PgConnection,
    id: Uuid,
    settings: &Value,
    is_active: Option<bool>,
) -> Result<bool, sqlx::Error> {
    sqlx::query("UPDATE telegram_channels SET settings = $2, is_active = COALESCE($3, is_active) WHERE id = $1")
        .bind(id)
        .bind(settings)
        .bind(is_active)
        .execute(db)
        .await
        .map(|done| done.rows_affected() == 1)
}

/// Removes a channel; what waits for it is cancelled, with events. Returns whether it was there.
pub async fn delete(db: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("DELETE FROM telegram_channels WHERE id = $1").bind(id).execute(&mut *db).await?;
    super::routing::cancel_all(db, id, "channel_deleted").await?;
    Ok(done.rows_affected() == 1)
}

/// How many there are in each state.
pub async fn counts(pool: &PgPool) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as("SELECT status, count(*) FROM telegram_channels GROUP BY status").fetch_all(pool).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_no_pattern() {
        assert_eq!(escaped(r"100%_\x"), r"100\%\_\\x");
    }
}
