//! Hints through PostgreSQL's `LISTEN` and `NOTIFY`: the carrier of the embedded default.

use std::{collections::HashSet, sync::Arc, time::Duration};

use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Arrived, Hint};

const CHANNEL: &str = "integrations_hints";
/// Hints in one notification: PostgreSQL takes payloads of up to 8000 bytes, a hint has up to 65.
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
                let payload: String = unique.into_iter().map(encode).collect();
                let sent = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(&pool).await;
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
            if local.send(Arrived::FromAfar(hint)).is_err() {
                return Ok(());
            }
        }
    }
}

fn encode(hint: Hint) -> String {
    match hint {
        Hint::Work(id) => format!("w{}", id.simple()),
        Hint::Changed(id) => format!("c{}", id.simple()),
        Hint::Moved { sender_id, from, to } => format!("m{}{from:016x}{to:016x}", sender_id.simple()),
    }
}

/// Reads up to what is no hint: anybody who may connect to the database can notify.
fn decode(payload: &str) -> impl Iterator<Item = Hint> + '_ {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let (kind, id) = (rest.get(..1)?, rest.get(1..33)?);
        let id = Uuid::try_parse(id).ok()?;
        let chat_id = |text: &str| u64::from_str_radix(text, 16).ok().map(u64::cast_signed);
        let (hint, length) = match kind {
            "w" => (Hint::Work(id), 33),
            "c" => (Hint::Changed(id), 33),
            "m" => {
                let (from, to) = (chat_id(rest.get(33..49)?)?, chat_id(rest.get(49..65)?)?);
                (Hint::Moved { sender_id: id, from, to }, 65)
            }
            _ => return None,
        };
        rest = &rest[length..];
        Some(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_survive_the_wire_and_garbage_does_not() {
        let moved = Hint::Moved { sender_id: Uuid::now_v7(), from: -5, to: -1_000_000_000_005 };
        let hints = [Hint::Work(Uuid::now_v7()), moved, Hint::Changed(Uuid::now_v7())];
        let payload: String = hints.into_iter().map(encode).collect();
        assert_eq!(decode(&payload).collect::<Vec<_>>(), hints);
        for garbage in ["", "w", "x0190", "w0190c2f7zzzz7bd08d1cb3b2cc1d0d4b", "ёёёё"] {
            assert_eq!(decode(garbage).count(), 0, "{garbage}");
        }
    }
}
