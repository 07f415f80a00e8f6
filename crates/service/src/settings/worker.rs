//! Section `worker`: the process that owns senders.

use std::time::Duration;

use super::reader::Reader;

/// The worker.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// A process without a sign of life for so long is killed by its watchdog; `None` is without a watchdog.
    pub watchdog: Option<Duration>,
}

impl WorkerSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        let seconds = from.integer("watchdog_seconds", 0..=5);
        Self { watchdog: (seconds > 0).then(|| Duration::from_secs(seconds)) }
    }
}
