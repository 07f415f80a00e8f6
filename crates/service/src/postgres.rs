//! The private PostgreSQL of the embedded default: made, started, adopted and stopped by the service.
//!
//! - [`binaries`]: finds the installed server;
//! - [`account`]: the user it runs as;
//! - [`layout`]: where its files are;
//! - [`processes`]: what is running of it;
//! - `server`: makes the cluster, starts and ends the server;
//! - `keeper`: starts it again when it ends unasked.
//!
//! It listens on a socket in a private folder only, so that whoever can reach the socket is let in without a password.

pub mod account;
pub mod binaries;
mod error;
mod keeper;
pub mod layout;
pub mod processes;
mod server;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::data_dir::DataDir;
use crate::settings::DatabaseSettings;

pub use error::{INSTALL_HINT, PostgresError};
use keeper::{Ending, Keeper};
use layout::{Layout, PORT};
use processes::{PidFile, State};
use server::Server;

/// The superuser of the cluster and the database of the service.
const NAME: &str = "integrations";

/// How long a fast shutdown may take, then an immediate one.
const FAST: Duration = Duration::from_secs(10);
const IMMEDIATE: Duration = Duration::from_secs(5);

/// How long a server that runs may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A running private PostgreSQL. It is started again when it ends unasked. Dropping this leaves the server running, for
/// the next start to adopt.
#[derive(Debug)]
pub struct Embedded {
    layout: Layout,
    adopted: bool,
    ending: oneshot::Sender<Ending>,
    keeper: JoinHandle<()>,
}

impl Embedded {
    /// Starts the private PostgreSQL in the data folder, after making it at the first start. One that outlived a killed
    /// service is adopted when it answers, else restarted.
    pub async fn start(data_dir: &DataDir, settings: &DatabaseSettings) -> Result<Self, PostgresError> {
        let layout = Layout::of(data_dir.path());
        let running = adopt(&layout).await?;
        let adopted = running.is_some();
        let server = match running {
            Some(server) => server,
            None => Server::start(&layout, settings).await?,
        };
        ensure_database(&layout).await?;
        let (ending, asked) = oneshot::channel();
        let keeper = Keeper { layout: layout.clone(), settings: settings.clone(), server };
        Ok(Self { layout, adopted, ending, keeper: tokio::spawn(keeper.run(asked)) })
    }

    /// Whether the server was running already.
    pub fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// How to connect to the service's database.
    pub fn connect_options(&self) -> PgConnectOptions {
        options(&self.layout, NAME)
    }

    /// Ends the server: connections are cut and running transactions rolled back. When that takes too long, it ends at
    /// once, and the next start recovers.
    pub async fn stop(self) {
        self.end(Ending::Fast).await;
    }

    /// Ends the server at once; the next start recovers.
    pub async fn stop_now(self) {
        self.end(Ending::Immediate).await;
    }

    async fn end(self, ending: Ending) {
        // The keeper ends only when it is asked to, and a panic in it is logged; there is nothing more to do then.
        let _ = self.ending.send(ending);
        let _ = self.keeper.await;
    }
}

/// How to connect to a database of the cluster.
fn options(layout: &Layout, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass().socket(&layout.socket).port(PORT).username(NAME).database(database)
}

/// How to connect to the private PostgreSQL of a data folder that another process has started.
pub fn running_options(data_dir: &Path) -> PgConnectOptions {
    options(&Layout::of(data_dir), NAME)
}

/// The server that runs already, if it answers. Otherwise what is left of it has ended when this returns.
async fn adopt(layout: &Layout) -> Result<Option<Server>, PostgresError> {
    let server = PidFile::read(&layout.cluster).filter(|file| processes::is_member(layout, file.pid));
    if let Some(PidFile { pid, state }) = server {
        if state != State::Stopping && server::answers(layout, pid).await {
            tracing::info!(pid = pid.as_raw_nonzero(), "adopted the PostgreSQL that was running");
            return Ok(Some(Server::adopted(pid)));
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
    server::clear(layout).await?;
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
