//! What a caller can do. A use case knows nothing of HTTP: it takes a [`Caller`] and plain values, and answers with rows or an
//! [`crate::Error`]. Changes are written together with their event, their log entry and their audit entry.

pub mod accounts;
pub mod bots;
pub mod broadcasts;
pub mod changes;
pub mod channel_send;
pub mod channel_settings;
pub mod channels;
pub mod content;
pub mod draft;
pub mod dry_run;
pub mod files;
pub mod idempotent;
pub mod inbound;
pub mod keys;
pub mod logins;
pub mod messages;
pub mod qr_codes;
pub mod send;
pub mod tasks;

use serde_json::Value;
use sqlx::PgConnection;
use store::audit::{self, AuditEntry};

use crate::auth::{Identity, Scope};

/// Who calls, and from where.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user.
    pub identity: Identity,
    /// The request, for log and audit.
    pub request_id: Option<String>,
    /// W3C trace context that the request continues.
    pub traceparent: Option<String>,
    /// Address of the client.
    pub address: Option<String>,
}

impl Caller {
    /// The user whose rows the caller sees; `None` is everybody's.
    pub fn owner(&self) -> Option<i32> {
        self.identity.owner()
    }

    /// Sees and uses everybody's rows.
    pub fn is_admin(&self) -> bool {
        self.identity.scopes.allows(Scope::Admin)
    }
}

/// A change as the audit keeps it.
pub(crate) struct Change<'a> {
    pub action: &'a str,
    pub resource_type: &'a str,
    pub resource_id: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Writes the audit entry of a change, in the change's own transaction.
pub(crate) async fn record(db: &mut PgConnection, caller: &Caller, change: Change<'_>) -> Result<(), sqlx::Error> {
    let entry = AuditEntry {
        user_id: caller.identity.user_id,
        action: change.action,
        resource_type: change.resource_type,
        resource_id: Some(change.resource_id),
        before: change.before,
        after: change.after,
        address: caller.address.clone(),
        request_id: caller.request_id.clone(),
        result: "ok",
    };
    audit::insert(db, &entry).await
}
