//! The command line.
//!
//! Each command is a file. Results go to standard output; only `serve` also writes its log there.

pub mod doctor;
pub mod import;
pub mod keys;
mod local_api;
pub mod migrate;
mod openapi;
pub mod serve;
pub mod token;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use secrecy::SecretString;

use crate::auth::{TokenOptions, jwks::JwksOptions};
use crate::settings::{AuthSettings, Settings, SettingsError, environment};
use crate::worker::watchdog;

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
    /// Connect an account by a session of Telethon or Pyrogram, through the service on this machine
    Import(import::Import),
    /// Show and change the keys that credentials are sealed with, through the service on this machine
    Keys(keys::Keys),
    /// Print the document that describes the API (OpenAPI 3.1)
    Openapi,
    /// Check the settings and everything that the service depends on
    Doctor,
    /// Kill the process that started this one when it gives no sign of life
    #[command(name = watchdog::COMMAND, hide = true)]
    Watchdog {
        /// After so long
        limit_ms: u64,
    },
}

impl Cli {
    /// Runs the command. An error is for the person at the command line.
    pub fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        if let Command::Watchdog { limit_ms } = self.command {
            return Ok(watchdog::watch(Duration::from_millis(limit_ms))?);
        }
        let settings = Settings::load(self.config.as_deref(), environment());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        match self.command {
            Command::Serve(serve) => runtime.block_on(serve.run(settings?)),
            Command::Migrate => runtime.block_on(migrate::run(settings?)),
            Command::Token(token) => token.run(&settings?),
            Command::Import(import) => runtime.block_on(import.run(&settings?)),
            Command::Keys(keys) => runtime.block_on(keys.run(&settings?)),
            Command::Openapi => openapi::run(),
            Command::Doctor => Ok(runtime.block_on(doctor::run(settings))),
            Command::Watchdog { .. } => unreachable!("it has no use for settings or a runtime"),
        }
    }
}

/// The settings as the command line found them.
type Loaded = Result<Settings, SettingsError>;

/// Where the keyring lies.
fn keyring_path(settings: &Settings) -> PathBuf {
    settings.keys.file.clone().unwrap_or_else(|| settings.data_dir.join("keyring.json"))
}

/// Which tokens are accepted: the configured ones, else those signed with the secret that the installation made for itself.
fn token_options(auth: &AuthSettings, own_secret: Option<SecretString>) -> Result<TokenOptions, String> {
    let jwks = match &auth.jwks_url {
        Some(url) => Some(JwksOptions::new(url.parse().map_err(|error| format!("auth.jwks_url: {error}"))?)),
        None => None,
    };
    let secret = auth.jwt_secret.clone().or(if jwks.is_none() { own_secret } else { None });
    Ok(TokenOptions {
        secret,
        jwks,
        issuer: auth.issuer.clone(),
        audience: auth.audience.clone(),
        user_claim: auth.user_claim.clone(),
    })
}
