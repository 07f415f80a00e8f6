//! Channels and groups from outside: each module is a story, told over real HTTP, a real PostgreSQL and a simulated Telegram.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the stories of bots use more of it")]
mod common;
#[path = "../accounts/people.rs"]
#[expect(dead_code, reason = "the stories of accounts use more of it")]
mod people;

mod broadcasts;
mod changes;
mod connecting;
mod failover;
mod inputs;
mod lists;
mod rights;
mod sending;
mod stage;
