//! What messages can say, through a bot and through an account alike, compared with what arrived at a simulated Telegram.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the stories of bots use more of it")]
mod common;
#[path = "../accounts/people.rs"]
#[expect(dead_code, reason = "the stories of accounts use more of it")]
mod people;

mod broadcasts;
mod changes;
mod channels;
mod files;
mod kinds;
mod refusals;
mod splits;
mod stage;
