//! Accounts: their table, and the table of logins.

pub mod inbound;
pub mod logins;
pub mod table;

pub use logins::{LoginRow, LoginStatus};
pub use table::{AccountFilter, AccountRow, AccountStatus, Client};
