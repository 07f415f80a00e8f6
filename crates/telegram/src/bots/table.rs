//! `telegram_bots`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool, Postgres, QueryBuilder};
use store::Slice;
use utoipa::ToSchema;
use uuid::Uuid;

use super::inbound::Updates;

/// The constraint that keeps a bot unique in the whole service.
pub const UNIQUE_BOT: &str = "telegram_bots_telegram_bot_id_key";

/// The state of a bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BotStatus {
    /// Its token was accepted when it was last used.
    Active,
    /// Telegram refuses its token: it has to be replaced.
    TokenRevoked,
    /// Switched off by its owner.
    Off,
}

impl BotStatus {
    /// The column value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::TokenRevoked => "token_revoked",
            Self::Off => "off",
        }
    }
}

/// A connected bot, without its token.
#[derive(Debug, Clone, FromRow)]
pub struct BotRow {
    /// Id of the row.
    pub id: Uuid,
    /// Its owner.
    pub user_id: i32,
    /// Its id at Telegram.
    pub telegram_bot_id: i64,
    /// Its name at Telegram, without `@`.
    pub username: String,
    /// Its display name.
    pub name: String,
    /// Settings of its owner.
    pub settings: Option<Value>,
    /// Whether it may send.
    pub is_active: bool,
    /// `active`, `token_revoked` or `off`.
    pub status: String,
    /// Why it is in this state.
    pub status_reason: Option<String>,
    /// Since when.
    pub status_changed_at: DateTime<Utc>,
    /// When it was connected.
    pub created_at: DateTime<Utc>,
    /// When the row last changed.
    pub updated_at: DateTime<Utc>,
    /// How its updates are taken.
    #[sqlx(flatten)]
    pub updates: Updates,
}

const COLUMNS: &str = "b.id, b.user_id, b.telegram_bot_id, b.username, b.name, b.settings, \
     COALESCE(b.is_active, FALSE) AS is_active, b.status, b.status_reason, b.status_changed_at, b.created_at, b.updated_at, \
     u.mode AS updates_mode, u.state AS updates_state, u.reason AS updates_reason, u.changed_at AS updates_changed_at, \
     u.last_error AS updates_last_error, u.last_error_at AS updates_last_error_at";

const BOTS: &str = "telegram_bots b LEFT JOIN telegram_bot_updates u ON u.bot_id = b.id";

/// The rows that a statement has written, as [`BotRow`]s.
fn written(statement: &str) -> String {
    format!(
        "WITH b AS ({statement} RETURNING *) SELECT {COLUMNS} FROM b LEFT JOIN telegram_bot_updates u ON u.bot_id = b.id"
    )
}

/// A bot to store.
#[derive(Debug)]
pub struct NewBot<'a> {
    /// Id of the row, which the envelope is bound to.
    pub id: Uuid,
    /// Its owner.
    pub user_id: i32,
    /// Its id at Telegram.
    pub telegram_bot_id: i64,
    /// Its name at Telegram.
    pub username: &'a str,
    /// Its display name.
    pub name: &'a str,
    /// The sealed token.
    pub sealed_token: &'a str,
    /// Settings of its owner.
    pub settings: &'a Value,
}

/// Which bots a list shows.
#[derive(Debug, Clone, Default)]
pub struct BotFilter {
    /// Of this user; `None` is everybody's.
    pub user_id: Option<i32>,
    /// With this name at Telegram, in any case.
    pub username: Option<String>,
    /// In this state.
    pub status: Option<BotStatus>,
    /// Whose settings contain this JSON.
    pub settings: Option<Value>,
}

/// Stores a bot. A bot that exists already breaks [`UNIQUE_BOT`].
pub async fn insert(db: impl PgExecutor<'_>, bot: &NewBot<'_>) -> Result<BotRow, sqlx::Error> {
    let sql = written(
        "INSERT INTO telegram_bots (id, user_id, telegram_bot_id, username, name, bot_token, settings)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(bot.id)
        .bind(bot.user_id)
        .bind(bot.telegram_bot_id)
        .bind(bot.username)
        .bind(bot.name)
        .bind(bot.sealed_token)
        .bind(bot.settings)
        .fetch_one(db)
        .await
}

/// One bot; of one user, or whoever owns it.
pub async fn find(pool: &PgPool, id: Uuid, user_id: Option<i32>) -> Result<Option<BotRow>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM {BOTS} WHERE b.id = $1 AND ($2::int IS NULL OR b.user_id = $2)");
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).bind(user_id).fetch_optional(pool).await
}

/// The bot with this id at Telegram, whoever owns it.
pub async fn find_by_telegram_id(pool: &PgPool, telegram_bot_id: i64) -> Result<Option<BotRow>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM {BOTS} WHERE b.telegram_bot_id = $1");
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(telegram_bot_id).fetch_optional(pool).await
}

