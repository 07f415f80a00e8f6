//! The `integrations` binary.

use std::process::ExitCode;

use clap::Parser;
use service::commands::Cli;

/// Faster than the system's allocator with many threads, and it gives memory back after a burst.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    Cli::parse().run().unwrap_or_else(|error| {
        eprintln!("error: {}", service::telemetry::with_causes(error.as_ref()));
        ExitCode::FAILURE
    })
}
