//! The command line.
//!
//! Each command is a file. Results go to standard output; only `serve` also writes its log there.

pub mod doctor;
pub mod migrate;
pub mod serve;
pub mod token;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings::{Settings, SettingsError, environment};

/// Connects accounts on outside platforms and sends through them.
#[derive(Debug, Parser)]
#[command(name = "integrations", version)]
pub struct Cli {
    /// Settings file (default: integrations.toml in the current folder, if it exists)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::Serve),
    /// Bring the database's schema up to date
    Migrate,
    /// Print a token for development and first use
    Token(token::Token),
    /// Check the settings and everything that the service depends on
    Doctor,
}

impl Cli {
    /// Runs the command. An error is for the person at the command line.
    pub fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let settings = Settings::load(self.config.as_deref(), environment());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        match self.command {
            Command::Serve(serve) => runtime.block_on(serve.run(settings?)),
            Command::Migrate => runtime.block_on(migrate::run(settings?)),
            Command::Token(token) => token.run(&settings?),
            Command::Doctor => Ok(runtime.block_on(doctor::run(settings))),
        }
    }
}

/// The settings as the command line found them.
type Loaded = Result<Settings, SettingsError>;