/// A part of the list of bots.
pub async fn list(pool: &PgPool, filter: &BotFilter, slice: Slice) -> Result<Vec<BotRow>, sqlx::Error> {
    let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
    sql.push(COLUMNS).push(" FROM ").push(BOTS).push(" WHERE TRUE");
    if let Some(user_id) = filter.user_id {
        sql.push(" AND b.user_id = ").push_bind(user_id);
    }
    if let Some(username) = &filter.username {
        sql.push(" AND lower(b.username) = lower(").push_bind(username).push(")");
    }
    if let Some(status) = filter.status {
        sql.push(" AND b.status = ").push_bind(status.name());
    }
    if let Some(settings) = &filter.settings {
        sql.push(" AND b.settings @> ").push_bind(settings);
    }
    if let Some(before) = slice.before {
        sql.push(" AND b.id < ").push_bind(before);
    }
    // In the text, so that the server may keep the plan: it has to know how few rows are wanted.
    sql.push(" ORDER BY b.id DESC LIMIT ").push(slice.rows);
    sql.build_query_as().fetch_all(pool).await
}

/// Replaces the settings and, if given, the state. Switching on is allowed from `off` only: a dead token needs another one.
pub async fn update(
    db: &mut PgConnection,
    id: Uuid,
    settings: &Value,
    status: Option<BotStatus>,
) -> Result<Option<BotRow>, sqlx::Error> {
    let sql = written(
        "UPDATE telegram_bots SET settings = $2, status = COALESCE($3, status),
             is_active = COALESCE($3, status) = 'active',
             status_reason = CASE WHEN $3 IS NULL THEN status_reason END,
             status_changed_at = CASE WHEN COALESCE($3, status) = status THEN status_changed_at ELSE now() END
         WHERE id = $1",
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(settings)
        .bind(status.map(BotStatus::name))
        .fetch_optional(db)
        .await
}

/// Replaces the sealed token and what `getMe` told with it; the bot is active again, unless its owner switched it off.
pub async fn replace_token(
    db: &mut PgConnection,
    id: Uuid,
    sealed_token: &str,
    username: &str,
    name: &str,
) -> Result<Option<BotRow>, sqlx::Error> {
    let sql = written(
        "UPDATE telegram_bots SET bot_token = $2, username = $3, name = $4,
             status = CASE WHEN status = 'off' THEN 'off' ELSE 'active' END, is_active = status <> 'off',
             status_reason = NULL, status_changed_at = now()
         WHERE id = $1",
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(sealed_token)
        .bind(username)
        .bind(name)
        .fetch_optional(db)
        .await
}

/// Removes a bot.
pub async fn delete(db: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query("DELETE FROM sender_leases WHERE sender_id = $1").bind(id).execute(&mut *db).await?;
    let done = sqlx::query("DELETE FROM telegram_bots WHERE id = $1").bind(id).execute(db).await?;
    Ok(done.rows_affected() == 1)
}

/// The sealed token, the state and the settings of a bot.
#[derive(Debug, FromRow)]
pub struct Credentials {
    /// The sealed token.
    pub bot_token: String,
    /// Names the token, however it is sealed; changes when it is replaced.
    pub version: String,
    /// Whether it may send.
    pub is_active: bool,
    /// Settings of its owner.
    pub settings: Option<Value>,
}

/// The name of a token. Its envelope gives it, until the token is sealed anew, which keeps the name beside the new envelope.
const VERSION: &str = "CASE WHEN token_envelope = md5(bot_token) THEN token_version ELSE md5(bot_token) END";

/// Reads what opening a bot needs.
pub async fn credentials(pool: &PgPool, id: Uuid) -> Result<Option<Credentials>, sqlx::Error> {
    let sql = format!(
        "SELECT bot_token, {VERSION} AS version, COALESCE(is_active, FALSE) AS is_active, settings FROM telegram_bots WHERE id = $1"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await
}

/// Bots that should be owned and that no living worker owns.
pub async fn unowned(pool: &PgPool) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT b.id FROM telegram_bots b
         WHERE b.is_active AND NOT EXISTS (
             SELECT 1 FROM sender_leases l JOIN workers w ON w.id = l.worker_id AND w.valid_until >= now()
             WHERE l.sender_id = b.id)
         LIMIT 5000",
    )
    .fetch_all(pool)
    .await
}

/// Marks a bot whose token Telegram refuses, with event and log. Returns false, and marks nothing, when the token was replaced
/// meanwhile.
pub async fn mark_revoked(pool: &PgPool, id: Uuid, version: &str, reason: &str) -> Result<bool, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let marked: Option<(i32, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "UPDATE telegram_bots SET status = 'token_revoked', is_active = FALSE, status_reason = $3,
             status_changed_at = now()
         WHERE id = $1 AND {VERSION} = $2 AND status = 'active' RETURNING user_id, telegram_bot_id"
    )))
    .bind(id)
    .bind(version)
    .bind(reason)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some((user_id, telegram_bot_id)) = marked {
        let data = serde_json::json!({ "status": "token_revoked", "telegram_bot_id": telegram_bot_id });
        store::events::insert(&mut *tx, user_id, "bot.token_revoked", id, &data).await?;
        let log = store::logs::NewLog {
            user_id,
            integration_type: "telegram_bot",
            action: "token_revoked",
            error: Some(reason),
            details: Some(serde_json::json!({ "bot_id": id })),
        };
        store::logs::insert(&mut *tx, &log).await?;
        tx.commit().await?;
        return Ok(true);
    }
    let sql = format!("SELECT COALESCE((SELECT {VERSION} = $2 FROM telegram_bots WHERE id = $1), TRUE)");
    let same_token: bool =
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(id).bind(version).fetch_one(&mut *tx).await?;
    Ok(same_token)
}
