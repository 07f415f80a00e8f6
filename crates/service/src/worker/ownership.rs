//! The worker's own row, and the terms in which the worker may act.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often the row is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How long the database may take for that.
const RENEW_WITHIN: Duration = Duration::from_secs(2);
/// Without a renewal for so long, the worker starts nothing more and drops its connections: the others may take its senders
/// after [`store::leases::VALID_SECONDS`].
const FENCE_AFTER_MS: u64 = 4000;
/// How often it is looked whether that time is over. Not one timer for the whole time: timers stand still while the machine sleeps.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// This process as a worker.
pub struct Ownership {
    /// Made anew at each start: a restarted process is another worker.
    pub worker_id: Uuid,
    host: String,
    /// When the last renewal that succeeded was sent, in milliseconds of a clock that counts suspend; 0 is never.
    renewed_at: AtomicU64,
    term: Mutex<CancellationToken>,
}

impl Ownership {
    /// A worker that has not entered itself yet.
    pub fn new() -> Self {
        let uname = rustix::system::uname();
        Self {
            worker_id: Uuid::now_v7(),
            host: uname.nodename().to_string_lossy().into_owned(),
            renewed_at: AtomicU64::new(0),
            term: Mutex::default(),
        }
    }

    /// Whether attempts may start. False when the last good renewal is too long ago.
    pub fn holds(&self) -> bool {
        let renewed_at = self.renewed_at.load(Ordering::Acquire);
        renewed_at != 0 && boot_ms().saturating_sub(renewed_at) < FENCE_AFTER_MS
    }

    /// The present term: cancelled when the worker must not speak for its senders any more. A later renewal begins another one.
    /// Every connection of a sender belongs to the term in which it was begun.
    pub fn term(&self) -> CancellationToken {
        self.lock().clone()
    }

    /// Connections that are begun now may be written to as long as this term lasts: also when the process stood still and nobody has
    /// ended the term yet.
    pub fn may_write(self: &Arc<Self>) -> impl Fn() -> bool + Send + Sync + 'static {
        let (this, term) = (self.clone(), self.term());
        move || this.holds() && !term.is_cancelled()
    }

    /// Renews the row once.
    pub async fn renew(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let sent_at = boot_ms();
        store::leases::renew(pool, self.worker_id, &self.host, env!("CARGO_PKG_VERSION")).await?;
        self.renewed(sent_at);
        Ok(())
    }

    fn renewed(&self, sent_at: u64) {
        let mut term = self.lock();
        if self.renewed_at.load(Ordering::Acquire) != 0 && !self.holds() {
            // It comes too late for the present term, also when nobody has looked yet, as after a suspend: others may have taken over.
            term.cancel();
        }
        self.renewed_at.store(sent_at, Ordering::Release);
        if term.is_cancelled() && self.holds() {
            *term = CancellationToken::new();
            tracing::info!("the worker goes on");
        }
    }

    /// Renews the row each second, and ends the term when that fails for too long, until stopped.
    pub async fn keep(&self, pool: &PgPool, stop: CancellationToken) {
        let both = async { tokio::join!(self.renew_always(pool), self.fence_in_time()) };
        stop.run_until_cancelled(both).await;
    }

    async fn renew_always(&self, pool: &PgPool) {
        loop {
            match tokio::time::timeout(RENEW_WITHIN, self.renew(pool)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the worker's row could not be renewed"),
                Err(_) => tracing::warn!("the worker's row could not be renewed: the database does not answer"),
            }
            tokio::time::sleep(RENEW_EVERY).await;
        }
    }

    async fn fence_in_time(&self) {
        loop {
            self.fence_if_late();
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn fence_if_late(&self) {
        let term = self.lock();
        if !self.holds() && !term.is_cancelled() {
            term.cancel();
            tracing::warn!("the worker drops its connections and starts nothing until the database answers again");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, CancellationToken> {
        // A panic elsewhere leaves a whole token behind.
        self.term.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn renewed(ago_ms: u64) -> Ownership {
        let ownership = Ownership::new();
        ownership.renewed_at.store(boot_ms() - ago_ms, Ordering::Release);
        ownership
    }

    #[test]
    fn a_term_lasts_as_long_as_the_row_is_renewed() {
        let ownership = renewed(0);
        ownership.fence_if_late();
        assert!(ownership.holds() && !ownership.term().is_cancelled());
    }

    #[test]
    fn a_late_renewal_ends_the_term_for_good() {
        let ownership = renewed(FENCE_AFTER_MS);
        let term = ownership.term();
        assert!(!ownership.holds(), "nothing starts, even before the term is ended");
        ownership.fence_if_late();
        assert!(term.is_cancelled());
    }

    #[test]
    fn a_renewal_that_comes_too_late_begins_another_term_though_nobody_looked_meanwhile() {
        let ownership = renewed(FENCE_AFTER_MS);
        let term = ownership.term();
        ownership.renewed(boot_ms());
        assert!(term.is_cancelled() && ownership.holds() && !ownership.term().is_cancelled());
    }

    #[test]
    fn what_was_begun_in_a_term_may_not_be_written_after_it_though_nobody_ended_it() {
        let ownership = Arc::new(renewed(0));
        let may_write = ownership.may_write();
        assert!(may_write());
        ownership.renewed_at.store(boot_ms() - FENCE_AFTER_MS, Ordering::Release);
        assert!(!may_write(), "before anybody has looked");
        ownership.renewed(boot_ms());
        assert!(!may_write() && ownership.may_write()(), "the next term is another one");
    }

    #[test]
    fn a_worker_that_never_entered_itself_holds_nothing() {
        assert!(!Ownership::new().holds());
    }
}
