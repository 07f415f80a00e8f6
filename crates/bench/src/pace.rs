//! Which request is sent when.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// Numbers the requests and says when each is due; shared by all connections.
pub struct Pace {
    next: AtomicUsize,
    total: usize,
    kind: Kind,
}

enum Kind {
    Open { begin: Instant, interval: Duration, due: Arc<Semaphore> },
    Closed { until: Instant },
}

impl Pace {
    /// `total` requests at a fixed rate. The clock is a thread of its own, more exact than the runtime's timer. A request whose
    /// connections are all busy goes late, but its time counts from when it was due.
    pub fn open(rate: u32, total: usize) -> Self {
        let due = Arc::new(Semaphore::new(0));
        let begin = Instant::now() + Duration::from_millis(50);
        let interval = Duration::from_secs(1) / rate;
        std::thread::spawn({
            let due = due.clone();
            move || {
                for number in 0..total {
                    let at = begin + interval * u32::try_from(number).unwrap_or(u32::MAX);
                    std::thread::sleep(at.saturating_duration_since(Instant::now()));
                    due.add_permits(1);
                }
            }
        });
        Self { next: AtomicUsize::new(0), total, kind: Kind::Open { begin, interval, due } }
    }

    /// As many requests as are answered in the time, at most `total`.
    pub fn closed(time: Duration, total: usize) -> Self {
        Self { next: AtomicUsize::new(0), total, kind: Kind::Closed { until: Instant::now() + time } }
    }

    /// Waits until the next request is due: its number, and since when. `None` when there is none any more.
    pub async fn next(&self) -> Option<(usize, Instant)> {
        let number = self.next.fetch_add(1, Relaxed);
        if number >= self.total {
            return None;
        }
        match &self.kind {
            Kind::Open { begin, interval, due } => {
                due.acquire().await.ok()?.forget();
                Some((number, *begin + *interval * u32::try_from(number).ok()?))
            }
            Kind::Closed { until } => {
                let now = Instant::now();
                (now < *until).then_some((number, now))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_open_loop_keeps_its_schedule_whoever_is_late() {
        let pace = Pace::open(1000, 3);
        let mut due = Vec::new();
        while let Some((number, at)) = pace.next().await {
            due.push((number, at));
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(due.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(due[2].1 - due[0].1, Duration::from_millis(2));
    }

    #[tokio::test]
    async fn a_closed_loop_ends_with_its_time_or_its_total() {
        assert!(Pace::closed(Duration::ZERO, 10).next().await.is_none());
        let pace = Pace::closed(Duration::from_mins(1), 1);
        assert!(pace.next().await.is_some());
        assert!(pace.next().await.is_none());
    }
}
