//! Probes many things, each at its own moment of a period, so that thousands do not bunch.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use platform::BoxFuture;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Moments into which a period is divided.
const MOMENTS: u32 = 100;
/// Probes at the same time; the others wait for the next moment.
const AT_ONCE: usize = 64;

/// What is probed.
pub trait Probed: Send + Sync + 'static {
    /// What there is to probe now.
    fn keys(&self) -> Vec<Uuid>;

    /// Probes one of them.
    fn probe(&self, key: Uuid) -> BoxFuture<'_, ()>;
}

/// Probes everything once in each period, until stopped.
pub async fn drive(probed: Arc<dyn Probed>, period: Duration, stop: CancellationToken) {
    let mut ticks = interval((period / MOMENTS).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let started = Instant::now();
    let mut running = JoinSet::new();
    let mut done_up_to = Duration::ZERO;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = started.elapsed();
        for key in probed.keys().into_iter().filter(|key| is_due(*key, period, done_up_to, now)) {
            while running.len() >= AT_ONCE {
                let _ = running.join_next().await;
            }
            let probed = probed.clone();
            running.spawn(async move { probed.probe(key).await });
        }
        while running.try_join_next().is_some() {}
        done_up_to = now;
    }
}

/// Whether a key's moment lies in this span of time (the end not included).
fn is_due(key: Uuid, period: Duration, from: Duration, to: Duration) -> bool {
    let period = period.as_nanos().max(1);
    let phase = phase(key) % period;
    let periods_before = |time: Duration| (time.as_nanos() + period - phase - 1) / period;
    periods_before(to) > periods_before(from)
}

fn phase(key: Uuid) -> u128 {
    // The same for a key in every process of the same build.
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_once_in_each_period_and_spread_over_it() {
        let period = Duration::from_secs(25);
        let keys: Vec<Uuid> = (0..5000).map(|_| Uuid::now_v7()).collect();
        let step = period / MOMENTS;
        let mut fullest = 0;
        let mut times = vec![0; keys.len()];
        for moment in 0..2 * MOMENTS {
            let (from, to) = (step * moment, step * (moment + 1));
            let due = keys.iter().enumerate().filter(|(_, key)| is_due(**key, period, from, to));
            let due: Vec<usize> = due.map(|(place, _)| place).collect();
            fullest = fullest.max(due.len());
            for place in due {
                times[place] += 1;
            }
        }
        assert!(times.iter().all(|times| *times == 2), "each once in each period");
        assert!(fullest < 100, "50 on average: {fullest}");
    }

    #[test]
    fn a_late_look_leaves_nothing_out() {
        let period = Duration::from_secs(25);
        let late = |key| is_due(key, period, Duration::from_secs(3), Duration::from_secs(28));
        assert!((0..1000).all(|_| late(Uuid::now_v7())));
        let never = |key| is_due(key, period, Duration::from_secs(3), Duration::from_secs(3));
        assert!(!(0..1000).any(|_| never(Uuid::now_v7())));
    }
}
