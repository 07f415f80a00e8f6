//! Background tasks: work that no request waits for, with a name, a queue, a time-out and a retry policy.
//!
//! - [`Task`]: a kind of durable task: rows in the table `tasks`, queued in the transaction that makes the work necessary;
//! - [`executor`]: claims due rows and runs them, the higher queues first; [`kinds`]: the kinds that a process knows;
//! - [`local`]: tasks that are bound to this process and deserve no row, such as probes of thousands of accounts;
//! - `attempt`: one run of a task, with its time-out, its panics caught and its metrics;
//! - [`retry`]: when a task that failed runs again;
//! - [`retention`], [`partitions`], [`files`]: the kinds that keep the database and the store of files in order;
//! - [`statistics`]: the kind that counts what became of messages;
//! - [`reseal`]: those that look after the keys of credentials;
//! - [`channels`]: those that look at channels.

mod attempt;
pub mod channels;
pub mod executor;
pub mod files;
pub mod kinds;
pub mod local;
pub mod partitions;
pub mod reseal;
pub mod retention;
pub mod retry;
mod shares;
pub mod statistics;

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use executor::Executor;
pub use kinds::Kinds;
/// The queues of tasks: the higher ones are served first, and the lower ones always get a share.
pub use platform::Priority as Queue;
pub use retry::Retry;

use crate::files::Files;
use crate::settings::RetentionSettings;

/// What every kind of task has.
pub trait Kind: Send + Sync + 'static {
    /// Its name in rows, metrics and the API. It is stable: rows outlive the version that wrote them.
    const NAME: &'static str;
    /// Its queue.
    const QUEUE: Queue;
    /// A run that takes longer is ended and counts as failed.
    const TIMEOUT: Duration;
    /// When it runs again after a failure.
    const RETRY: Retry;
}

/// A kind of durable task.
///
/// A task runs at least once: after a crash, after its time-out, or when its worker lost the database, it runs again, perhaps on
/// another machine, and what its former run did stays done. So a kind is idempotent: it looks at what is there already. No two runs
/// of one task go on at the same time, as long as clocks and the database keep their promises; a kind that must rely on that takes a
/// lock of its own.
pub trait Task: Kind {
    /// What a task needs to know, such as an id. It is stored and shown to operators: it holds no secrets. A version has to read what
    /// the version before wrote, and the other way round.
    type Input: Serialize + DeserializeOwned + Send;

    /// How long after the end of one run the next one is due, for a periodic kind: it has one task for all processes, which is never
    /// queued by hand, and its input is `()`. Runs that were missed are not made up for.
    const EVERY: Option<Duration> = None;

    /// Does the work. The future may be dropped at any await; it should end early when the context's `stop` is cancelled.
    fn run(&self, context: &Context, input: Self::Input) -> impl Future<Output = Result<(), TaskError>> + Send;
}

/// What tasks work with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The database.
    pub pool: PgPool,
    /// The files of all users.
    pub files: Files,
    /// How long what is final is kept.
    pub retention: RetentionSettings,
    /// Cancelled when the process is about to end.
    pub stop: CancellationToken,
}

/// Queues a task in the caller's transaction; executors are woken when it commits. Work with the same key is queued once: see
/// [`store::tasks::enqueue`]. Returns the id of its row.
pub async fn enqueue<T: Task>(
    db: &mut PgConnection,
    key: Option<&str>,
    input: &T::Input,
    delay: Duration,
) -> Result<Uuid, sqlx::Error> {
    let input = serde_json::to_value(input).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let max_attempts = i32::try_from(T::RETRY.attempts).unwrap_or(i32::MAX);
    let task = store::tasks::NewTask { name: T::NAME, queue: T::QUEUE.rank(), key, input: &input, max_attempts, delay };
    store::tasks::enqueue(db, task).await
}
/// Why a run failed, and what follows. The reasons are shown to operators and logged: they hold no secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// It may succeed another time: run it again as the retry policy says.
    #[error("{0}")]
    Retry(String),
    /// It may succeed after this time, which somebody else imposed. It counts as an attempt as well.
    #[error("{reason}")]
    RetryAfter {
        /// How long to wait at least.
        wait: Duration,
        /// Why.
        reason: String,
    },
    /// It cannot succeed: it is dead at once.
    #[error("{0}")]
    Dead(String),
}

impl From<sqlx::Error> for TaskError {
    fn from(error: sqlx::Error) -> Self {
        Self::Retry(format!("the database: {error}"))
    }
}
