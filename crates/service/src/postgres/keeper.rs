//! Watches the server while the service runs.

use std::time::Duration;

use tokio::sync::oneshot::Receiver;
use tokio::time::{interval, sleep};

use super::layout::Layout;
use super::server::{self, Server};
use crate::settings::DatabaseSettings;

/// How often the size of the log is looked at.
const LOG_CHECK: Duration = Duration::from_mins(1);

/// The pause before another attempt to start the server again.
const PAUSE: Duration = Duration::from_secs(1);

/// How the server is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// In order.
    Fast,
    /// Without its last checkpoint.
    Immediate,
}

/// Keeps the server running and its log small.
pub struct Keeper {
    pub layout: Layout,
    pub settings: DatabaseSettings,
    pub server: Server,
}

impl Keeper {
    /// Runs until it is asked to end the server. When nobody can ask any more, the server is left running.
    pub async fn run(mut self, mut asked: Receiver<Ending>) {
        let mut log_check = interval(LOG_CHECK);
        loop {
            tokio::select! {
                ending = &mut asked => {
                    if let Ok(ending) = ending {
                        self.server.end(&self.layout, ending).await;
                    }
                    return;
                }
                () = self.server.ended(&self.layout) => {
                    tracing::error!("PostgreSQL ended unasked: starting it again");
                    match self.start_again(&mut asked).await {
                        Some(server) => self.server = server,
                        None => return,
                    }
                }
                _ = log_check.tick() => {
                    if let Err(error) = self.layout.bound_log() {
                        tracing::warn!(error = %error, "cannot cut the log of PostgreSQL");
                    }
                }
            }
        }
    }

    /// Tries until the server runs; `None` when the end came first.
    async fn start_again(&self, asked: &mut Receiver<Ending>) -> Option<Server> {
        loop {
            let started = match server::clear(&self.layout).await {
                Ok(()) => Server::start(&self.layout, &self.settings).await,
                Err(error) => Err(error),
            };
            match started {
                Ok(server) => return Some(server),
                Err(error) => tracing::error!(error = %error, "cannot start PostgreSQL again"),
            }
            tokio::select! {
                _ = &mut *asked => return None,
                () = sleep(PAUSE) => {}
            }
        }
    }
}
