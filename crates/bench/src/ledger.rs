//! Which message was due when, was accepted, and arrived when and how often.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The messages of one run, by their number. Texts carry the run and the number, so that the stand-in recognises them.
pub struct Ledger {
    run: u64,
    epoch: Instant,
    entries: Vec<Entry>,
    accepted: AtomicUsize,
    arrived: AtomicUsize,
    doubles: AtomicUsize,
}

/// Times are nanoseconds since the epoch; 0 is never.
#[derive(Default)]
struct Entry {
    due: AtomicU64,
    arrived: AtomicU64,
    arrivals: AtomicU32,
    accepted: AtomicBool,
}

/// What became of the messages of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Answered with 2xx.
    pub accepted: usize,
    /// Arrived at least once.
    pub arrived: usize,
    /// Arrivals beyond the first.
    pub doubles: usize,
    /// Accepted and never arrived.
    pub lost: usize,
}

impl Ledger {
    /// A ledger for at most `capacity` messages.
    pub fn new(run: u64, capacity: usize) -> Self {
        Self {
            run,
            epoch: Instant::now(),
            entries: (0..capacity).map(|_| Entry::default()).collect(),
            accepted: AtomicUsize::new(0),
            arrived: AtomicUsize::new(0),
            doubles: AtomicUsize::new(0),
        }
    }

    /// How many messages it has room for.
    pub fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// The text of a message.
    pub fn text(&self, number: usize) -> String {
        format!("{:x}-{number} A message of the usual length, to be delivered once and soon.", self.run)
    }

    /// A message was to be sent at this time.
    pub fn due(&self, number: usize, at: Instant) {
        if let Some(entry) = self.entries.get(number) {
            entry.due.store(self.nanos(at), Relaxed);
        }
    }

    /// A message was answered with 2xx.
    pub fn accepted(&self, number: usize) {
        if let Some(entry) = self.entries.get(number)
            && !entry.accepted.swap(true, Relaxed)
        {
            self.accepted.fetch_add(1, Relaxed);
        }
    }

    /// A text arrived. One of another run is passed over.
    pub fn arrived(&self, text: &str, at: Instant) {
        let Some(entry) = self.number(text).and_then(|number| self.entries.get(number)) else { return };
        if entry.arrivals.fetch_add(1, Relaxed) == 0 {
            entry.arrived.store(self.nanos(at), Relaxed);
            self.arrived.fetch_add(1, Relaxed);
        } else {
            self.doubles.fetch_add(1, Relaxed);
        }
    }

    fn number(&self, text: &str) -> Option<usize> {
        let (run, number) = text.split_once(' ')?.0.split_once('-')?;
        if u64::from_str_radix(run, 16) != Ok(self.run) {
            return None;
        }
        number.parse().ok()
    }

    /// How many messages arrived so far.
    pub fn arrived_so_far(&self) -> usize {
        self.arrived.load(Relaxed)
    }

    /// What became of the messages.
    pub fn counts(&self) -> Counts {
        let lost = |entry: &&Entry| entry.accepted.load(Relaxed) && entry.arrivals.load(Relaxed) == 0;
        Counts {
            accepted: self.accepted.load(Relaxed),
            arrived: self.arrived.load(Relaxed),
            doubles: self.doubles.load(Relaxed),
            lost: self.entries.iter().filter(lost).count(),
        }
    }

    /// The times from due to the first arrival, of the messages that arrived.
    pub fn latencies(&self) -> Vec<Duration> {
        let latency = |entry: &Entry| {
            let arrived = entry.arrived.load(Relaxed);
            (arrived > 0).then(|| Duration::from_nanos(arrived.saturating_sub(entry.due.load(Relaxed))))
        };
        self.entries.iter().filter_map(latency).collect()
    }

    fn nanos(&self, at: Instant) -> u64 {
        // A run of hours fits.
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_is_told_apart() {
        let ledger = Ledger::new(0xab, 3);
        let start = Instant::now();
        for number in 0..3 {
            ledger.due(number, start);
            ledger.accepted(number);
        }
        let later = start + Duration::from_millis(5);
        ledger.arrived(&ledger.text(0), later);
        ledger.arrived(&ledger.text(1), later);
        ledger.arrived(&ledger.text(1), later + Duration::from_millis(1));
        for foreign in ["", "hello", "ac-2 x", "ab-7 x", "ab-x y", "ab-2"] {
            ledger.arrived(foreign, later);
        }
        assert_eq!(ledger.counts(), Counts { accepted: 3, arrived: 2, doubles: 1, lost: 1 });
        assert_eq!(ledger.latencies(), [Duration::from_millis(5); 2], "the first arrival counts");
    }
}
