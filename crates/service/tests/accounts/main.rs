//! Telegram accounts from outside: each module is a story, told over real HTTP, a real PostgreSQL and a simulated Telegram.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the stories of bots use more of it")]
mod common;

mod by_phone;
mod by_qr;
mod cuts;
mod dead_letters;
mod former;
mod imports;
mod incoming;
mod leaving;
mod lists;
mod login_resource;
mod measures;
mod people;
mod processes;
mod proxy;
mod reconnecting;
mod refusals;
mod sending;
mod strangers;
mod waits;
