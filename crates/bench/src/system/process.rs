//! One process of the service.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::Result;
use crate::client::{Connection, Endpoint};

/// How long the start may take.
const START: Duration = Duration::from_mins(1);
/// How long an orderly end may take.
const STOP: Duration = Duration::from_secs(30);

/// How a process is started.
pub struct Launch<'a> {
    /// The service's binary.
    pub binary: &'a Path,
    /// The data folder.
    pub folder: &'a Path,
    /// Where it writes its log.
    pub log: &'a Path,
    /// What it takes for Telegram.
    pub bot_api: SocketAddr,
    /// Further settings.
    pub environment: &'a [(&'static str, String)],
}

/// A process that runs; it is killed with this value.
pub struct Process {
    child: Child,
    /// Where its API listens.
    pub address: SocketAddr,
}

impl Launch<'_> {
    /// Starts a process with these roles and waits until it is ready.
    pub async fn start(&self, roles: &str) -> Result<Process> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::options().create(true).append(true).open(self.log)?;
        let child = self
            .command(&["serve", "--roles", roles])
            // A process without the API tells of its health at an address of its own.
            .env(
                if roles == "worker" { "INTEGRATIONS_WORKER__BIND" } else { "INTEGRATIONS_HTTP__BIND" },
                address.to_string(),
            )
            .env("INTEGRATIONS_TELEGRAM__BOT_API_URL", format!("http://{}", self.bot_api))
            // One user makes all requests here.
            .env("INTEGRATIONS_LIMITS__USER_RPS", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let mut process = Process { child, address };
        if let Err(error) = process.ready().await {
            process.end().await?;
            return Err(format!("{error}; see {}", self.log.display()).into());
        }
        Ok(process)
    }

    /// A token for a user.
    pub async fn token(&self, user: i32) -> Result<String> {
        let token = self.command(&["token", "--user", &user.to_string(), "--ttl", "1d"]).output().await?;
        if !token.status.success() {
            return Err(format!("no token: {}", String::from_utf8_lossy(&token.stderr).trim()).into());
        }
        Ok(String::from_utf8(token.stdout)?)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.binary);
        command
            .args(arguments)
            .env("INTEGRATIONS_DATA_DIR", self.folder)
            .envs(self.environment.iter().map(|(key, value)| (*key, value)))
            .current_dir("/");
        command
    }
}

impl Process {
    async fn ready(&mut self) -> Result<()> {
        let end = Instant::now() + START;
        let endpoint = Endpoint::new(self.address, "none yet")?;
        let mut connection = Connection::new(self.address);
        loop {
            let answer = connection.send(endpoint.request("/health/ready", None)?).await;
            if answer.is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            if self.child.try_wait()?.is_some() || Instant::now() > end {
                return Err("the service did not get ready".into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its number.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it, so that it can put nothing in order.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to end and waits for that.
    pub async fn end(&mut self) -> Result<()> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)?;
        }
        match tokio::time::timeout(STOP, self.child.wait()).await {
            Ok(ended) => Ok(ended.map(drop)?),
            Err(_) => Err("the service does not end".into()),
        }
    }
}
