//! Everything Telegram: its tables, bots, accounts, channels, text.

pub mod bots;
pub mod text;
