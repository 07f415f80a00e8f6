//! `telegram_sessions`: connected accounts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgPool, Postgres, QueryBuilder};
use store::{Slice, leases::Lease};
use utoipa::ToSchema;
use uuid::Uuid;

/// The state of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// Connected, and proven alive.
    Active,
    /// Known, but not connected at the moment.
    Connecting,
    /// Telegram asked to wait; see `status_until`.
    Limited,
    /// The session is dead: log in again by `reconnect`.
    NeedsLogin,
    /// Telegram closed the account.
    Banned,
    /// Switched off by its owner.
    Off,
}

impl AccountStatus {
    /// The column value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Connecting => "connecting",
            Self::Limited => "limited",
            Self::NeedsLogin => "needs_login",
            Self::Banned => "banned",
            Self::Off => "off",
        }
    }

    /// Whether the account may send in this state.
    pub fn may_send(self) -> bool {
        matches!(self, Self::Active | Self::Connecting | Self::Limited)
    }
}

/// How an account presents itself at Telegram, and how it gets there. Stable for its life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Shown to the account's owner in the list of devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_model: Option<String>,
    /// Shown there too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
    /// Language of the device, ISO 639-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang_code: Option<String>,
    /// A SOCKS5 proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
}

/// A SOCKS5 proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxy {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User name, if it asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_password: Option<String>,
}

/// A connected account, without its session.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "the columns are described in the migrations")]
pub struct AccountRow {
    pub id: Uuid,
    pub user_id: i32,
    pub phone: String,
    pub telegram_user_id: Option<i64>,
    pub name: String,
    pub username: Option<String>,
    pub metadata: Option<Value>,
    pub settings: Option<Value>,
    pub is_active: bool,
    pub status: String,
    pub status_reason: Option<String>,
    pub status_until: Option<DateTime<Utc>>,
    pub status_changed_at: DateTime<Utc>,
    pub strangers_blocked_until: Option<DateTime<Utc>>,
    pub client: Value,
    pub login_epoch: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

const COLUMNS: &str = "id, user_id, phone, telegram_user_id, name, username, metadata, settings, \
     COALESCE(is_active, FALSE) AS is_active, status, status_reason, status_until, status_changed_at, \
     CASE WHEN strangers_blocked_until > now() THEN strangers_blocked_until END AS strangers_blocked_until, client, \
     login_epoch, created_at, updated_at";

/// Which accounts a list shows.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    /// Of this user; `None` is everybody's.
    pub user_id: Option<i32>,
    /// With this phone number: digits with a leading `+`.
    pub phone: Option<String>,
    /// In this state.
    pub status: Option<AccountStatus>,
    /// Whose metadata contain this JSON.
    pub metadata: Option<Value>,
}

/// One account; of one user, or whoever owns it. One that is being erased is gone already.
pub async fn find(pool: &PgPool, id: Uuid, user_id: Option<i32>) -> Result<Option<AccountRow>, sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM telegram_sessions
         WHERE id = $1 AND ($2::int IS NULL OR user_id = $2) AND delete_requested_at IS NULL"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).bind(user_id).fetch_optional(pool).await
}

/// The account with this id at Telegram, whoever owns it, also one that is being erased.
pub async fn find_by_telegram_id(db: &mut PgConnection, id: i64) -> Result<Option<AccountRow>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM telegram_sessions WHERE telegram_user_id = $1 FOR UPDATE");
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(db).await
}

/// The account that uses the session with this fingerprint.
pub async fn find_by_fingerprint(pool: &PgPool, fingerprint: &[u8]) -> Result<Option<AccountRow>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM telegram_sessions WHERE fingerprint = $1 AND delete_requested_at IS NULL");
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(fingerprint).fetch_optional(pool).await
}

/// A part of the list of accounts.
pub async fn list(pool: &PgPool, filter: &AccountFilter, slice: Slice) -> Result<Vec<AccountRow>, sqlx::Error> {
    let mut sql = QueryBuilder::<Postgres>::new("SELECT ");
    sql.push(COLUMNS).push(" FROM telegram_sessions WHERE delete_requested_at IS NULL");
    if let Some(user_id) = filter.user_id {
        sql.push(" AND user_id = ").push_bind(user_id);
    }
    if let Some(phone) = &filter.phone {
        sql.push(" AND phone = ").push_bind(phone);
    }
    if let Some(status) = filter.status {
        sql.push(" AND status = ").push_bind(status.name());
    }
    if let Some(metadata) = &filter.metadata {
        sql.push(" AND metadata @> ").push_bind(metadata);
    }
    if let Some(before) = slice.before {
        sql.push(" AND id < ").push_bind(before);
    }
    sql.push(" ORDER BY id DESC LIMIT ").push_bind(slice.rows);
    sql.build_query_as().fetch_all(pool).await
}

/// The Telegram ids of the user's accounts that are connected: a QR code need not offer them. One that cannot be connected at the
/// moment can be logged in anew.
pub async fn connected_ids(pool: &PgPool, user_id: i32) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT telegram_user_id FROM telegram_sessions
         WHERE user_id = $1 AND status IN ('active', 'limited') AND telegram_user_id IS NOT NULL LIMIT 100",
    )
    .bind(user_id)
    .fetch_all(pool)
    .await
}

