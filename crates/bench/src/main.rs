//! Measures the service: the load generator and the Bot API stand-in are one process, so that one clock times a message from
//! its POST to its arrival at "Telegram".
//!
//! - [`cli`]: what to measure;
//! - [`scenario`]: the loads, and how one of them is run;
//! - [`load`], [`client`], [`pace`]: requests at a fixed rate (open loop) or as fast as they are answered (closed loop);
//! - [`logins`]: from the scan of a QR code to the connected account;
//! - [`accounts`]: thousands of connected accounts;
//! - [`channels`]: searches and pages of a user with many channels among many more;
//! - [`fairness`]: one user's single messages while another one sends in bulk;
//! - [`soak`]: everything at random for long, and what must not grow meanwhile;
//! - [`telegram`], [`ledger`]: the stand-in, and which message arrived when and how often;
//! - [`system`]: what is measured: the service, or another stack with the same API;
//! - [`processes`]: processor time and memory of what is measured, and of everything else;
//! - [`summary`], [`report`]: percentiles, medians over the repeats, the table and the lines of JSON.

mod accounts;
mod channels;
mod cli;
mod client;
mod fairness;
mod ledger;
mod load;
mod logins;
mod pace;
mod processes;
mod report;
mod rows;
mod run;
mod scenario;
mod soak;
mod summary;
mod system;
mod telegram;

use std::process::ExitCode;

use clap::Parser;

/// The load generator shares the processors with what it measures: it should take little of them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What goes wrong here is told to a person and ends the run.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run::run(cli::Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
