//! The service from outside: each module is a story, told over real HTTP, a real PostgreSQL and a simulated Telegram.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod bad_input;
mod bot_tokens;
mod bots;
mod broadcasts;
mod cancel_and_resend;
mod database_away;
mod document;
mod events;
mod fetching;
mod files;
mod first_message;
mod flood_waits;
mod idempotency;
mod lists;
mod names_and_migration;
mod objects;
mod operation;
mod order;
mod polling;
mod refusals;
mod restart;
mod retention;
mod s3;
mod scheduling;
mod secrecy;
mod signs_of_life;
mod stats;
mod tasks;
mod telegram_away;
mod told;
mod unknown_outcomes;
mod users;
mod webhooks;
mod workers;