/// A session that was just proven alive.
#[derive(Debug)]
pub struct Proven<'a> {
    /// Id of the row, which the envelope is bound to.
    pub id: Uuid,
    /// Its owner.
    pub user_id: i32,
    /// Digits with a leading `+`.
    pub phone: &'a str,
    /// Its id at Telegram.
    pub telegram_user_id: i64,
    /// Its name at Telegram.
    pub name: &'a str,
    /// Its user name, without `@`.
    pub username: Option<&'a str>,
    /// The sealed session.
    pub session_data: &'a Value,
    /// Hash of the session's key.
    pub fingerprint: &'a [u8],
    /// How it presents itself.
    pub client: &'a Value,
}

/// Stores a new account.
pub async fn insert(db: &mut PgConnection, account: &Proven<'_>) -> Result<AccountRow, sqlx::Error> {
    let sql = format!(
        "INSERT INTO telegram_sessions (id, user_id, phone, telegram_user_id, name, username, session_data, fingerprint,
             client, status, connected_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'active', now()) RETURNING {COLUMNS}"
    );
    bind_proven(sqlx::query_as(sqlx::AssertSqlSafe(sql)), account).fetch_one(db).await
}

/// Gives an account that was dead, off or about to be erased a new session; the row, its history and its settings stay.
pub async fn renew(db: &mut PgConnection, account: &Proven<'_>) -> Result<AccountRow, sqlx::Error> {
    let sql = format!(
        "UPDATE telegram_sessions SET user_id = $2, phone = $3, telegram_user_id = $4, name = $5, username = $6,
             session_data = $7, fingerprint = $8, client = $9, status = 'active', status_reason = NULL,
             status_until = NULL, status_changed_at = now(), is_active = TRUE, login_epoch = login_epoch + 1,
             connected_at = now(), delete_requested_at = NULL
         WHERE id = $1 RETURNING {COLUMNS}"
    );
    bind_proven(sqlx::query_as(sqlx::AssertSqlSafe(sql)), account).fetch_one(db).await
}

type QueryRow<'q> = sqlx::query::QueryAs<'q, Postgres, AccountRow, sqlx::postgres::PgArguments>;

fn bind_proven<'q>(query: QueryRow<'q>, account: &Proven<'q>) -> QueryRow<'q> {
    query
        .bind(account.id)
        .bind(account.user_id)
        .bind(account.phone)
        .bind(account.telegram_user_id)
        .bind(account.name)
        .bind(account.username)
        .bind(account.session_data)
        .bind(account.fingerprint)
        .bind(account.client)
}

/// The sealed session and what connecting needs.
#[derive(Debug, FromRow)]
pub struct StoredSession {
    /// The sealed session.
    pub session_data: Value,
    /// Its owner.
    pub user_id: i32,
    /// Whether it may send.
    pub is_active: bool,
    /// How it presents itself.
    pub client: Value,
    /// Counts its logins.
    pub login_epoch: i32,
    /// It is to be logged out and erased.
    pub is_leaving: bool,
    /// Until then it does not write to strangers.
    pub strangers_blocked_until: Option<DateTime<Utc>>,
}

