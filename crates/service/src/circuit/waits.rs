//! How long a circuit stays open.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Waits that double up to a cap, each spread over its second half, so that many do not come back together.
#[derive(Debug, Clone)]
pub(super) struct Waits {
    next: Duration,
    cap: Duration,
    /// The last one that was given, by this one or a clone: in microseconds.
    last: Arc<AtomicU64>,
}

impl Waits {
    pub(super) fn new(first: Duration, cap: Duration) -> Self {
        Self { next: first, cap, last: Arc::default() }
    }

    pub(super) fn latest(&self) -> Duration {
        Duration::from_micros(self.last.load(Ordering::Acquire))
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.next.mul_f64(rand::random_range(0.5..=1.0));
        self.next = (self.next * 2).min(self.cap);
        self.last.store(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX), Ordering::Release);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_cap_and_a_clone_begins_anew() {
        let mut waits = Waits::new(Duration::from_secs(1), Duration::from_secs(5));
        let mut fresh = waits.clone();
        for longest in [1, 2, 4, 5, 5] {
            let wait = waits.next().unwrap();
            let longest = Duration::from_secs(longest);
            assert!(wait <= longest && wait >= longest / 2, "{wait:?} of {longest:?}");
            assert_eq!(waits.latest(), Duration::from_micros(u64::try_from(wait.as_micros()).unwrap()));
        }
        assert!(fresh.next().unwrap() <= Duration::from_secs(1));
    }
}
