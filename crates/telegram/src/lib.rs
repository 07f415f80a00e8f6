//! Everything Telegram: its tables, bots, accounts, channels, text.

pub mod accounts;
pub mod bot_api;
pub mod bots;
pub mod channels;
pub mod media;
pub mod mtproto;
pub mod text;
