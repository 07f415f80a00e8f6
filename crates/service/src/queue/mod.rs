//! Hints: "sender S has work". The database is the truth; losing, doubling or purging every hint loses and doubles nothing,
//! because the worker's sweep finds what a lost hint would have told.
//!
//! - `database`: through PostgreSQL, the embedded default;
//! - [`broker`]: through RabbitMQ, with the database for when that is away;
//! - `wire`: hints as text.

pub mod broker;
mod database;
mod wire;

pub use broker::BrokerHints;
pub use database::DatabaseHints;

use tokio::sync::mpsc;
use uuid::Uuid;

/// A hint on its way to the owner of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hint {
    /// The sender has messages that are due.
    Work(Uuid),
    /// The sender's credentials or state changed: open it anew.
    Changed(Uuid),
    /// A chat of the sender lives on under another id. When the hint is lost, the next message to the chat finds out.
    Moved {
        /// The sender.
        sender_id: Uuid,
        /// The former id.
        from: i64,
        /// The id from now on.
        to: i64,
    },
}

impl Hint {
    /// The sender it speaks of.
    pub fn sender_id(self) -> Uuid {
        match self {
            Self::Work(id) | Self::Changed(id) | Self::Moved { sender_id: id, .. } => id,
        }
    }
}

/// A hint, and the way it came to the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arrived {
    /// From this process: the sender's owner may be in another.
    Here(Hint),
    /// Through the carrier: every worker got it.
    FromAfar(Hint),
}

impl Arrived {
    /// The hint.
    pub fn hint(self) -> Hint {
        match self {
            Self::Here(hint) | Self::FromAfar(hint) => hint,
        }
    }
}

/// Where hints go: to this process's own worker, or through the carrier to the others.
#[derive(Clone)]
pub struct Hints {
    local: Option<mpsc::UnboundedSender<Arrived>>,
    carrier: Carrier,
}

/// What carries hints to other processes.
#[derive(Clone)]
pub enum Carrier {
    /// PostgreSQL.
    Database(DatabaseHints),
    /// RabbitMQ.
    Broker(BrokerHints),
}

impl Carrier {
    /// How hints travel at the moment, or what is wrong.
    pub fn state(&self) -> Result<String, String> {
        match self {
            Self::Database(_) => Ok("in the database".into()),
            Self::Broker(hints) if hints.is_connected() => Ok("RabbitMQ".into()),
            Self::Broker(_) => Err("it cannot be reached: hints go through the database".into()),
        }
    }

    fn publish(&self, hint: Hint) {
        match self {
            Self::Database(hints) => hints.publish(hint),
            Self::Broker(hints) => hints.publish(hint),
        }
    }
}

impl Hints {
    /// `local` is the worker of this process, if it has one; it passes on what is not its own.
    pub fn new(local: Option<mpsc::UnboundedSender<Arrived>>, carrier: Carrier) -> Self {
        Self { local, carrier }
    }

    /// Gives a hint. Never waits and never fails: a lost hint is found by the sweep.
    pub fn give(&self, hint: Hint) {
        let undelivered = self.local.as_ref().is_none_or(|local| local.send(Arrived::Here(hint)).is_err());
        if undelivered {
            self.carrier.publish(hint);
        }
    }

    /// Tells the workers that a task is due, where the transaction that queued it does not do so already.
    pub fn task_is_due(&self, queue: platform::Priority) {
        if let Carrier::Broker(hints) = &self.carrier {
            hints.task_is_due(queue);
        }
    }

    /// Passes a hint on to the other processes.
    pub fn pass_on(&self, hint: Hint) {
        self.carrier.publish(hint);
    }
}
