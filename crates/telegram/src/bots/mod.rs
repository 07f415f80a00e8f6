//! Bots: their table, and what they are told.
//!
//! - [`table`]: the bots themselves;
//! - [`updates`]: an update of the Bot API as an event;
//! - [`inbound`]: how a bot's updates are taken, and which were taken.

pub mod inbound;
pub mod table;
pub mod updates;

pub use inbound::{UpdatesMode, UpdatesState};
pub use table::{BotFilter, BotRow, BotStatus};
