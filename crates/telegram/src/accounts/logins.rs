//! `logins`: logins under way. One process drives a login at a time; the others read it here.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgExecutor, PgPool};
use uuid::Uuid;

/// Whether a login is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginStatus {
    /// Under way.
    Active,
    /// The account is connected.
    Done,
    /// Ended without success.
    Failed,
    /// Given up by its user.
    Cancelled,
}

impl LoginStatus {
    /// The column value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A login.
#[derive(Debug, Clone, FromRow)]
#[expect(missing_docs, reason = "the columns are described in the migrations")]
pub struct LoginRow {
    pub id: Uuid,
    pub user_id: i32,
    pub method: String,
    pub status: String,
    pub step: Value,
    pub qr: Option<String>,
    pub state: Option<Value>,
    pub phone: Option<String>,
    pub sender_id: Option<Uuid>,
    pub client: Value,
    pub fingerprint: Option<Vec<u8>>,
    pub revision: i32,
    pub last_input: Option<Uuid>,
    pub last_problem: Option<Value>,
    pub busy_ms: i64,
    pub expires_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
}

const COLUMNS: &str = "id, user_id, method, status, step, qr, state, phone, sender_id, client, fingerprint, revision, \
     last_input, last_problem, busy_ms, expires_at, created_at";

/// A login to begin.
#[derive(Debug)]
pub struct NewLogin<'a> {
    /// UUIDv7.
    pub id: Uuid,
    /// Whose account it will be.
    pub user_id: i32,
    /// `qr`, `phone` or `import`.
    pub method: &'a str,
    /// Digits with a leading `+`.
    pub phone: Option<&'a str>,
    /// The account that is to be revived.
    pub sender_id: Option<Uuid>,
    /// How the account will present itself.
    pub client: &'a Value,
    /// Of an imported session.
    pub fingerprint: Option<&'a [u8]>,
    /// The sealed state to begin with.
    pub state: Option<&'a Value>,
    /// When it ends by itself, in seconds.
    pub seconds: f64,
}

/// Begins a login, or finds the active one for the same phone or session of the same user.
pub async fn begin(pool: &PgPool, login: &NewLogin<'_>) -> Result<LoginRow, sqlx::Error> {
    let sql = format!(
        "WITH made AS (
             INSERT INTO logins (id, user_id, platform, method, status, step, state, phone, sender_id, client, fingerprint,
                                 expires_at)
             VALUES ($1, $2, 'telegram', $3, 'active', '{{\"type\": \"starting\"}}', $4, $5, $6, $7, $8,
                     now() + make_interval(secs => $9))
             ON CONFLICT DO NOTHING RETURNING {COLUMNS}
         )
         SELECT {COLUMNS} FROM made
         UNION ALL
         SELECT {COLUMNS} FROM logins
         WHERE NOT EXISTS (SELECT 1 FROM made) AND user_id = $2 AND status = 'active'
           AND (phone = $5 OR fingerprint = $8)
         LIMIT 1"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(login.id)
        .bind(login.user_id)
        .bind(login.method)
        .bind(login.state)
        .bind(login.phone)
        .bind(login.sender_id)
        .bind(login.client)
        .bind(login.fingerprint)
        .bind(login.seconds)
        .fetch_one(pool)
        .await
}

/// One login; of one user, or whoever's it is.
pub async fn find(pool: &PgPool, id: Uuid, user_id: Option<i32>) -> Result<Option<LoginRow>, sqlx::Error> {
    let sql = format!("SELECT {COLUMNS} FROM logins WHERE id = $1 AND ($2::int IS NULL OR user_id = $2)");
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).bind(user_id).fetch_optional(pool).await
}

/// Claims an active login that no living worker drives.
pub async fn claim(pool: &PgPool, id: Uuid, worker_id: Uuid) -> Result<Option<LoginRow>, sqlx::Error> {
    let sql = format!(
        "UPDATE logins l SET worker_id = $2, updated_at = now()
         WHERE id = $1 AND status = 'active' AND NOT EXISTS (
             SELECT 1 FROM workers w WHERE w.id = l.worker_id AND w.id <> $2 AND w.valid_until >= now())
         RETURNING {COLUMNS}"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).bind(worker_id).fetch_optional(pool).await
}

/// Active logins that no living worker drives.
pub async fn orphans(pool: &PgPool) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT id FROM logins l WHERE status = 'active' AND NOT EXISTS (
             SELECT 1 FROM workers w WHERE w.id = l.worker_id AND w.valid_until >= now())
         ORDER BY id LIMIT 100",
    )
    .fetch_all(pool)
    .await
}

/// What a driver writes after each step.
#[derive(Debug)]
pub struct Progress<'a> {
    /// The login.
    pub id: Uuid,
    /// Its driver: nobody else may write.
    pub worker_id: Uuid,
    /// Whether it is over.
    pub status: LoginStatus,
    /// What is shown.
    pub step: &'a Value,
    /// The sealed address in the QR code.
    pub qr: Option<&'a str>,
    /// The sealed state; `None` when it is over.
    pub state: Option<&'a Value>,
    /// The account that it led to.
    pub sender_id: Option<Uuid>,
    /// The input that was handled.
    pub input: Option<Uuid>,
    /// What was wrong with it.
    pub problem: Option<&'a Value>,
    /// Milliseconds of work to add.
    pub busy_ms: i64,
}

/// Writes progress. Returns the login as it is now, or `None` when another driver has it.
pub async fn save(db: impl PgExecutor<'_>, progress: &Progress<'_>) -> Result<Option<LoginRow>, sqlx::Error> {
    let sql = format!(
        "UPDATE logins SET status = $3, step = $4, qr = $5, state = $6, sender_id = COALESCE($7, sender_id),
             last_input = COALESCE($8, last_input), last_problem = $9, busy_ms = busy_ms + $10,
             revision = revision + 1, updated_at = now()
         WHERE id = $1 AND worker_id = $2 AND status = 'active' RETURNING {COLUMNS}"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(progress.id)
        .bind(progress.worker_id)
        .bind(progress.status.name())
        .bind(progress.step)
        .bind(progress.qr)
        .bind(progress.state)
        .bind(progress.sender_id)
        .bind(progress.input)
        .bind(progress.problem)
        .bind(progress.busy_ms)
        .fetch_optional(db)
        .await
}
