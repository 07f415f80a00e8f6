//! `audit_log`: who changed what. Rows commit with the change; their chain is made afterwards.

use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

/// A change to record. `before` and `after` hold no secrets.
#[derive(Debug, Clone)]
pub struct AuditEntry<'a> {
    /// Who.
    pub user_id: i32,
    /// What, such as `bot.connect`.
    pub action: &'a str,
    /// The kind of thing that changed, such as `bot`.
    pub resource_type: &'a str,
    /// Its id.
    pub resource_id: Option<String>,
    /// What it was.
    pub before: Option<Value>,
    /// What it is.
    pub after: Option<Value>,
    /// From which address.
    pub address: Option<String>,
    /// In which request.
    pub request_id: Option<String>,
    /// `ok`, or the code of the failure.
    pub result: &'a str,
}

/// Appends an entry.
pub async fn insert(db: impl PgExecutor<'_>, entry: &AuditEntry<'_>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO audit_log
            (id, user_id, action, resource_type, resource_id, before, after, address, request_id, result)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(Uuid::now_v7())
    .bind(entry.user_id)
    .bind(entry.action)
    .bind(entry.resource_type)
    .bind(&entry.resource_id)
    .bind(&entry.before)
    .bind(&entry.after)
    .bind(&entry.address)
    .bind(&entry.request_id)
    .bind(entry.result)
    .execute(db)
    .await
    .map(drop)
}
