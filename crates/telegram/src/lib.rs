//! Everything Telegram: its tables, bots, accounts, channels, text.

pub mod bots;
pub mod bot_api;
pub mod text;
