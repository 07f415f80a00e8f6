//! The service, started with a private database in a fresh folder.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::{Target, connect_bots};
use crate::Result;
use crate::client::{Connection, Endpoint};

/// How long the start may take.
const START: Duration = Duration::from_mins(1);
/// How long an orderly end may take.
const STOP: Duration = Duration::from_secs(30);

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
    process: Child,
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
        let address = free_address()?;
        let log = File::options().create(true).append(true).open(&self.log)?;
        let process = Command::new(&self.binary)
            .args(["serve", "--roles", if worker { "api,worker" } else { "api" }])
            .env("INTEGRATIONS_DATA_DIR", &folder)
            .env("INTEGRATIONS_HTTP__BIND", address.to_string())
            .env("INTEGRATIONS_TELEGRAM__BOT_API_URL", format!("http://{}", self.bot_api))
            // One user makes all requests here.
            .env("INTEGRATIONS_LIMITS__USER_RPS", "0")
            .envs(self.environment.iter().map(|(key, value)| (*key, value)))
            .current_dir(&self.data)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut running =
            Running { process, folder, worker, endpoint: Endpoint::new(address, "none yet")?, bots: Vec::new() };
        if let Err(error) = self.settle(&mut running).await {
            self.running = Some(running);
            self.stop().await?;
            return Err(error);
        }
        Ok(running)
    }

    /// Waits until it is ready, and gets a token.
    async fn settle(&self, running: &mut Running) -> Result<()> {
        let end = Instant::now() + START;
        let mut connection = Connection::new(running.endpoint.address);
        loop {
            let answer = connection.send(running.endpoint.request("/health/ready", None)?).await;
            if answer.is_ok_and(|(status, _)| status == 200) {
                break;
            }
            if running.process.try_wait()?.is_some() || Instant::now() > end {
                return Err(format!("the service did not get ready; see {}", self.log.display()).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        running.endpoint = self.token(running, 1).await?;
        Ok(())
    }

    async fn token(&self, running: &Running, user: i32) -> Result<Endpoint> {
        let token = Command::new(&self.binary)
            .args(["token", "--user", &user.to_string(), "--ttl", "1d"])
            .env("INTEGRATIONS_DATA_DIR", &running.folder)
            .current_dir(&self.data)
            .output()
            .await?;
        if !token.status.success() {
            return Err(format!("no token: {}", String::from_utf8_lossy(&token.stderr).trim()).into());
        }
        Endpoint::new(running.endpoint.address, std::str::from_utf8(&token.stdout)?)
    }

    /// The API of the service that runs, as another user.
    pub async fn endpoint_of(&self, user: i32) -> Result<Endpoint> {
        let running = self.running.as_ref().ok_or("the service does not run")?;
        self.token(running, user).await
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
        let pid = running.process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)?;
        }
        if tokio::time::timeout(STOP, running.process.wait()).await.is_err() {
            return Err(format!("the service does not end; its data stays in {}", running.folder.display()).into());
        }
        Ok(Some(running))
    }
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
