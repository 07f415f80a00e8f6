//! The whole service in a test: real HTTP, a real PostgreSQL and a simulated Telegram, in one process.
//!
//! - [`app`]: starts it and says in sentences what the tests do;
//! - [`client`]: one caller of the API, and the answers;
//! - [`stream`]: a reader of the event stream;
//! - [`log`]: what the service logged;
//! - `aftermath`: what must hold at the end of every test.

pub mod aftermath;
pub mod app;
pub mod client;
pub mod log;
pub mod stream;

use std::time::Duration;

pub use app::TestApp;

/// Only a test that fails waits so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the condition holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "in vain: {what}");
}
