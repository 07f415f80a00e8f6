//! Section `worker`: the process that owns senders.

use std::net::SocketAddr;
use std::time::Duration;

use super::reader::Reader;

/// The worker.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// A process without a sign of life for so long is killed by its watchdog; `None` is without a watchdog.
    pub watchdog: Option<Duration>,
    /// Where a process without an API tells of its health; `None` is nowhere.
    pub bind: Option<SocketAddr>,
}

impl WorkerSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        let seconds = from.integer("watchdog_seconds", 0..=5);
        let bind = from.optional("bind", "an address with a port, such as 127.0.0.1:8081 or [::]:8081", |text| {
            text.parse::<SocketAddr>().is_ok()
        });
        Self {
            watchdog: (seconds > 0).then(|| Duration::from_secs(seconds)),
            bind: bind.and_then(|text| text.parse().ok()),
        }
    }
}
