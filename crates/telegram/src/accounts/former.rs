//! `telegram_former_sessions`: sessions that their accounts need no more, until Telegram has ended them.

use serde_json::Value;
use sqlx::{FromRow, PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

/// Whoever takes a session to log it out has it for so long, in seconds: longer than a try can take.
const TAKEN_FOR: f64 = 300.0;

/// A session that is to be logged out.
#[derive(Debug, FromRow)]
pub struct FormerSession {
    /// Its row, which the envelope is bound to.
    pub id: Uuid,
    /// The sealed session.
    pub session_data: Value,
    /// How it presents itself.
    pub client: Value,
    /// How often it has been tried, this time included.
    pub tries: i32,
    /// Since how many seconds it is to be logged out.
    pub seconds: f64,
}

/// What an account has now, for the case that it gets another session.
#[derive(Debug, FromRow)]
pub struct PresentSession {
    /// The sealed session.
    pub session_data: Value,
    /// How it presents itself.
    pub client: Value,
    /// Hash of the session's key.
    pub fingerprint: Option<Vec<u8>>,
}

/// Reads what an account has now.
pub async fn present(db: &mut PgConnection, account_id: Uuid) -> Result<Option<PresentSession>, sqlx::Error> {
    sqlx::query_as("SELECT session_data, client, fingerprint FROM telegram_sessions WHERE id = $1")
        .bind(account_id)
        .fetch_optional(db)
        .await
}

/// Keeps a session until it is logged out.
pub async fn insert(
    db: impl PgExecutor<'_>,
    id: Uuid,
    session_data: &Value,
    client: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO telegram_former_sessions (id, session_data, client) VALUES ($1, $2, $3)")
        .bind(id)
        .bind(session_data)
        .bind(client)
        .execute(db)
        .await
        .map(drop)
}

/// Takes the sessions whose turn it is, at most so many; nobody else gets them meanwhile.
pub async fn take(pool: &PgPool, limit: i64) -> Result<Vec<FormerSession>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE telegram_former_sessions f SET tries = tries + 1, next_try_at = now() + make_interval(secs => $2)
         FROM (SELECT id FROM telegram_former_sessions WHERE next_try_at <= now()
               ORDER BY next_try_at LIMIT $1 FOR UPDATE SKIP LOCKED) t
         WHERE f.id = t.id
         RETURNING f.id, session_data, client, tries, extract(epoch FROM now() - created_at)::float8 AS seconds",
    )
    .bind(limit)
    .bind(TAKEN_FOR)
    .fetch_all(pool)
    .await
}

/// Gives a session back, to be tried again after so many seconds.
pub async fn postpone(pool: &PgPool, id: Uuid, seconds: f64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE telegram_former_sessions SET next_try_at = now() + make_interval(secs => $2) WHERE id = $1")
        .bind(id)
        .bind(seconds)
        .execute(pool)
        .await
        .map(drop)
}

/// Erases a session.
pub async fn erase(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM telegram_former_sessions WHERE id = $1").bind(id).execute(pool).await.map(drop)
}
