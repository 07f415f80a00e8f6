//! A strict stand-in for Telegram: Bot API and MTProto. Never part of the release binary.

pub mod world;
