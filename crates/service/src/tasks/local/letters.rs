//! What the outside is told of local tasks.

use std::{collections::HashMap, time::Duration};

use sqlx::PgPool;
use store::tasks;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::tasks::{Kind, Queue};

/// News of a local task, for the table of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Letter {
    /// It has used up its attempts.
    Dead {
        /// The kind's name.
        name: &'static str,
        /// The kind's queue.
        queue: Queue,
        /// The key that it failed for.
        key: Uuid,
        /// How often it was tried.
        attempts: u32,
        /// Why it failed last.
        error: String,
    },
    /// It succeeded for the first time since this process knows it, or since it was dead.
    Settled {
        /// The kind's name.
        name: &'static str,
        /// The key.
        key: Uuid,
    },
}

impl Letter {
    fn about(&self) -> (&'static str, Uuid) {
        match self {
            Self::Dead { name, key, .. } | Self::Settled { name, key } => (name, *key),
        }
    }
}

/// Where the runners of local tasks put their letters.
#[derive(Debug, Clone)]
pub struct DeadLetters(mpsc::UnboundedSender<Letter>);

impl DeadLetters {
    /// A box, and its other side.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Letter>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// A box whose letters are written to the table of tasks until stopped.
    pub fn kept(pool: PgPool, stop: CancellationToken) -> Self {
        let (letters, receiver) = Self::new();
        tokio::spawn(keep(pool, receiver, stop));
        letters
    }

    pub(super) fn bury<K: Kind>(&self, key: Uuid, attempts: u32, error: String) {
        self.put(Letter::Dead { name: K::NAME, queue: K::QUEUE, key, attempts, error });
    }

    pub(super) fn settle<K: Kind>(&self, key: Uuid) {
        self.put(Letter::Settled { name: K::NAME, key });
    }

    fn put(&self, letter: Letter) {
        // The other side ends with the process; what happened is in the log.
        let _ = self.0.send(letter);
    }
}

/// How long letters are collected before they are written: after a start, thousands of keys succeed for the first time.
const COLLECT: Duration = Duration::from_secs(1);

/// Writes letters to the table of tasks until stopped. While the database is away, they wait.
async fn keep(pool: PgPool, mut letters: mpsc::UnboundedReceiver<Letter>, stop: CancellationToken) {
    // The last word on each key is what counts.
    let mut waiting: HashMap<(&'static str, Uuid), Letter> = HashMap::new();
    let mut open = true;
    while open {
        let mut batch = Vec::new();
        open = stop.run_until_cancelled(letters.recv_many(&mut batch, 10_000)).await.is_some_and(|count| count > 0);
        if open {
            open = stop.run_until_cancelled(tokio::time::sleep(COLLECT)).await.is_some();
        }
        batch.extend(std::iter::from_fn(|| letters.try_recv().ok()));
        waiting.extend(batch.into_iter().map(|letter| (letter.about(), letter)));
        while let Err(error) = write(&pool, &mut waiting).await {
            tracing::warn!(%error, "what is known of local tasks waits for the database");
            if !open || stop.run_until_cancelled(tokio::time::sleep(COLLECT)).await.is_none() {
                return;
            }
        }
    }
}

async fn write(pool: &PgPool, waiting: &mut HashMap<(&'static str, Uuid), Letter>) -> Result<(), sqlx::Error> {
    let mut settled: HashMap<&str, Vec<Uuid>> = HashMap::new();
    for letter in waiting.values() {
        match letter {
            Letter::Dead { name, queue, key, attempts, error } => {
                let attempts = i32::try_from(*attempts).unwrap_or(i32::MAX);
                tasks::bury(pool, name, queue.rank(), *key, attempts, error).await?;
            }
            Letter::Settled { name, key } => settled.entry(name).or_default().push(*key),
        }
    }
    for (name, keys) in settled {
        tasks::settle(pool, name, &keys).await?;
    }
    waiting.clear();
    Ok(())
}
