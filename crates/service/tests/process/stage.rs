//! A Telegram that takes its time, forty bots in it, and random moments: for the tests that break something under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use telegram_sim::Sim;
use telegram_sim::bot_api::{Fault, FaultAction, token_bot_id};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::{Api, Machine, Telegram, arrived, sim, until};
use crate::traffic::{BOTS, CHATS, MESSAGES, Traffic};

/// Where a test plays.
pub struct Stage {
    /// The simulated Telegram.
    pub sim: Sim,
    /// Bots as the service and as Telegram know them.
    pub bots: Vec<(Uuid, Telegram)>,
    random: StdRng,
}

/// When something happens.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// After so many messages were accepted.
    Accepted(usize),
    /// After so many messages arrived.
    Arrived(usize),
}

impl Stage {
    /// A Telegram without bots. `PROCESS_SEED=…` makes the same moments again.
    pub async fn new() -> Self {
        let seed = std::env::var("PROCESS_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
        println!("PROCESS_SEED={seed}");
        Self { sim: sim().await, bots: Vec::new(), random: StdRng::seed_from_u64(seed) }
    }

    /// A machine whose service uses this Telegram, as fast as it can.
    pub fn machine(&self) -> Machine {
        Machine::new()
            .with("INTEGRATIONS_TELEGRAM__BOT_API_URL", self.sim.bot_api_url())
            .with("INTEGRATIONS_TELEGRAM__BOT_PER_SECOND", 10_000)
            .with("INTEGRATIONS_TELEGRAM__PRIVATE_CHAT_PER_SECOND", 1000)
            .with("INTEGRATIONS_LIMITS__USER_RPS", 0)
    }

    /// Makes the bots and connects them.
    pub async fn connect_bots(&mut self, api: &Api) {
        for bot in Telegram::bots(&self.sim, BOTS, CHATS) {
            self.bots.push((api.connect_bot(&bot.token).await, bot));
        }
    }

    /// A random moment.
    pub fn moment(&mut self) -> Moment {
        let count = self.random.random_range(1..=MESSAGES);
        if self.random.random() { Moment::Accepted(count) } else { Moment::Arrived(count) }
    }

    /// From now on Telegram takes its time, differently for each bot: before it takes a message, or before it answers.
    pub fn slow_telegram(&mut self) {
        for (_, bot) in &self.bots {
            let ms = self.random.random_range(1..=150);
            let action = match self.random.random_range(0..3) {
                0 => FaultAction::Delay { ms },
                1 => FaultAction::HangAfter { ms },
                _ => continue,
            };
            let id = token_bot_id(&bot.token).unwrap();
            self.sim.add_fault(Fault::new(action).method("sendMessage").bot(id));
        }
    }

    /// Lets the callers begin, and waits for the moment.
    pub async fn offer_until(&self, moment: Moment, round: &str, api: &Api) -> JoinHandle<Traffic> {
        let accepted = Arc::new(AtomicUsize::new(0));
        let offering = tokio::spawn(Traffic::new(round, &self.bots).offer(api.clone(), accepted.clone()));
        until("the moment has come", async || {
            let accepted = accepted.load(Ordering::Relaxed);
            assert!(accepted == MESSAGES || !offering.is_finished(), "the callers gave up after {accepted}");
            match moment {
                Moment::Accepted(count) => accepted >= count,
                Moment::Arrived(count) => arrived(&self.sim, round).len() >= count,
            }
        })
        .await;
        offering
    }

    /// Requests that Telegram is at.
    pub fn on_the_wire(&self) -> u64 {
        self.sim.api().counters().get().in_flight
    }

    /// Waits until nobody is connected to Telegram: a request that it has not taken yet goes away with its connection.
    /// From now on it is quick again.
    pub async fn quiet(&self) {
        until("all connections are closed", async || self.sim.api().counters().get().open_connections == 0).await;
        self.sim.api().faults().clear();
    }
}

/// Waits until every message has reached its end.
pub async fn all_final(api: &Api) {
    until("all messages are final", async || api.messages("scheduled,queued,sending", None).await.0.is_empty()).await;
}
