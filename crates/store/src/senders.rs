//! Senders of every platform in one shape: the view `senders`.

use sqlx::{FromRow, PgPool};
use uuid::Uuid;

/// A sender as the delivery engine sees it.
#[derive(Debug, Clone, FromRow)]
pub struct SenderRow {
    /// Id of the row in its platform's table.
    pub id: Uuid,
    /// Its owner.
    pub user_id: i32,
    /// `bot` or `account`.
    pub kind: String,
    /// Whether it may send.
    pub is_active: bool,
    /// The state of the platform's row, such as `active` or `token_revoked`.
    pub status: String,
}

/// One sender, whoever owns it.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<SenderRow>, sqlx::Error> {
    sqlx::query_as("SELECT id, user_id, kind, is_active, status FROM senders WHERE id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// Which senders work, but for those that their owners switched off.
pub async fn up(pool: &PgPool) -> Result<Vec<(Uuid, bool)>, sqlx::Error> {
    sqlx::query_as("SELECT id, status IN ('active', 'limited') FROM senders WHERE status <> 'off' ORDER BY id")
        .fetch_all(pool)
        .await
}

/// Counts by kind and state, for the gauges.
pub async fn counts(pool: &PgPool) -> Result<Vec<(String, String, i64)>, sqlx::Error> {
    sqlx::query_as("SELECT kind, status, count(*) FROM senders GROUP BY kind, status").fetch_all(pool).await
}
