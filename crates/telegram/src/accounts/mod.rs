//! Accounts: their table, the waits that Telegram imposes on them, and the tables of logins and of former sessions.

pub mod former;
pub mod inbound;
pub mod logins;
pub mod table;
pub mod waits;

pub use logins::{LoginRow, LoginStatus};
pub use table::{AccountFilter, AccountRow, AccountStatus, Client};
