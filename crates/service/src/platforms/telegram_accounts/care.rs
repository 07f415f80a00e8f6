//! Asks each connected account for a sign of life, and stores what it learnt.

use std::time::Duration;

use uuid::Uuid;

use super::LiveAccounts;
use crate::tasks::{Kind, Queue, Retry, TaskError, local::LocalTask};

/// The task, for any account that is connected here.
pub struct Care {
    pub(super) live: LiveAccounts,
}

impl Kind for Care {
    const NAME: &'static str = "account_probe";
    const QUEUE: Queue = Queue::Mid;
    const TIMEOUT: Duration = Duration::from_mins(1);
    /// An account without a sign of life is connected anew, which ends its probes: this is for what passes by itself.
    const RETRY: Retry = Retry { first: Duration::from_secs(5), factor: 2, cap: Duration::from_mins(5), attempts: 8 };
}

impl LocalTask for Care {
    async fn run(&self, id: Uuid) -> Result<(), TaskError> {
        let Some(live) = self.live.get(id) else { return Ok(()) };
        live.care().await.map_err(|problem| match problem.retry_after() {
            Some(wait) => TaskError::RetryAfter { wait, reason: problem.to_string() },
            None => TaskError::Retry(problem.to_string()),
        })
    }
}
