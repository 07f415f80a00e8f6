//! Removes files that nothing needs, and objects that no file stands for.

use std::time::Duration;

use store::files::removal;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Context, Kind, Queue, Retry, Task, TaskError};
use crate::metrics::name;

/// Rows in one transaction.
const BATCH: i64 = 200;
/// Objects that are removed one after the other before others are looked for.
const OBJECTS: i64 = 50;
/// A run ends after so long; the next one goes on.
const AT_MOST: Duration = Duration::from_mins(4);

/// The periodic task.
pub struct FileRemoval;

impl Kind for FileRemoval {
    const NAME: &'static str = "files";
    const QUEUE: Queue = Queue::Low;
    const TIMEOUT: Duration = Duration::from_mins(10);
    const RETRY: Retry = Retry { first: Duration::from_secs(30), factor: 2, cap: Duration::from_mins(10), attempts: 5 };
}

impl Task for FileRemoval {
    type Input = ();

    const EVERY: Option<Duration> = Some(Duration::from_mins(5));

    async fn run(&self, context: &Context, (): ()) -> Result<(), TaskError> {
        let until = Instant::now() + AT_MOST;
        let is_over = || context.stop.is_cancelled() || Instant::now() >= until;
        // No message goes before that age.
        let age = context.retention.messages;
        let mut after = Some(Uuid::nil());
        while let Some(from) = after.filter(|_| !is_over()) {
            after = removal::forget_uses(&context.pool, age, from, BATCH).await?;
        }
        let mut after = Some(Uuid::nil());
        while let Some(from) = after.filter(|_| !is_over()) {
            let (gone, next) = removal::unused(&context.pool, context.files.keep(), from, BATCH).await?;
            metrics::counter!(name::FILES_REMOVED).increment(gone);
            after = next;
        }
        while !is_over() {
            match context.files.remove_remnants(OBJECTS).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    return Err(TaskError::Retry(error.cause().unwrap_or_else(|| error.to_string())));
                }
            }
        }
        Ok(())
    }
}
