//! The service as two processes, one for the API and one worker, with a PostgreSQL of their own and a RabbitMQ between them.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use service::data_dir::DataDir;
use service::postgres::{Embedded, layout::Layout, processes::PidFile};
use service::settings::DatabaseSettings;
use sqlx::ConnectOptions as _;
use testservers::RabbitMq;

use super::process::{Launch, Process};
use super::{Target, connect_bots};
use crate::Result;
use crate::client::Endpoint;

/// The connections of both processes together, and some more.
const DATABASE: DatabaseSettings = DatabaseSettings { url: None, max_connections: 60, bin_dir: None };

/// The two processes and what they share.
pub struct Replicas {
    binary: PathBuf,
    data: PathBuf,
    log: PathBuf,
    bot_api: SocketAddr,
    starts: u32,
    running: Option<Running>,
}

struct Running {
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
    database: Embedded,
    broker: RabbitMq,
    api: Process,
    worker: Option<Process>,
    endpoint: Endpoint,
    bots: Vec<String>,
}

impl Replicas {
    /// Prepares them; they are started when they are needed.
    pub fn new(binary: &Path, data: &Path, out: &Path, bot_api: SocketAddr) -> Result<Self> {
        let log = out.join("replicas.log");
        File::create(&log)?;
        let binary = binary.canonicalize()?;
        Ok(Self { binary, data: data.to_owned(), log, bot_api, starts: 0, running: None })
    }

    /// Starts what does not run, and connects what lacks of the bots.
    pub async fn ready(&mut self, bots: usize, worker: bool) -> Result<Target> {
        if self.running.is_none() {
            self.running = Some(self.start().await?);
        }
        let Some(running) = &mut self.running else { return Err("the service does not run".into()) };
        match (&mut running.worker, worker) {
            (None, true) => {
                let folder = running.folder.join("worker");
                if !folder.exists() {
                    // Each process has a folder of its own, and all have the same keys.
                    DataDir::make(&folder)?;
                    std::fs::copy(running.folder.join("keyring.json"), folder.join("keyring.json"))?;
                }
                let launch = Launch {
                    binary: &self.binary,
                    folder: &folder,
                    log: &self.log,
                    bot_api: self.bot_api,
                    environment: &running.environment,
                };
                running.worker = Some(launch.start("worker").await?);
            }
            (Some(process), false) => {
                process.end().await?;
                running.worker = None;
            }
            _ => {}
        }
        connect_bots(&running.endpoint, &mut running.bots, bots).await?;
        let postgres = PidFile::read(&Layout::of(&running.folder).cluster);
        let postgres = postgres.and_then(|file| u32::try_from(file.pid.as_raw_nonzero().get()).ok());
        let processes =
            [running.api.id(), running.worker.as_ref().and_then(Process::id), postgres, running.broker.id()];
        Ok(Target {
            endpoint: running.endpoint.clone(),
            bots: running.bots.clone(),
            roots: processes.into_iter().flatten().collect(),
        })
    }

    async fn start(&mut self) -> Result<Running> {
        self.starts += 1;
        std::fs::create_dir_all(&self.data)?;
        let folder = DataDir::make(&self.data.join(format!("replicas-{}-{}", std::process::id(), self.starts)))?;
        let database = Embedded::start(&DataDir::open(&folder)?, &DATABASE).await?;
        let broker = tokio::task::spawn_blocking(RabbitMq::start).await?;
        let url = database.connect_options().to_url_lossy().to_string();
        let environment = vec![("INTEGRATIONS_DATABASE__URL", url), ("INTEGRATIONS_BROKER__URL", broker.url())];
        let launch = Launch {
            binary: &self.binary,
            folder: &folder,
            log: &self.log,
            bot_api: self.bot_api,
            environment: &environment,
        };
        let api = launch.start("api").await?;
        let endpoint = Endpoint::new(api.address, &launch.token(1).await?)?;
        Ok(Running { folder, environment, database, broker, api, worker: None, endpoint, bots: Vec::new() })
    }

    /// Ends everything and removes the folder.
    pub async fn stop(&mut self) -> Result<()> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        if let Some(worker) = &mut running.worker {
            worker.end().await?;
        }
        running.api.end().await?;
        running.database.stop().await;
        let broker = running.broker;
        tokio::task::spawn_blocking(move || drop(broker)).await?;
        std::fs::remove_dir_all(&running.folder)?;
        Ok(())
    }
}
