//! One run of a task.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt as _;
use tokio::time::{Instant, timeout};

use super::{Kind, Queue, TaskError};
use crate::metrics::name;

/// What a run needs to know of its kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    pub name: &'static str,
    pub queue: Queue,
    pub timeout: Duration,
}

impl About {
    /// Of this kind.
    pub fn of<K: Kind>() -> Self {
        Self { name: K::NAME, queue: K::QUEUE, timeout: K::TIMEOUT }
    }
}

/// Runs a task once: ends it after its time-out, turns a panic into a failure, and counts.
pub(super) async fn attempt(
    about: About,
    work: impl Future<Output = Result<(), TaskError>> + Send,
) -> Result<(), TaskError> {
    let started = Instant::now();
    metrics::counter!(name::TASKS_TOTAL, "queue" => about.queue.name()).increment(1);
    // Nothing is used after a panic but what other tasks share anyway.
    let result = match timeout(about.timeout, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(result)) => result,
        // The panic's own words may hold anything; they are on the standard error output.
        Ok(Err(_)) => Err(TaskError::Retry("the task panicked".into())),
        Err(_) => Err(TaskError::Retry(format!("the task took longer than {} s", about.timeout.as_secs_f64()))),
    };
    if result.is_err() {
        metrics::counter!(name::TASKS_ERROR, "queue" => about.queue.name()).increment(1);
    }
    metrics::histogram!(name::TASK_DURATION, "task" => about.name).record(started.elapsed().as_secs_f64());
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: About = About { name: "test", queue: Queue::Mid, timeout: Duration::from_secs(5) };

    #[tokio::test(start_paused = true)]
    async fn time_outs_and_panics_are_failures_that_can_be_repeated() {
        assert_eq!(attempt(ABOUT, async { Ok(()) }).await, Ok(()));
        let hangs = attempt(ABOUT, std::future::pending()).await;
        assert_eq!(hangs, Err(TaskError::Retry("the task took longer than 5 s".into())));
        let panics = attempt(ABOUT, async { panic!("on purpose") }).await;
        assert_eq!(panics, Err(TaskError::Retry("the task panicked".into())));
    }
}
