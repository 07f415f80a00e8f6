//! The metrics that count rows.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{metrics::Metrics, settings::Settings, shutdown::Shutdown};

/// How often the gauges are counted.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// Files are counted once in so many times: all of their rows are read for that.
const FILES_ONCE_IN: u64 = 12;

/// Keeps them up to date, until the process ends.
pub fn keep(settings: &Settings, pool: &PgPool, metrics: &Metrics, shutdown: &Shutdown) {
    let counted = Counted { pool: pool.clone(), metrics: metrics.clone(), most: settings.limits.session_metrics };
    tokio::spawn(counted.count(shutdown.soft.clone()));
    tokio::spawn(metrics.clone().keep_up(shutdown.soft.clone()));
}

/// Keeps the gauges that count rows, and those of each sender up to a number of them.
struct Counted {
    pool: PgPool,
    metrics: Metrics,
    most: u32,
}

impl Counted {
    async fn count(self, stop: CancellationToken) {
        let mut too_many = false;
        let mut dead_before = Vec::new();
        for round in 0_u64.. {
            if round % FILES_ONCE_IN == 0 {
                match store::files::counts(&self.pool).await {
                    Ok(counts) => crate::metrics::set_files(counts),
                    Err(error) => tracing::debug!(%error, "files could not be counted"),
                }
            }
            match store::senders::counts(&self.pool).await {
                Ok(counts) => {
                    crate::metrics::set_senders(&counts);
                    self.show_each(&counts, &mut too_many).await;
                }
                Err(error) => tracing::debug!(%error, "senders could not be counted"),
            }
            match telegram::channels::table::counts(&self.pool).await {
                Ok(counts) => crate::metrics::set_channels(&counts),
                Err(error) => tracing::debug!(%error, "channels could not be counted"),
            }
            match store::delivery::depth(&self.pool).await {
                Ok(depth) => crate::metrics::set_queue_depth(&depth),
                Err(error) => tracing::debug!(%error, "the queue could not be counted"),
            }
            match store::tasks::dead_counts(&self.pool).await {
                Ok(counts) => crate::metrics::set_dead_tasks(&mut dead_before, counts),
                Err(error) => tracing::debug!(%error, "dead tasks could not be counted"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(COUNT_EVERY)).await.is_none() {
                return;
            }
        }
    }

    async fn show_each(&self, counts: &[(String, String, i64)], too_many: &mut bool) {
        let senders: i64 = counts.iter().map(|(_, _, count)| count).sum();
        if senders > i64::from(self.most) {
            self.metrics.set_sessions(Vec::new());
            if !std::mem::replace(too_many, true) {
                let most = self.most;
                tracing::warn!(
                    senders,
                    most,
                    "there are more senders than limits.session_metrics: none has a metric of its own"
                );
            }
            return;
        }
        match store::senders::up(&self.pool).await {
            Ok(up) => self.metrics.set_sessions(up),
            Err(error) => tracing::debug!(%error, "the states of the senders could not be read"),
        }
    }
}
