//! What the outside is told of local tasks.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

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
        /// After how many it was dead.
        max_attempts: u32,
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
    /// This process does not have it any more: what was not told yet of its death is for another one to tell.
    Withdrawn {
        /// The kind's name.
        name: &'static str,
        /// The key.
        key: Uuid,
    },
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
        let max_attempts = K::RETRY.attempts;
        self.put(Letter::Dead { name: K::NAME, queue: K::QUEUE, key, attempts, max_attempts, error });
    }

    pub(super) fn withdraw<K: Kind>(&self, key: Uuid) {
        self.put(Letter::Withdrawn { name: K::NAME, key });
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

/// The last word on each key that is not written yet.
#[derive(Debug, Default)]
struct Waiting {
    dead: HashMap<(&'static str, Uuid), tasks::DeadLocal>,
    settled: HashSet<(&'static str, Uuid)>,
}

impl Waiting {
    fn hear(&mut self, letter: Letter) {
        match letter {
            Letter::Dead { name, queue, key, attempts, max_attempts, error } => {
                let count = |attempts| i32::try_from(attempts).unwrap_or(i32::MAX);
                let (attempts, max_attempts) = (count(attempts), count(max_attempts));
                self.settled.remove(&(name, key));
                let dead = tasks::DeadLocal { name, queue: queue.rank(), key, attempts, max_attempts, error };
                self.dead.insert((name, key), dead);
            }
            Letter::Settled { name, key } => {
                self.dead.remove(&(name, key));
                self.settled.insert((name, key));
            }
            Letter::Withdrawn { name, key } => drop(self.dead.remove(&(name, key))),
        }
    }

    fn is_empty(&self) -> bool {
        self.dead.is_empty() && self.settled.is_empty()
    }

    async fn write(&mut self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let dead: Vec<&tasks::DeadLocal> = self.dead.values().collect();
        if !dead.is_empty() {
            tasks::bury(pool, &dead).await?;
        }
        self.dead.clear();
        let mut settled: HashMap<&str, Vec<Uuid>> = HashMap::new();
        for (name, key) in &self.settled {
            settled.entry(name).or_default().push(*key);
        }
        for (name, keys) in settled {
            tasks::settle(pool, name, &keys).await?;
        }
        self.settled.clear();
        Ok(())
    }
}

/// Writes letters to the table of tasks until stopped. While the database is away, they wait.
async fn keep(pool: PgPool, mut letters: mpsc::UnboundedReceiver<Letter>, stop: CancellationToken) {
    let mut waiting = Waiting::default();
    let mut open = true;
    while open {
        if waiting.is_empty() {
            let mut batch = Vec::new();
            open = stop.run_until_cancelled(letters.recv_many(&mut batch, 10_000)).await.is_some_and(|count| count > 0);
            for letter in batch {
                waiting.hear(letter);
            }
        }
        if open {
            open = stop.run_until_cancelled(tokio::time::sleep(COLLECT)).await.is_some();
        }
        while let Ok(letter) = letters.try_recv() {
            waiting.hear(letter);
        }
        if let Err(error) = waiting.write(&pool).await {
            tracing::warn!(%error, "what is known of local tasks waits for the database");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_what_is_withdrawn_is_not_told() {
        let (name, key) = ("test", Uuid::now_v7());
        let dead = || Letter::Dead { name, queue: Queue::Mid, key, attempts: 3, max_attempts: 3, error: "away".into() };
        let settled = || Letter::Settled { name, key };
        let withdrawn = || Letter::Withdrawn { name, key };
        let left = |letters: Vec<Letter>| {
            let mut waiting = Waiting::default();
            for letter in letters {
                waiting.hear(letter);
            }
            (waiting.dead.len(), waiting.settled.len())
        };
        assert_eq!(left(vec![settled(), dead()]), (1, 0));
        assert_eq!(left(vec![dead(), settled()]), (0, 1));
        assert_eq!(left(vec![dead(), withdrawn()]), (0, 0));
        assert_eq!(left(vec![settled(), withdrawn()]), (0, 1), "that it succeeded stays true");
    }
}
