//! What the outside is told of local tasks.

use tokio::sync::mpsc;
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

/// Where the runners of local tasks put their letters.
#[derive(Debug, Clone)]
pub struct DeadLetters(mpsc::UnboundedSender<Letter>);

impl DeadLetters {
    /// The box, and its other side.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Letter>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
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
