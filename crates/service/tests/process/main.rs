//! The built binary as its operators run it: killed, stopped, started twice, and split over several processes.
//!
//! Every test has a data folder of its own and a simulated Telegram in the test's process.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

mod commands;
mod docs;
mod files;
mod gateway;
mod inbound;
mod keys;
mod kill;
mod media;
mod refusals;
mod roles;
#[path = "../common/sealed_rows.rs"]
mod sealed_rows;
mod shutdown;
mod stage;
mod support;
mod traffic;
