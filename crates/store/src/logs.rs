//! `integration_logs`: what the service did with a user's integrations.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgExecutor, PgPool, Postgres, QueryBuilder};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Slice;

/// One entry.
#[derive(Debug, Clone, FromRow, Serialize, ToSchema)]
pub struct LogRow {
    /// Id of the entry.
    pub id: Uuid,
    /// The user whose integration it concerns.
    pub user_id: i32,
    /// `telegram_bot`, `telegram_account` or `telegram_channel`.
    pub integration_type: String,
    /// What was done: `connect`, `disconnect`, `send`, …
    pub action: String,
    /// `success` or `error`.
    pub status: String,
    /// What else is worth knowing; `null` where there is nothing to say.
    pub details: Option<Value>,
    /// The error in words.
    pub error_message: Option<String>,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}

/// A new entry.
#[derive(Debug, Clone)]
pub struct NewLog<'a> {
    /// The user whose integration it concerns.
    pub user_id: i32,
    /// `telegram_bot`, `telegram_account` or `telegram_channel`.
    pub integration_type: &'a str,
    /// What was done.
    pub action: &'a str,
    /// The error in words; `None` is a success.
    pub error: Option<&'a str>,
    /// What else is worth knowing.
    pub details: Option<Value>,
}

/// Which entries a list shows.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// Of this user; `None` is everybody's.
    pub user_id: Option<i32>,
    /// With this type.
    pub integration_type: Option<String>,
    /// With this action.
    pub action: Option<String>,
    /// With this status.
    pub status: Option<String>,
    /// Whose details contain this JSON.
    pub details: Option<Value>,
    /// Not older than this.
    pub from: Option<DateTime<Utc>>,
    /// Older than this.
    pub to: Option<DateTime<Utc>>,
}

/// Writes an entry; called in the transaction of what it tells of.
pub async fn insert(db: impl PgExecutor<'_>, log: &NewLog<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO integration_logs (id, user_id, integration_type, action, status, details, error_message)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(Uuid::now_v7())
    .bind(log.user_id)
    .bind(log.integration_type)
    .bind(log.action)
    .bind(if log.error.is_some() { "error" } else { "success" })
    .bind(&log.details)
    .bind(log.error)
    .execute(db)
    .await
    .map(drop)
}

/// One page of entries.
pub async fn list(pool: &PgPool, filter: &LogFilter, slice: Slice) -> Result<Vec<LogRow>, sqlx::Error> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "SELECT id, user_id, integration_type, action, status, details, error_message, created_at
         FROM integration_logs WHERE TRUE",
    );
    if let Some(user_id) = filter.user_id {
        sql.push(" AND user_id = ").push_bind(user_id);
    }
    if let Some(integration_type) = &filter.integration_type {
        sql.push(" AND integration_type = ").push_bind(integration_type);
    }
    if let Some(action) = &filter.action {
        sql.push(" AND action = ").push_bind(action);
    }
    if let Some(status) = &filter.status {
        sql.push(" AND status = ").push_bind(status);
    }
    if let Some(details) = &filter.details {
        sql.push(" AND details @> ").push_bind(details);
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
    sql.push(" ORDER BY id DESC LIMIT ").push_bind(slice.rows);
    sql.build_query_as().fetch_all(pool).await
}
