//! Two hundred accounts on three workers, under load in both directions, and everything that can go wrong with a worker: nothing is lost,
//! nothing comes twice, the order in each chat holds, no session is used from two places, and all accounts live again soon.
//!
//! - [`scene`]: the simulated Telegram with its people, the database, and the processes;
//! - [`people`]: accounts that are connected from the start;
//! - [`watchdog`]: the small process beside a worker;
//! - [`load`]: what is sent and what arrives, and what must hold of it.
//!
//! `FAULTS=3` repeats each fault so often.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

mod cut;
mod killed;
mod load;
mod people;
mod scene;
mod waits;
mod watchdog;

#[path = "../process/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the other tests of processes use more of it")]
mod support;

/// How often each fault is repeated.
fn rounds() -> usize {
    std::env::var("FAULTS").map_or(1, |rounds| rounds.parse().unwrap())
}
