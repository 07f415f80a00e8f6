//! Another stack with the same API, in a folder with a script `run.sh` whose functions set it up, start and end it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::Target;
use crate::Result;
use crate::client::Endpoint;

/// Where its API listens.
const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 58000);
/// Bots that it is seeded with: as many as any scenario uses.
const BOTS: &str = "500";

/// The other stack.
pub struct Baseline {
    folder: PathBuf,
    /// Where all lies that it makes.
    base: PathBuf,
    log: PathBuf,
    bot_api: SocketAddr,
    started: bool,
    worker: bool,
}

impl Baseline {
    /// The stack in this folder; it is started when it is needed.
    pub fn new(folder: &Path, out: &Path, bot_api: SocketAddr) -> Result<Self> {
        if !folder.join("run.sh").is_file() {
            return Err(format!("BASELINE: {} has no run.sh", folder.display()).into());
        }
        let base = std::env::var_os("BASE").map_or_else(|| "/var/tmp/integrations-baseline".into(), PathBuf::from);
        let log = out.join("baseline.log");
        Ok(Self { folder: folder.to_owned(), base, log, bot_api, started: false, worker: false })
    }

    /// Starts it unless it runs; starts or ends its workers; empties its tables.
    pub async fn ready(&mut self, worker: bool) -> Result<Target> {
        if !self.started {
            self.started = true;
            for function in ["setup", "services", "seed", "api_up"] {
                self.call(function).await?;
            }
        }
        if self.worker != worker {
            if worker {
                // What was accepted without a worker is not to be sent now.
                self.call("purge").await?;
            }
            self.call(if worker { "worker_up" } else { "workers_down" }).await?;
            self.worker = worker;
        }
        self.call("clean").await?;
        let token = fs::read_to_string(self.base.join("jwt.txt"))?;
        let bots = fs::read_to_string(self.base.join("bots.txt"))?.split_whitespace().map(str::to_owned).collect();
        Ok(Target { endpoint: Endpoint::new(ADDRESS.into(), &token)?, bots, roots: self.roots()? })
    }

    /// Ends what `ready` started.
    pub async fn stop(&mut self) -> Result<()> {
        if std::mem::take(&mut self.started) { self.call("stop").await } else { Ok(()) }
    }

    /// The processes whose numbers it wrote down.
    fn roots(&self) -> Result<Vec<u32>> {
        let mut roots = Vec::new();
        for entry in fs::read_dir(self.base.join("run"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "pid") {
                roots.extend(fs::read_to_string(path)?.trim().parse::<u32>());
            }
        }
        Ok(roots)
    }

    async fn call(&self, function: &str) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let status = Command::new("bash")
            .arg(self.folder.join("run.sh"))
            .arg(function)
            .env("BASE", &self.base)
            .env("FAKEPORT", self.bot_api.port().to_string())
            .env("BOTS", BOTS)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .await?;
        // `stop` ends with the status of its last kill, which finds nothing when the process is gone.
        if status.success() || function == "stop" {
            return Ok(());
        }
        Err(format!("run.sh {function} failed ({status}); see {}", self.log.display()).into())
    }
}
