//! The service, started with a private database in a fresh folder.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::process::{Launch, Process};
use super::{Target, connect_bots};
use crate::Result;
use crate::client::Endpoint;

/// The service and its folder.
pub struct Service {
    binary: PathBuf,
    /// Under which each start gets a folder of its own.
    data: PathBuf,
    log: PathBuf,
    bot_api: SocketAddr,
    environment: Vec<(&'static str, String)>,
    starts: u32,
    running: Option<Running>,
}

struct Running {
    process: Process,
    folder: PathBuf,
    worker: bool,
    endpoint: Endpoint,
    bots: Vec<String>,
}

impl Service {
    /// Prepares it; it is started when it is needed.
    pub fn new(binary: &Path, data: &Path, out: &Path, bot_api: SocketAddr) -> Result<Self> {
        let binary = binary.canonicalize().map_err(|error| {
            format!("{}: {error} (build it with: cargo build --release -p service)", binary.display())
        })?;
        let log = out.join("service.log");
        // Only this run's log is worth its space.
        File::create(&log)?;
        Ok(Self { binary, data: data.to_owned(), log, bot_api, environment: Vec::new(), starts: 0, running: None })
    }

    /// The same with further settings.
    pub fn with(self, environment: Vec<(&'static str, String)>) -> Self {
        Self { environment, ..self }
    }

    /// The same with more settings than it has.
    pub fn with_more(mut self, environment: Vec<(&'static str, String)>) -> Self {
        self.environment.extend(environment);
        self
    }

    /// Starts it unless it runs in this mode already, and connects what lacks of the bots.
    pub async fn ready(&mut self, bots: usize, worker: bool) -> Result<Target> {
        if self.running.as_ref().is_some_and(|running| running.worker != worker) {
            self.stop().await?;
        }
        if self.running.is_none() {
            self.running = Some(self.start(worker).await?);
        }
        let Some(running) = &mut self.running else { return Err("the service does not run".into()) };
        connect_bots(&running.endpoint, &mut running.bots, bots).await?;
        let roots = running.process.id().into_iter().collect();
        Ok(Target { endpoint: running.endpoint.clone(), bots: running.bots.clone(), roots })
    }

    async fn start(&mut self, worker: bool) -> Result<Running> {
        self.starts += 1;
        let folder = self.data.join(format!("{}-{}", std::process::id(), self.starts));
        // Made by the service, which knows who has to reach it. What is there already is not ours.
        if folder.exists() {
            return Err(format!("{} exists already: remove it", folder.display()).into());
        }
        std::fs::create_dir_all(&self.data)?;
        self.start_in(folder, worker).await
    }

    async fn start_in(&mut self, folder: PathBuf, worker: bool) -> Result<Running> {
        let launch = self.launch(&folder);
        let process = launch.start(if worker { "api,worker" } else { "api" }).await?;
        let endpoint = Endpoint::new(process.address, &launch.token(1).await?)?;
        Ok(Running { process, folder, worker, endpoint, bots: Vec::new() })
    }

    fn launch<'a>(&'a self, folder: &'a Path) -> Launch<'a> {
        Launch { binary: &self.binary, folder, log: &self.log, bot_api: self.bot_api, environment: &self.environment }
    }

    /// The API of the service that runs, as another user.
    pub async fn endpoint_of(&self, user: i32) -> Result<Endpoint> {
        let running = self.running.as_ref().ok_or("the service does not run")?;
        let launch = self.launch(&running.folder);
        Endpoint::new(running.process.address, &launch.token(user).await?)
    }

    /// Ends it and starts it again on the same data.
    pub async fn restart(&mut self) -> Result<Target> {
        let running = self.end().await?.ok_or("the service does not run")?;
        self.again(running).await
    }

    /// Kills it, so that it can put nothing in order, and starts it again on the same data.
    pub async fn kill_and_restart(&mut self) -> Result<Target> {
        let mut running = self.running.take().ok_or("the service does not run")?;
        running.process.kill().await?;
        self.again(running).await
    }

    /// The data folder of the service that runs.
    pub fn folder(&self) -> Option<&Path> {
        self.running.as_ref().map(|running| running.folder.as_path())
    }

    /// What it has written, and what its predecessors have.
    pub fn log(&self) -> &Path {
        &self.log
    }

    async fn again(&mut self, running: Running) -> Result<Target> {
        let bots = running.bots;
        let mut running = self.start_in(running.folder, running.worker).await?;
        running.bots = bots;
        let roots = running.process.id().into_iter().collect();
        let target = Target { endpoint: running.endpoint.clone(), bots: running.bots.clone(), roots };
        self.running = Some(running);
        Ok(target)
    }

    /// Ends it and removes its folder.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(running) = self.end().await? {
            std::fs::remove_dir_all(&running.folder)?;
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<Option<Running>> {
        let Some(mut running) = self.running.take() else { return Ok(None) };
        running.process.end().await?;
        Ok(Some(running))
    }
}
