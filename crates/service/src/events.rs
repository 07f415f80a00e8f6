//! The live event stream: wakes its readers when there is something new. The readers read the database themselves, each from its
//! own cursor, so a slow one holds up nobody and a cut loses nothing.

use std::time::Duration;

use sqlx::PgPool;
use store::events::{self, Cursor};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often the end of the stream is looked at while somebody reads it.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Knows how far the stream reaches.
#[derive(Clone)]
pub struct EventHub {
    end: watch::Sender<Option<Cursor>>,
    stop: CancellationToken,
}

impl EventHub {
    /// A hub that nothing feeds yet; it ends with `stop`.
    pub fn new(stop: CancellationToken) -> Self {
        Self { end: watch::Sender::new(None), stop }
    }

    /// Waits until the process stops: an open stream must not hold up its end.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Changes whenever the stream has grown.
    pub fn subscribe(&self) -> watch::Receiver<Option<Cursor>> {
        self.end.subscribe()
    }

    /// Follows the stream until stopped. Looks only while somebody reads.
    pub async fn follow(&self, pool: PgPool) {
        let mut wait = LOOK_EVERY;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            if self.end.receiver_count() == 0 {
                continue;
            }
            match events::latest(&pool).await {
                Ok(latest) => {
                    wait = LOOK_EVERY;
                    self.end.send_if_modified(|end| {
                        let grown = latest.is_some() && *end != latest;
                        if grown {
                            *end = latest;
                        }
                        grown
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "the event stream cannot be read now");
                    wait = Duration::from_secs(1);
                }
            }
        }
    }
}