/// Reads what connecting an account needs.
pub async fn stored_session(pool: &PgPool, id: Uuid) -> Result<Option<StoredSession>, sqlx::Error> {
    sqlx::query_as(
        "SELECT session_data, user_id, COALESCE(is_active, FALSE) AS is_active, client, login_epoch,
                delete_requested_at IS NOT NULL AS is_leaving,
                strangers_blocked_until
         FROM telegram_sessions WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// Stores the session anew, if the account still has the login that it belongs to, and the worker still owns it: a former owner
/// must not overwrite what the next one stored.
pub async fn save_session(
    pool: &PgPool,
    lease: &Lease,
    worker_id: Uuid,
    login_epoch: i32,
    sealed: &Value,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE telegram_sessions SET session_data = $3 WHERE id = $1 AND login_epoch = $2 AND EXISTS (
             SELECT 1 FROM sender_leases WHERE sender_id = $1 AND worker_id = $4 AND epoch = $5)",
    )
    .bind(lease.sender_id)
    .bind(login_epoch)
    .bind(sealed)
    .bind(worker_id)
    .bind(lease.epoch)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Changes the state of an account, with event and log. A wait outlives the loss of the connection. Nothing happens when it is in that state already, when its owner switched it
/// off, or when it has been logged in anew since `login_epoch`; returns whether it changed.
pub async fn set_status(
    pool: &PgPool,
    id: Uuid,
    login_epoch: i32,
    status: AccountStatus,
    reason: Option<&str>,
    until: Option<DateTime<Utc>>,
) -> Result<bool, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let user_id: Option<i32> = sqlx::query_scalar(
        "UPDATE telegram_sessions SET status = $3, status_reason = $4, status_changed_at = now(), is_active = $6,
             status_until = CASE WHEN $3 = 'connecting' THEN status_until ELSE $5 END
         WHERE id = $1 AND login_epoch = $2 AND status <> 'off'
           AND (status <> $3 OR ($3 <> 'connecting' AND status_until IS DISTINCT FROM $5))
         RETURNING user_id",
    )
    .bind(id)
    .bind(login_epoch)
    .bind(status.name())
    .bind(reason)
    .bind(until)
    .bind(status.may_send())
    .fetch_optional(&mut *tx)
    .await?;
    let Some(user_id) = user_id else { return Ok(false) };
    tell(&mut tx, user_id, id, status, reason, until).await?;
    tx.commit().await?;
    Ok(true)
}

/// Writes event and log of a change of state.
pub async fn tell(
    db: &mut PgConnection,
    user_id: i32,
    id: Uuid,
    status: AccountStatus,
    reason: Option<&str>,
    until: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    let data = serde_json::json!({ "status": status.name(), "reason": reason, "until": until });
    store::events::insert(&mut *db, user_id, &format!("account.{}", status.name()), id, &data).await?;
    let failed = matches!(status, AccountStatus::NeedsLogin | AccountStatus::Banned | AccountStatus::Limited);
    let log = store::logs::NewLog {
        user_id,
        integration_type: "telegram_account",
        action: status.name(),
        error: failed.then(|| reason.unwrap_or(status.name())),
        details: Some(serde_json::json!({ "account_id": id })),
    };
    store::logs::insert(db, &log).await
}

/// Replaces metadata and settings and, if given, switches the account on or off.
pub async fn update(
    db: &mut PgConnection,
    id: Uuid,
    metadata: &Value,
    settings: &Value,
    status: Option<AccountStatus>,
) -> Result<Option<AccountRow>, sqlx::Error> {
    let sql = format!(
        "UPDATE telegram_sessions SET metadata = $2, settings = $3, status = COALESCE($4, status),
             is_active = COALESCE($5, is_active), status_reason = CASE WHEN $4 IS NULL THEN status_reason END,
             status_until = CASE WHEN $4 IS NULL THEN status_until END,
             status_changed_at = CASE WHEN COALESCE($4, status) = status THEN status_changed_at ELSE now() END
         WHERE id = $1 AND delete_requested_at IS NULL RETURNING {COLUMNS}"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(metadata)
        .bind(settings)
        .bind(status.map(AccountStatus::name))
        .bind(status.map(AccountStatus::may_send))
        .fetch_optional(db)
        .await
}

/// Marks an account as leaving: it is logged out at Telegram, then erased.
pub async fn request_delete(db: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE telegram_sessions SET delete_requested_at = now(), is_active = FALSE, status = 'off',
             status_changed_at = now()
         WHERE id = $1 AND delete_requested_at IS NULL",
    )
    .bind(id)
    .execute(db)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Accounts that have to be logged out, and since how many seconds.
pub async fn leaving(pool: &PgPool) -> Result<Vec<(Uuid, f64)>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, extract(epoch FROM now() - delete_requested_at)::float8 FROM telegram_sessions
         WHERE delete_requested_at IS NOT NULL ORDER BY delete_requested_at LIMIT 100",
    )
    .fetch_all(pool)
    .await
}

/// Erases a row that is leaving.
pub async fn erase(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let gone = sqlx::query("DELETE FROM telegram_sessions WHERE id = $1 AND delete_requested_at IS NOT NULL")
        .bind(id)
        .execute(&mut *tx)
        .await?;
    if gone.rows_affected() == 1 {
        sqlx::query("DELETE FROM sender_leases WHERE sender_id = $1").bind(id).execute(&mut *tx).await?;
    }
    tx.commit().await
}

/// Accounts that should be connected and that no living worker owns.
pub async fn unowned(pool: &PgPool) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT s.id FROM telegram_sessions s
         WHERE s.is_active AND s.delete_requested_at IS NULL AND NOT EXISTS (
             SELECT 1 FROM sender_leases l JOIN workers w ON w.id = l.worker_id AND w.valid_until >= now()
             WHERE l.sender_id = s.id)
         LIMIT 5000",
    )
    .fetch_all(pool)
    .await
}

/// What had no answer under the former login cannot be repeated under the new one: nobody can tell whether it arrived.
pub async fn settle_unanswered(db: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH lost AS (
             UPDATE messages m SET status = 'unknown', error_code = 'unknown_outcome', finished_at = now(), not_before = NULL,
                 error_message = 'The account was logged in anew before Telegram had answered.'
             FROM message_attempts a
             WHERE m.sender_id = $1 AND m.status = 'queued' AND a.id = m.attempt_id AND a.outcome = 'unknown'
             RETURNING m.id, m.user_id, m.chat_id
         )
         INSERT INTO events (id, user_id, type, resource_id, data)
         SELECT uuid7_now(), user_id, 'message.unknown', id,
                jsonb_build_object('status', 'unknown', 'sender_id', $1::uuid, 'chat_id', chat_id)
         FROM lost",
    )
    .bind(id)
    .execute(db)
    .await
    .map(drop)
}
