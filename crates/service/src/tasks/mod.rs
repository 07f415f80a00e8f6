//! Background tasks: work that no request waits for, with a name, a queue, a time-out and a retry policy.
//!
//! - [`local`]: tasks that are bound to this process and deserve no row, such as probes of thousands of accounts;
//! - `attempt`: one run of a task, with its time-out, its panics caught and its metrics;
//! - [`retry`]: when a task that failed runs again.

mod attempt;
pub mod local;
pub mod retry;

use std::time::Duration;

pub use retry::Retry;

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

/// The queues of tasks. The higher ones are served first, and the lower ones always get a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Somebody waits for it.
    High,
    /// Nobody waits for it yet.
    Mid,
    /// It may take a while.
    Low,
}

impl Queue {
    /// Every queue, the highest first.
    pub const ALL: [Self; 3] = [Self::High, Self::Mid, Self::Low];

    /// The name in metrics and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Mid => "mid",
            Self::Low => "low",
        }
    }
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
