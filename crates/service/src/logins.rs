//! Logins of accounts: jobs that a worker drives and that survive their callers, other processes and crashes.
//!
//! - [`inputs`]: what people enter, on its way to the driver;
//! - [`manager`]: claims logins that nobody drives, and gives each a driver;
//! - [`driver`]: one login, from its beginning to the connected account;
//! - [`finish`]: storing the account that a login led to;
//! - [`leaving`]: logging accounts out that are to be erased;
//! - [`former`]: logging sessions out that their accounts need no more.

pub mod driver;
mod finish;
pub mod former;
pub mod inputs;
pub mod leaving;
pub mod manager;

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{platforms::telegram_accounts::TelegramAccounts, queue::Hints, secrets::Sealer, worker::Ownership};

pub use inputs::{Input, InputKind, Inputs};

/// How many logins write to the database at the same time.
pub const WRITERS: usize = 2;

/// What logins need.
pub struct Context {
    /// The database.
    pub pool: PgPool,
    /// Seals sessions.
    pub sealer: Sealer,
    /// The connected accounts.
    pub accounts: Arc<TelegramAccounts>,
    /// This worker, and whether it may act.
    pub ownership: Arc<Ownership>,
    /// Wakes the actors of accounts.
    pub hints: Hints,
    /// Tells everything to stop taking work.
    pub stop: CancellationToken,
    /// [`WRITERS`]: when many people scan at once, other requests must not wait behind all of them for a connection to the database
    /// and a processor.
    pub writing: Semaphore,
}

/// What the state of a login is bound to.
pub fn state_purpose(id: Uuid) -> String {
    crate::secrets::purpose("logins", id, "state")
}

/// What the address in a QR code is bound to.
pub fn qr_purpose(id: Uuid) -> String {
    crate::secrets::purpose("logins", id, "qr")
}
