//! The private PostgreSQL of the embedded default: made, started, adopted and stopped by the service.
//!
//! - [`binaries`]: finds the installed server;
//! - [`account`]: the user it runs as;
//! - [`layout`]: where its files are;
//! - [`processes`]: what is running of it;
//! - [`server`]: makes the cluster and starts the server.
//!
//! It listens on a socket in a private folder only, so that whoever can reach the socket is let in without a password.

pub mod account;
pub mod binaries;
mod error;
pub mod layout;
pub mod processes;
mod server;
#[cfg(test)]
mod tests;

use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use crate::data_dir::DataDir;
use crate::settings::DatabaseSettings;

pub use error::{INSTALL_HINT, PostgresError};
use layout::{Layout, PORT};
use processes::{PidFile, State};

/// The superuser of the cluster and the database of the service.
const NAME: &str = "integrations";

/// How long a fast shutdown may take, then an immediate one.
const FAST: Duration = Duration::from_secs(10);
const IMMEDIATE: Duration = Duration::from_secs(5);

/// How long a server that runs may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A running private PostgreSQL. Dropping it leaves the server running, for the next start to adopt.
#[derive(Debug)]
pub struct Embedded {
    layout: Layout,
    pid: Pid,
    /// The server when it is a child of this process; a child that ended has to be waited for.
    child: Option<Child>,
    log_keeper: JoinHandle<()>,
}

impl Embedded {
    /// Starts the private PostgreSQL in the data folder, after making it at the first start. One that outlived a killed
    /// service is adopted when it answers, else restarted.
    pub async fn start(data_dir: &DataDir, settings: &DatabaseSettings) -> Result<Self, PostgresError> {
        let layout = Layout::of(data_dir.path());
        let (pid, child) = match adopt(&layout).await? {
            Some(pid) => (pid, None),
            None => server::start(data_dir, &layout, settings).await?,
        };
        ensure_database(&layout).await?;
        let log_keeper = tokio::spawn(keep_log(layout.clone()));
        Ok(Self { layout, pid, child, log_keeper })
    }

    /// Whether the server was running already.
    pub fn is_adopted(&self) -> bool {
        self.child.is_none()
    }

    /// How to connect to the service's database.
    pub fn connect_options(&self) -> PgConnectOptions {
        options(&self.layout, NAME)
    }

    /// Ends the server: connections are cut and running transactions rolled back. When that takes too long, it ends at
    /// once, and the next start recovers.
    pub async fn stop(self) {
        self.end(&[(Signal::INT, FAST), (Signal::QUIT, IMMEDIATE), (Signal::KILL, IMMEDIATE)]).await;
    }

    /// Ends the server at once; the next start recovers.
    pub async fn stop_now(self) {
        self.end(&[(Signal::QUIT, IMMEDIATE), (Signal::KILL, IMMEDIATE)]).await;
    }

    async fn end(mut self, steps: &[(Signal, Duration)]) {
        self.log_keeper.abort();
        for &(signal, limit) in steps {
            processes::signal(self.pid, signal);
            let ended = match &mut self.child {
                Some(child) => timeout(limit, child.wait()).await.is_ok_and(|end: Result<ExitStatus, _>| end.is_ok()),
                None => processes::wait_gone(&self.layout, limit).await,
            };
            if ended {
                tracing::info!("PostgreSQL ended");
                return;
            }
            tracing::warn!(limit_seconds = limit.as_secs(), "PostgreSQL takes long to end");
        }
    }
}

/// How to connect to a database of the cluster.
fn options(layout: &Layout, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass().socket(&layout.socket).port(PORT).username(NAME).database(database)
}

/// How to connect to the private PostgreSQL of a data folder that another process has started.
pub fn running_options(data_dir: &std::path::Path) -> PgConnectOptions {
    options(&Layout::of(data_dir), NAME)
}

/// The server that runs already, if it answers. Otherwise what is left of it has ended when this returns.
async fn adopt(layout: &Layout) -> Result<Option<Pid>, PostgresError> {
    let members = processes::members(layout);
    let server = PidFile::read(&layout.cluster).filter(|file| processes::is_member(layout, file.pid));
    if let Some(PidFile { pid, state }) = server {
        if state != State::Stopping && server::answers(layout, pid).await {
            tracing::info!(pid = pid.as_raw_nonzero(), "adopted the PostgreSQL that was running");
            return Ok(Some(pid));
        }
        tracing::warn!(pid = pid.as_raw_nonzero(), "the PostgreSQL that was running does not answer: ending it");
        // One that is on its way out is writing its last checkpoint; one that hangs gains nothing from more time.
        let patience = if state == State::Stopping { FAST } else { Duration::ZERO };
        for (signal, limit) in [(Signal::INT, patience), (Signal::QUIT, IMMEDIATE), (Signal::KILL, IMMEDIATE)] {
            processes::signal(pid, signal);
            if processes::wait_gone(layout, limit).await {
                break;
            }
        }
    }
    // Processes whose server was killed notice that by themselves, but not while they are stuck.
    if members.is_some() {
        if !processes::wait_gone(layout, IMMEDIATE).await {
            for pid in processes::members(layout).unwrap_or_default() {
                processes::signal(pid, Signal::KILL);
            }
            processes::wait_gone(layout, IMMEDIATE).await;
        }
        processes::remove_traces(layout).map_err(PostgresError::system("clean up", &layout.cluster))?;
    }
    Ok(None)
}

/// Makes the service's database when it is missing.
async fn ensure_database(layout: &Layout) -> Result<(), PostgresError> {
    match options(layout, NAME).connect().await {
        Ok(connection) => connection.close().await?,
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("3D000") => {
            let mut connection: PgConnection = options(layout, "postgres").connect().await?;
            sqlx::query("CREATE DATABASE integrations").execute(&mut connection).await?;
            connection.close().await?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn keep_log(layout: Layout) {
    let mut tick = interval(Duration::from_mins(1));
    loop {
        tick.tick().await;
        if let Err(error) = layout.bound_log() {
            tracing::warn!(error = %error, "cannot cut the log of PostgreSQL");
        }
    }
}
