//! Counts of requests and connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// Counts since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests by method name in lower case.
    pub requests: BTreeMap<String, u64>,
    /// Answers by HTTP status.
    pub answers: BTreeMap<u16, u64>,
    /// Connections cut on purpose.
    pub cuts: u64,
    /// Requests being handled now.
    pub in_flight: u64,
    /// The most that were handled at once.
    pub max_in_flight: u64,
    /// Connections ever opened.
    pub connections: u64,
    /// Connections open now.
    pub open_connections: u64,
}

/// The shared counter.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Mutex<Counts>>);

impl Counters {
    /// The counts now.
    pub fn get(&self) -> Counts {
        self.with(|counts| counts.clone())
    }

    /// Starts again from zero; what is open or in flight stays counted as such.
    pub fn reset(&self) {
        self.with(|counts| {
            let (in_flight, open_connections) = (counts.in_flight, counts.open_connections);
            *counts = Counts { in_flight, max_in_flight: in_flight, open_connections, ..Counts::default() };
        });
    }

    /// Counts a connection as open until the guard drops.
    pub(crate) fn connection(&self) -> Guard {
        self.with(|counts| {
            counts.connections += 1;
            counts.open_connections += 1;
        });
        Guard { counters: self.clone(), on_drop: |counts| counts.open_connections -= 1 }
    }

    /// Counts a request as in flight until the guard drops.
    pub(crate) fn request(&self, method: &str) -> Guard {
        self.with(|counts| {
            match counts.requests.get_mut(method) {
                Some(count) => *count += 1,
                None => drop(counts.requests.insert(method.to_owned(), 1)),
            }
            counts.in_flight += 1;
            counts.max_in_flight = counts.max_in_flight.max(counts.in_flight);
        });
        Guard { counters: self.clone(), on_drop: |counts| counts.in_flight -= 1 }
    }

    /// Counts an answer, or a cut if there is none.
    pub(crate) fn answered(&self, status: Option<u16>) {
        self.with(|counts| match status {
            Some(status) => *counts.answers.entry(status).or_default() += 1,
            None => counts.cuts += 1,
        });
    }

    fn with<R>(&self, change: impl FnOnce(&mut Counts) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes something off the counts when it drops.
#[derive(Debug)]
pub(crate) struct Guard {
    counters: Counters,
    on_drop: fn(&mut Counts),
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.counters.with(self.on_drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_in_flight() {
        let counters = Counters::default();
        let first = counters.request("getme");
        let second = counters.request("getme");
        drop(first);
        counters.answered(Some(200));
        let counts = counters.get();
        assert_eq!((counts.requests["getme"], counts.in_flight, counts.max_in_flight), (2, 1, 2));
        counters.reset();
        drop(second);
        assert_eq!(counters.get(), Counts { max_in_flight: 1, ..Counts::default() });
    }
}
