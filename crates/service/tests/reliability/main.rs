//! Two processes for the API and two workers, on a PostgreSQL, a RabbitMQ and a Redis of their own, under a steady load through bots,
//! accounts and channels; and everything that can go wrong with any of them. After each fault every accepted message has arrived once, in the
//! order of its chat, or is `unknown`, which only what was on the wire may be.
//!
//! - [`stage`]: the servers, the simulated Telegram with its people, and the processes;
//! - [`replica`]: one process and its ways to everything else;
//! - [`client`], [`load`]: who sends;
//! - [`scenarios`], [`steps`]: what goes wrong;
//! - [`tally`], [`report`]: what became of the messages.
//!
//! Without settings a few telling scenarios are played at a low rate. `RELIABILITY=all` plays all, at 200 messages a second;
//! `RELIABILITY=worker,broker` those with one of these words in their names. `RELIABILITY_RATE` and `RELIABILITY_SEED` change the rate
//! and the random moments.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

mod client;
mod load;
mod replica;
mod report;
mod scenarios;
mod stage;
mod steps;
mod tally;

#[path = "../faults/people.rs"]
mod people;
#[path = "../process/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the other tests of processes use more of it")]
mod support;
#[path = "../faults/watchdog.rs"]
mod watchdog;

use scenarios::Plan;
use stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_message_arrives_once_whatever_fails() {
    let plan = Plan::from_environment();
    let mut stage = Stage::new().await;
    let mut rows = Vec::new();
    for scenario in &plan.scenarios {
        rows.push(stage.play(scenario, &plan).await);
    }
    stage.end().await;
    let wrong = report::print(&rows, &plan);
    assert!(wrong.is_empty(), "{wrong:#?}");
}
