//! The end of the process: first softly, then hard.
//!
//! SIGINT or SIGTERM cancels [`Shutdown::soft`]: no new work is taken, what runs is finished. A second signal, or the
//! time limit, cancels [`Shutdown::hard`]: what still runs is dropped.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Handles for everything that has to end with the process. Clones belong together.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled when no new work may be taken.
    pub soft: CancellationToken,
    /// Cancelled when running work is to be dropped; never before `soft`.
    pub hard: CancellationToken,
    /// The tasks whose end a soft shutdown waits for.
    pub tasks: TaskTracker,
}

impl Shutdown {
    /// Starts to listen to SIGINT and SIGTERM; after the first, running work has `limit`.
    pub fn on_signals(limit: Duration) -> io::Result<Self> {
        let shutdown = Self::default();
        let signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::spawn(shutdown.clone().watch(signals, limit));
        Ok(shutdown)
    }

    /// Waits until all tasks have ended, at the latest when the shutdown turns hard. Call it after the last task began.
    pub async fn wait(&self) {
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => {}
            () = self.hard.cancelled() => {}
        }
    }

    async fn watch(self, mut signals: (Signal, Signal), limit: Duration) {
        let next = async |signals: &mut (Signal, Signal)| {
            tokio::select! {
                _ = signals.0.recv() => "SIGINT",
                _ = signals.1.recv() => "SIGTERM",
            }
        };
        let first = next(&mut signals).await;
        tracing::info!(signal = first, limit_seconds = limit.as_secs(), "shutting down; a second signal ends at once");
        self.soft.cancel();
        tokio::select! {
            second = next(&mut signals) => tracing::warn!(signal = second, "ending at once"),
            () = sleep(limit) => tracing::warn!("the shutdown takes too long: ending at once"),
        }
        self.hard.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_ends_with_the_last_task() {
        let shutdown = Shutdown::default();
        let soft = shutdown.soft.clone();
        let task = shutdown.tasks.spawn(async move { soft.cancelled().await });
        shutdown.soft.cancel();
        shutdown.wait().await;
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_hard_shutdown_does_not_wait_for_a_task_that_hangs() {
        let shutdown = Shutdown::default();
        shutdown.tasks.spawn(std::future::pending::<()>());
        shutdown.soft.cancel();
        shutdown.hard.cancel();
        shutdown.wait().await;
        assert_eq!(shutdown.tasks.len(), 1);
    }
}
