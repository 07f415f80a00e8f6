//! The worker: owns senders and delivers their messages.
//!
//! - [`router`]: takes hints, sweeps for lost ones, acquires senders, runs one actor for each;
//! - [`balance`]: how many senders are this worker's share;
//! - [`actor`]: delivers one sender's messages in order, within its limits; [`mailbox`]: how it is told to; [`opening`]: its sender;
//! - [`plan`]: what an actor knows of its due messages and of its chats;
//! - [`attempt`]: one attempt, from `queued → sending` to its outcome;
//! - [`ownership`]: the worker's own row, and when to stop because it could not be renewed; [`watchdog`]: for when it hangs;
//! - [`reconnects`]: the task that says when a sender is opened, and when again;
//! - [`pace`], [`backoff`]: how often, and when again.

mod actor;
mod attempt;
mod backoff;
mod balance;
mod mailbox;
mod opening;
mod ownership;
mod pace;
mod plan;
mod reconnects;
mod router;
pub mod watchdog;

use std::{sync::Arc, time::Duration};

use platform::{BoxFuture, Sender};
use sqlx::PgPool;
use store::{
    delivery::{Due, Finish, Start},
    group::Group,
    leases::Lease,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{circuit::gates::Gates, queue::Hints, tasks::local::DeadLetters};

pub use attempt::count_unknown;
pub use backoff::backoff;
pub use ownership::Ownership;
pub use pace::{AllLimits, Limits};
pub use reconnects::{Reconnect, Reconnects};
pub use router::run;

/// How many attempts go into one commit at most.
const GROUP: usize = 500;
/// How many actors look for due messages in one statement at most.
const LOOKS: usize = 64;

/// Opens senders and marks dead ones: what the worker needs to know of the platforms.
pub trait Senders: Send + Sync + 'static {
    /// Waits until the budget of the whole service lets the sender be opened. What was waited for is lost when the future is dropped.
    fn turn(&self, sender_id: Uuid) -> BoxFuture<'_, ()>;

    /// Opens a sender with its present credentials. When the future is dropped, what it began is gone.
    fn open<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<Opened, OpenError>>;

    /// Ends what [`Senders::open`] opened: when it returns, the last byte was sent.
    fn close(&self, sender_id: Uuid) -> BoxFuture<'_, ()>;

    /// Drops the connection of a sender at once: what waits for an answer gets none. It still has to be closed.
    fn cut(&self, sender_id: Uuid);

    /// Whether this process cannot reach a platform that others may reach: then they should have its senders.
    fn is_cut_off(&self) -> bool;

    /// So many workers share the budgets of the whole service now.
    fn shared_by(&self, workers: u32);

    /// Senders that are to be kept open also without messages, and that nobody owns.
    fn to_keep_open(&self) -> BoxFuture<'_, Result<Vec<Uuid>, sqlx::Error>>;

    /// Gives what waits for a channel to its other senders, since its chat does not let this one post.
    fn barred<'a>(&'a self, sender_id: Uuid, barred: &'a Barred) -> BoxFuture<'a, Result<(), sqlx::Error>>;

    /// A chat of a sender lives on under another id: so does what is known of it beside the sender's own queue.
    fn chat_moved(&self, sender_id: Uuid, from: i64, to: i64) -> BoxFuture<'_, Result<(), sqlx::Error>>;

    /// Gives what waits for a sender that cannot send it to others that can, and back when it can again. Called again and again.
    fn share_out(&self) -> BoxFuture<'_, Result<(), sqlx::Error>>;

    /// Marks a sender that the platform refuses, with event and log, unless its credentials changed since `version`.
    /// Returns whether it was marked.
    fn mark_dead<'a>(
        &'a self,
        sender_id: Uuid,
        version: &'a str,
        code: &'a str,
        description: &'a str,
    ) -> BoxFuture<'a, Result<bool, sqlx::Error>>;
}

/// The chat of a channel does not let a sender post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barred {
    /// The channel.
    pub channel_id: Uuid,
    /// What was to be sent, as it is stored.
    pub content: serde_json::Value,
    /// Stable code of the reason.
    pub code: &'static str,
    /// The platform's words.
    pub description: String,
    /// There is no such chat, as far as the sender can tell.
    pub gone: bool,
}

/// A sender that can send.
#[derive(Clone)]
pub struct Opened {
    /// The sender.
    pub sender: Arc<dyn Sender>,
    /// Its limits.
    pub limits: Limits,
    /// Names the credentials it was opened with; changes when they are replaced.
    pub version: String,
    /// Whether it is worth trying to send.
    pub gates: Gates,
    /// It keeps a connection, which must end with the worker's term.
    pub is_connected: bool,
}

/// Why a sender could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its row is gone.
    #[error("the sender does not exist any more")]
    Gone,
    /// It is switched off or dead.
    #[error("the sender is not active")]
    Inactive,
    /// Something that is needed, such as the database or the platform, cannot be reached now.
    #[error("the sender cannot be opened now: {0}")]
    Later(String),
    /// What is stored of it cannot be used: somebody has to mend that.
    #[error("the sender cannot be opened: {0}")]
    Broken(String),
    /// The platform asks not to try before so long.
    #[error("the platform lets the sender connect in {} s only", .0.as_secs())]
    NotBefore(Duration),
}

/// What all parts of a worker share.
pub struct Context {
    /// The database.
    pub pool: PgPool,
    /// Finds due messages.
    pub due: Group<Due>,
    /// Starts attempts.
    pub start: Group<Start>,
    /// Finishes attempts.
    pub finish: Group<Finish>,
    /// Opens senders.
    pub senders: Arc<dyn Senders>,
    /// When they are opened.
    pub reconnects: Arc<Reconnects>,
    /// Whether this worker may act.
    pub ownership: Arc<Ownership>,
    /// For hints that belong to other workers.
    pub hints: Hints,
    /// A message that could not be delivered for so long is failed.
    pub give_up_after: Duration,
    /// What else acts in the worker's name: its row is renewed until these have ended.
    pub tasks: TaskTracker,
    /// Tells everything to stop taking work.
    pub stop: CancellationToken,
}

impl Context {
    /// Puts the parts together, and starts the tasks that commit and the one that reconnects.
    pub fn new(
        pool: PgPool,
        ownership: Arc<Ownership>,
        senders: Arc<dyn Senders>,
        letters: DeadLetters,
        hints: Hints,
        give_up_after: Duration,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let limit = i64::try_from(plan::WINDOW).unwrap_or(i64::MAX);
        // Each group has one statement at a time.
        let hot = store::db::hot(&pool, 3);
        let of = senders.clone();
        let budget = move |id| -> BoxFuture<'static, ()> {
            let of = of.clone();
            Box::pin(async move { of.turn(id).await })
        };
        let reconnects = Reconnect::spread(Box::new(budget), letters);
        tokio::spawn(reconnects.clone().run(stop.clone()));
        Arc::new(Self {
            due: Group::spawn(Due { pool: hot.clone(), limit }, LOOKS),
            start: Group::spawn(Start { pool: hot.clone(), worker_id: ownership.worker_id }, GROUP),
            finish: Group::spawn(Finish { pool: hot }, GROUP),
            pool,
            senders,
            reconnects,
            ownership,
            hints,
            give_up_after,
            tasks: TaskTracker::new(),
            stop,
        })
    }
}
