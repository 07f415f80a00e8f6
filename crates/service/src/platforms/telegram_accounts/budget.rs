//! How fast accounts are connected: thousands that come back at once must not storm Telegram.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// So many connects in a second, shared with the other workers.
pub struct Budget {
    per_second: u32,
    workers: AtomicU32,
    next: Mutex<Instant>,
}

impl Budget {
    /// Of the whole service.
    pub fn new(per_second: u32) -> Self {
        Self { per_second: per_second.max(1), workers: AtomicU32::new(1), next: Mutex::new(Instant::now()) }
    }

    /// So many workers share it from now on.
    pub fn shared_by(&self, workers: u32) {
        self.workers.store(workers.max(1), Ordering::Relaxed);
    }

    /// Waits for a turn. One that is not used, because the future was dropped, is lost.
    pub async fn turn(&self) {
        let interval = Duration::from_secs(1) * self.workers.load(Ordering::Relaxed) / self.per_second;
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next).max(Instant::now());
            *next = at + interval;
            at
        };
        sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_come_at_the_rate_and_the_first_at_once() {
        let (budget, begun) = (Budget::new(100), Instant::now());
        for _ in 0..=50 {
            budget.turn().await;
        }
        assert_eq!(begun.elapsed().as_millis(), 500);
    }

    #[tokio::test(start_paused = true)]
    async fn workers_share_it_and_idle_time_is_not_saved_up() {
        let budget = Budget::new(100);
        budget.shared_by(4);
        tokio::time::advance(Duration::from_mins(1)).await;
        let begun = Instant::now();
        for _ in 0..=25 {
            budget.turn().await;
        }
        assert_eq!(begun.elapsed().as_secs(), 1);
    }
}
