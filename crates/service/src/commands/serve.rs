//! `integrations serve`: runs the service until it is told to stop.

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::data_dir::DataDir;
use crate::database::Database;
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::telemetry;

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// What this process does
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["api", "worker"])]
    pub roles: Vec<Role>,
}

/// A part of the service that can run in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Answers requests.
    Api,
    /// Owns senders and sends.
    Worker,
}

impl Serve {
    /// Runs until a signal; an error after the log began is in the log.
    pub async fn run(self, settings: Settings) -> Result<ExitCode, Box<dyn Error>> {
        telemetry::init(&settings.log)?;
        let shutdown = Shutdown::on_signals(settings.http.shutdown)?;
        match self.serve(&settings, &shutdown).await {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(error) => {
                tracing::error!(error = telemetry::with_causes(error.as_ref()), "cannot run");
                Ok(ExitCode::FAILURE)
            }
        }
    }

    async fn serve(&self, settings: &Settings, shutdown: &Shutdown) -> Result<(), Box<dyn Error>> {
        let data_dir = DataDir::open(&settings.data_dir)?;
        let database = Database::open(&settings.database, &data_dir).await?;
        tracing::info!(roles = ?self.roles, data_dir = %data_dir.path().display(), "running");
        shutdown.soft.cancelled().await;
        shutdown.wait().await;
        database.close(shutdown.hard.is_cancelled()).await;
        Ok(())
    }
}
