//! Hints through PostgreSQL's `LISTEN` and `NOTIFY`: the carrier of the embedded default.

use std::{collections::HashSet, sync::Arc, time::Duration};

use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    Arrived, Hint,
    wire::{decode, encode},
};
use crate::metrics::name;

const CHANNEL: &str = "integrations_hints";
/// Hints in one notification: PostgreSQL takes payloads of up to 8000 bytes, see [`super::wire::MAX_BYTES`].
const PER_NOTIFICATION: usize = 120;

/// Sends hints; what queued up during one notification goes with the next, each hint once.
#[derive(Clone)]
pub struct DatabaseHints {
    queue: mpsc::UnboundedSender<Hint>,
}

impl DatabaseHints {
    /// Starts the task that notifies.
    pub fn spawn(pool: PgPool) -> Self {
        let (queue, mut hints) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while hints.recv_many(&mut batch, PER_NOTIFICATION).await > 0 {
                let unique: HashSet<Hint> = batch.drain(..).collect();
                let count = unique.len() as u64;
                let payload: String = unique.into_iter().map(encode).collect();
                let sent = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(&pool).await;
                metrics::counter!(name::HINTS_PUBLISHED, "carrier" => "database").increment(count);
                if let Err(error) = sent {
                    tracing::debug!(%error, "hints were lost; the sweep finds the work");
                }
            }
        });
        Self { queue }
    }

    /// Queues a hint.
    pub fn publish(&self, hint: Hint) {
        // The task ends with the runtime only.
        let _ = self.queue.send(hint);
    }

    /// Hands every hint that other processes give to `local`, and tells `tasks` when tasks are queued, until stopped. Listens again
    /// after a lost connection.
    pub async fn listen(
        pool: PgPool,
        local: mpsc::UnboundedSender<Arrived>,
        tasks: Arc<Notify>,
        stop: CancellationToken,
    ) {
        while !stop.is_cancelled() {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = listen_once(&pool, &local, &tasks) => ended,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "listening for hints again in a second");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

async fn listen_once(pool: &PgPool, local: &mpsc::UnboundedSender<Arrived>, tasks: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all([CHANNEL, store::tasks::CHANNEL]).await?;
    loop {
        let notification = listener.recv().await?;
        if notification.channel() == store::tasks::CHANNEL {
            tasks.notify_one();
            continue;
        }
        for hint in decode(notification.payload()) {
            metrics::counter!(name::HINTS_RECEIVED, "carrier" => "database").increment(1);
            if local.send(Arrived::FromAfar(hint)).is_err() {
                return Ok(());
            }
        }
    }
}
