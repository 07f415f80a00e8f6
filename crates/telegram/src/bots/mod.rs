//! Bots: their table.

pub mod table;

pub use table::{BotFilter, BotRow, BotStatus};
