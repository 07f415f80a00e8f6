//! The `integrations` binary.

use std::process::ExitCode;

use clap::Parser;
use service::commands::Cli;

/// Small allocations from many threads: faster than the system's allocator, and it gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run().unwrap_or_else(|error| {
        eprintln!("error: {}", service::telemetry::with_causes(error.as_ref()));
        ExitCode::FAILURE
    })
}
