//! `idempotency_keys`: a repeated request meets the first one's answer for 24 hours.

use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

/// What a key is found to be.
#[derive(Debug, Clone)]
pub enum KeyState {
    /// It is the caller's: the request runs now.
    Begun,
    /// The same request ran before: this was its answer.
    Done {
        /// HTTP status of the answer.
        status: u16,
        /// JSON body of the answer.
        response: Value,
    },
    /// The same request still runs.
    InProgress,
    /// The key was used with another body.
    OtherBody,
}

/// Claims a key for a request of several steps. A claim that its process could not finish is open again after `lock_seconds`.
pub async fn begin(
    pool: &PgPool,
    user_id: i32,
    key: &str,
    body_hash: &[u8],
    lock_seconds: f64,
) -> Result<KeyState, sqlx::Error> {
    let begun = sqlx::query(
        "INSERT INTO idempotency_keys AS k (user_id, key, body_hash, locked_until, expires_at)
         VALUES ($1, $2, $3, now() + make_interval(secs => $4), now() + interval '24 hours')
         ON CONFLICT (user_id, key) DO UPDATE SET body_hash = $3, resource_id = NULL, response_status = NULL,
             response = NULL, locked_until = EXCLUDED.locked_until, expires_at = EXCLUDED.expires_at
         WHERE k.expires_at < now() OR (k.response IS NULL AND k.locked_until < now() AND k.body_hash = $3)",
    )
    .bind(user_id)
    .bind(key)
    .bind(body_hash)
    .bind(lock_seconds)
    .execute(pool)
    .await?
    .rows_affected()
        == 1;
    if begun {
        return Ok(KeyState::Begun);
    }
    Ok(find(pool, user_id, key, body_hash).await?.unwrap_or(KeyState::InProgress))
}

/// Looks a key up without claiming it.
pub async fn find(pool: &PgPool, user_id: i32, key: &str, body_hash: &[u8]) -> Result<Option<KeyState>, sqlx::Error> {
    let row: Option<(Vec<u8>, Option<i16>, Option<Value>)> = sqlx::query_as(
        "SELECT body_hash, response_status, response FROM idempotency_keys
         WHERE user_id = $1 AND key = $2 AND expires_at >= now()",
    )
    .bind(user_id)
    .bind(key)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(hash, status, response)| match (status, response) {
        _ if hash != body_hash => KeyState::OtherBody,
        (Some(status), Some(response)) => KeyState::Done { status: status.unsigned_abs(), response },
        _ => KeyState::InProgress,
    }))
}

/// Stores the answer of a request that succeeded.
pub async fn finish(
    db: impl sqlx::PgExecutor<'_>,
    user_id: i32,
    key: &str,
    resource_id: Option<Uuid>,
    status: u16,
    response: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE idempotency_keys SET resource_id = $3, response_status = $4, response = $5
         WHERE user_id = $1 AND key = $2",
    )
    .bind(user_id)
    .bind(key)
    .bind(resource_id)
    .bind(i16::try_from(status).unwrap_or(500))
    .bind(response)
    .execute(db)
    .await
    .map(drop)
}

/// Opens a key again after a request that failed and stored nothing.
pub async fn abandon(pool: &PgPool, user_id: i32, key: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND response IS NULL")
        .bind(user_id)
        .bind(key)
        .execute(pool)
        .await
        .map(drop)
}
