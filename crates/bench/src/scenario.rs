//! The loads, and how one of them is run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Result;
use crate::ledger::{Counts, Ledger};
use crate::load::{self, Answers, Ask};
use crate::pace::Pace;
use crate::processes::{Used, Watch};
use crate::summary::Percentiles;
use crate::system::Target;
use crate::telegram::Telegram;

/// More requests per second than this end a closed loop early.
const CLOSED_LIMIT: usize = 50_000;
/// What was accepted is waited for as long as something arrives within this time.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
/// A double may come a little later than the first.
const DOUBLES_WITHIN: Duration = Duration::from_secs(1);
/// Before it is watched doing nothing.
const REST: Duration = Duration::from_secs(3);
/// Between warming up and measuring.
const SETTLE: Duration = Duration::from_millis(500);

/// One thing to measure.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The kind of load.
    pub load: Load,
    /// Bots that messages go through in turn.
    pub bots: usize,
    /// Connections to the API.
    pub connections: usize,
    /// How long it is measured.
    pub secs: u32,
    /// Messages are sent on; else they are accepted only.
    pub worker: bool,
}

/// A kind of load.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// Sends at a fixed rate.
    Open {
        /// Per second.
        rate: u32,
    },
    /// Sends, each connection's next one after its answer.
    Closed,
    /// Lists of 50, each connection's next one after its answer.
    List(List),
    /// Nothing.
    Idle,
}

/// What is listed.
#[derive(Debug, Clone, Copy)]
pub enum List {
    /// Bots.
    Bots,
    /// Messages.
    Messages,
}

impl List {
    fn path(self) -> &'static str {
        match self {
            Self::Bots => "/api/integrations/telegram/bots?limit=50",
            Self::Messages => "/api/integrations/messages?limit=50",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bots, connections, secs, .. } = self;
        match self.load {
            Load::Open { rate } => write!(f, "arrival at {rate}/s, {bots} bots, {secs} s"),
            Load::Closed if self.worker => write!(f, "accept, {connections} connections, {bots} bots, {secs} s"),
            Load::Closed => write!(f, "accept without worker, {connections} connections, {secs} s"),
            Load::List(List::Bots) => write!(f, "list of 50 bots, {connections} connections, {secs} s"),
            Load::List(List::Messages) => write!(f, "list of 50 messages, {connections} connections, {secs} s"),
            Load::Idle => write!(f, "idle, {bots} bots, {secs} s"),
        }
    }
}

/// What one run of a scenario gave.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Requests answered with 2xx per second.
    pub answered_per_s: f64,
    /// Messages that arrived per second, while requests were sent.
    pub arrived_per_s: f64,
    /// Requests by status.
    pub statuses: BTreeMap<String, usize>,
    /// From due to answered, ms.
    pub post: Option<Percentiles>,
    /// From due to arrived, ms.
    pub arrival: Option<Percentiles>,
    /// What became of the messages, after what was accepted had time to arrive.
    pub messages: Option<Counts>,
    /// Processor time and memory.
    pub used: Used,
}

impl Scenario {
    /// Runs it once.
    pub async fn run(&self, target: &Target, telegram: &Telegram) -> Result<Measured> {
        self.warm_up(target, telegram).await?;
        let time = Duration::from_secs(u64::from(self.secs));
        let capacity = match self.load {
            Load::Open { rate } => (rate * self.secs) as usize,
            Load::Closed | Load::List(_) => CLOSED_LIMIT * self.secs as usize,
            Load::Idle => 0,
        };
        let (ask, ledger) = self.ask(target, telegram, capacity);
        let pace = || match self.load {
            Load::Open { rate } => Pace::open(rate, capacity),
            Load::Closed | Load::List(_) | Load::Idle => Pace::closed(time, capacity),
        };
        let watch = Watch::begin(target.roots.clone());
        let begun = Instant::now();
        let answers = if matches!(self.load, Load::Idle) {
            tokio::time::sleep(time).await;
            Answers::default()
        } else {
            load::drive(&target.endpoint, ask, self.connections, pace).await?
        };
        let (seconds, arrived) = (begun.elapsed().as_secs_f64(), ledger.arrived_so_far());
        let used = watch.end();
        if self.worker {
            drain(&ledger).await;
        }
        let sends = matches!(self.load, Load::Open { .. } | Load::Closed);
        Ok(Measured {
            answered_per_s: per_second(answers.latencies.len(), seconds),
            arrived_per_s: per_second(arrived, seconds),
            statuses: answers.statuses,
            post: Percentiles::of(answers.latencies),
            arrival: Percentiles::of(ledger.latencies()),
            messages: (sends && self.worker).then(|| ledger.counts()),
            used,
        })
    }

    /// Lets everything that is made at the first use be made: a message through each bot, or some lists.
    async fn warm_up(&self, target: &Target, telegram: &Telegram) -> Result<()> {
        let total = match self.load {
            Load::Open { .. } | Load::Closed => self.bots,
            Load::List(_) => self.connections * 10,
            Load::Idle => 0,
        };
        if total == 0 {
            // What was started a moment ago comes to rest.
            tokio::time::sleep(REST).await;
            return Ok(());
        }
        let (ask, ledger) = self.ask(target, telegram, total);
        load::drive(&target.endpoint, ask, 32, || Pace::closed(Duration::from_mins(1), total)).await?;
        if self.worker {
            drain(&ledger).await;
        }
        tokio::time::sleep(SETTLE).await;
        Ok(())
    }

    /// What to ask, with a new ledger.
    fn ask(&self, target: &Target, telegram: &Telegram, capacity: usize) -> (Arc<Ask>, Arc<Ledger>) {
        let run = next_run();
        let list = if let Load::List(list) = self.load { Some(list) } else { None };
        let ledger = Arc::new(Ledger::new(run, if list.is_some() { 0 } else { capacity }));
        telegram.note_in(ledger.clone());
        if let Some(list) = list {
            return (Arc::new(Ask::Get(list.path())), ledger);
        }
        let bots = target.bots[..self.bots.min(target.bots.len())].to_vec();
        // Chats of their own, so that the pace of one chat binds nowhere.
        let first_chat = 1_000_000 + usize::try_from(run % 1_000_000).unwrap_or_default() * 10_000_000;
        (Arc::new(Ask::Send { bots, first_chat, ledger: ledger.clone() }), ledger)
    }
}

/// Numbers runs over several starts of this program.
fn next_run() -> u64 {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    u64::try_from(chrono::Utc::now().timestamp()).unwrap_or_default() + RUNS.fetch_add(1, Relaxed)
}

async fn drain(ledger: &Ledger) {
    let mut progress = (ledger.arrived_so_far(), Instant::now());
    while ledger.counts().lost > 0 && progress.1.elapsed() < DRAIN_PATIENCE {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let arrived = ledger.arrived_so_far();
        if arrived != progress.0 {
            progress = (arrived, Instant::now());
        }
    }
    if ledger.capacity() > 0 {
        tokio::time::sleep(DOUBLES_WITHIN).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn per_second(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds
}
