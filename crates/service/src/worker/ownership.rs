//! The worker's own row, and when to stop because it could not be renewed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often the row is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// Without a renewal for so long, the worker starts nothing more: the others may take its senders after
/// [`store::leases::VALID_SECONDS`].
const FENCE_AFTER_MS: u64 = 4000;

/// This process as a worker.
pub struct Ownership {
    /// Made anew at each start: a restarted process is another worker.
    pub worker_id: Uuid,
    host: String,
    /// When the last renewal that succeeded was sent, in milliseconds of a clock that counts suspend; 0 is never.
    renewed_at: AtomicU64,
}

impl Ownership {
    /// A worker that has not entered itself yet.
    pub fn new() -> Self {
        let uname = rustix::system::uname();
        Self {
            worker_id: Uuid::now_v7(),
            host: uname.nodename().to_string_lossy().into_owned(),
            renewed_at: AtomicU64::new(0),
        }
    }

    /// Whether attempts may start. False when the last good renewal is too long ago.
    pub fn holds(&self) -> bool {
        let renewed_at = self.renewed_at.load(Ordering::Acquire);
        renewed_at != 0 && boot_ms().saturating_sub(renewed_at) < FENCE_AFTER_MS
    }

    /// Renews the row once.
    pub async fn renew(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let sent_at = boot_ms();
        store::leases::renew(pool, self.worker_id, &self.host, env!("CARGO_PKG_VERSION")).await?;
        self.renewed_at.store(sent_at, Ordering::Release);
        Ok(())
    }

    /// Renews the row each second until stopped.
    pub async fn keep(&self, pool: &PgPool, stop: CancellationToken) {
        let mut held = true;
        loop {
            match tokio::time::timeout(Duration::from_secs(2), self.renew(pool)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the worker's row could not be renewed"),
                Err(_) => tracing::warn!("the worker's row could not be renewed: the database does not answer"),
            }
            if held != self.holds() {
                held = !held;
                if held {
                    tracing::info!("the worker goes on");
                } else {
                    tracing::warn!("the worker starts nothing until the database answers again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RENEW_EVERY) => {}
            }
        }
    }
}

impl Default for Ownership {
    fn default() -> Self {
        Self::new()
    }
}

fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}
