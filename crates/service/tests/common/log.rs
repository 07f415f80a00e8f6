//! The log of this process, at the level `debug`, as the service would write it.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use service::telemetry::EcsLayer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry};

static TEXT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn text() -> MutexGuard<'static, Vec<u8>> {
    TEXT.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Writer;

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        text().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts to keep the log; the simulator's own, which is no part of the service, is left out.
pub fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let filter = EnvFilter::new("debug,telegram_sim=off");
        Registry::default().with(filter).with(EcsLayer::new(|| Writer)).init();
    });
}

/// Everything that was logged so far.
pub fn so_far() -> String {
    String::from_utf8_lossy(&text()).into_owned()
}

/// The last lines, for a test that failed.
pub fn tail(lines: usize) -> String {
    let all = so_far();
    let lines_of: Vec<&str> = all.lines().collect();
    lines_of[lines_of.len().saturating_sub(lines)..].join("\n")
}
