//! What to measure, from the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::scenario::{List, Load, Scenario};

/// Measures the service: starts it with a fresh private database, connects bots through its API, and drives it.
#[derive(Debug, Parser)]
pub struct Cli {
    /// What to measure; without it, everything
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of every command.
    #[command(flatten)]
    pub options: Options,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Options {
    /// How often each scenario is run
    #[arg(long, global = true, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repeat: u32,
    /// Seconds of each measurement, instead of each scenario's own
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub secs: Option<u32>,
    /// The service's binary; a release build
    #[arg(long, global = true, default_value = "target/release/integrations")]
    pub integrations: PathBuf,
    /// Folder for the service's data, on the disk to be measured; removed afterwards
    #[arg(long, global = true, default_value = "/var/tmp/integrations-bench")]
    pub data_dir: PathBuf,
    /// Folder for the results and the logs
    #[arg(long, global = true, default_value = "target/bench")]
    pub out: PathBuf,
    /// How long the stand-in takes for a sendMessage, in milliseconds
    #[arg(long, global = true, default_value_t = 0)]
    pub telegram_ms: u64,
    /// Measure a service that runs already at this address, such as 127.0.0.1:8080, instead of starting one
    #[arg(long, global = true, value_name = "HOST:PORT", requires_all = ["token_file", "bot_api"])]
    pub address: Option<SocketAddr>,
    /// A file with the token for that service
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Where the stand-in listens: that service's Bot API address
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub bot_api: Option<SocketAddr>,
    /// Also measure the service as two processes, an API and a worker, with a RabbitMQ between them
    #[arg(long, global = true)]
    pub replicas: bool,
    /// The process of that service, to be watched with its children
    #[arg(long, global = true)]
    pub pid: Option<u32>,
}

/// What to measure.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// From POST to arrival at a fixed rate (open loop)
    Arrival {
        /// Messages per second
        #[arg(long, default_value_t = 100)]
        rate: u32,
        /// Bots that they go through in turn
        #[arg(long, default_value_t = 8)]
        bots: usize,
    },
    /// Sends as fast as they are accepted (closed loop)
    Accept {
        /// Connections
        #[arg(long, default_value_t = 32)]
        connections: usize,
        /// Bots that they go through in turn
        #[arg(long, default_value_t = 500)]
        bots: usize,
        /// Without a worker: nothing is sent on
        #[arg(long)]
        no_worker: bool,
    },
    /// Lists of 50 bots as fast as they are answered (closed loop)
    List {
        /// Connections
        #[arg(long, default_value_t = 32)]
        connections: usize,
    },
    /// Processor time and memory when nothing is asked
    Idle,
    /// Logins by QR code: from the scan to the connected account
    Logins,
    /// Thousands of connected accounts: memory of each, processor time, a restart, and sends through them
    Accounts {
        /// How many
        #[arg(long, default_value_t = 5000)]
        count: usize,
        /// Messages per second, each through another account
        #[arg(long, default_value_t = 100)]
        rate: u32,
    },
    /// The same loads with an empty database, and with millions of messages in it
    Rows {
        /// How many
        #[arg(long, default_value_t = 10_000_000)]
        count: u32,
    },
    /// A user with 10,000 of 100,000 channels: searches and pages
    Channels,
    /// One user's single messages while another one sends in bulk
    Fairness,
    /// A day compressed: logins, log-outs, sends, cuts and restarts at random must leave memory, descriptors and rows flat
    Soak {
        /// How long
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1440))]
        minutes: u32,
        /// Begins the same run of chances again; without it, another one
        #[arg(long)]
        seed: Option<u64>,
    },
}

impl Cli {
    /// The scenarios to run, in their order.
    pub fn scenarios(&self) -> Vec<Scenario> {
        let chosen = match &self.command {
            Some(Command::Arrival { rate, bots }) => vec![arrival(*rate, *bots, 20)],
            Some(Command::Accept { connections, bots, no_worker }) => vec![accept(*connections, *bots, !no_worker)],
            Some(Command::List { connections }) => vec![list(*connections)],
            Some(Command::Idle) => vec![idle()],
            // Not one load on bots: see `logins`, `accounts`, `rows`, `channels`, `fairness` and `soak`.
            Some(
                Command::Logins
                | Command::Accounts { .. }
                | Command::Rows { .. }
                | Command::Channels
                | Command::Fairness
                | Command::Soak { .. },
            ) => Vec::new(),
            None => vec![
                idle(),
                arrival(100, 8, 20),
                arrival(200, 8, 60),
                arrival(2000, 500, 15),
                list(32),
                accept(32, 500, true),
                accept(32, 500, false),
            ],
        };
        let secs = |scenario: Scenario| Scenario { secs: self.options.secs.unwrap_or(scenario.secs), ..scenario };
        chosen.into_iter().map(secs).collect()
    }
}

/// The loads that a large table could slow down.
pub fn over_rows() -> [Scenario; 3] {
    let messages = Scenario { load: Load::List(List::Messages), ..list(32) };
    [accept(32, 500, true), messages, arrival(200, 500, 20)]
}

fn arrival(rate: u32, bots: usize, secs: u32) -> Scenario {
    // Enough connections that a slow answer does not hold up the schedule.
    let connections = if rate > 500 { 256 } else { 64 };
    Scenario { load: Load::Open { rate }, bots, connections, secs, worker: true }
}

fn accept(connections: usize, bots: usize, worker: bool) -> Scenario {
    Scenario { load: Load::Closed, bots, connections, secs: 10, worker }
}

fn list(connections: usize) -> Scenario {
    Scenario { load: Load::List(List::Bots), bots: 120, connections, secs: 10, worker: true }
}

fn idle() -> Scenario {
    Scenario { load: Load::Idle, bots: 8, connections: 0, secs: 15, worker: true }
}
