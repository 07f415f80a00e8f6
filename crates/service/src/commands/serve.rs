//! `integrations serve`: runs the service until it is told to stop.

use std::error::Error;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::data_dir::DataDir;
use crate::database::{Database, connect};
use crate::metrics::Metrics;
use crate::secrets::{Keyring, Sealer};
use crate::server::{self, Ground, Roles};
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::telemetry;
use crate::worker::watchdog;

use super::{keyring_path, token_options};

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
        let metrics = Metrics::install()?;
        let data_dir = DataDir::open(&settings.data_dir)?;
        let keyring = Keyring::open_or_create(&keyring_path(settings))?;
        let database = Database::open(&settings.database, &data_dir).await?;
        let run = self.run_on(settings, shutdown, &database, keyring, metrics).await;
        if run.is_err() {
            shutdown.soft.cancel();
        }
        shutdown.soft.cancelled().await;
        shutdown.wait().await;
        database.close(shutdown.hard.is_cancelled()).await;
        run
    }

    async fn run_on(
        &self,
        settings: &Settings,
        shutdown: &Shutdown,
        database: &Database,
        keyring: Keyring,
        metrics: Metrics,
    ) -> Result<(), Box<dyn Error>> {
        let pool = connect(&database.options, settings.database.max_connections).await?;
        store::migrate(&pool).await?;
        let tokens = token_options(&settings.auth, Some(keyring.jwt_secret()))?;
        let ground = Ground {
            pool,
            embedded: database.is_embedded(),
            sealer: Sealer::configured(keyring, settings.vault.as_ref())?,
            tokens,
            metrics,
        };
        if self.roles.contains(&Role::Worker)
            && !database.is_embedded()
            && let Some(limit) = settings.worker.watchdog
        {
            tokio::spawn(watchdog::keep(limit));
        }
        let roles = Roles { api: self.roles.contains(&Role::Api), worker: self.roles.contains(&Role::Worker) };
        let address = server::start(settings, roles, ground, shutdown).await?;
        let data_dir = settings.data_dir.display();
        let address = address.map(tracing::field::display);
        tracing::info!(address, roles = ?self.roles, %data_dir, "ready");
        Ok(())
    }
}
