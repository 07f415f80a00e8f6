//! Makes the partitions of growing tables ahead of time.

use std::time::Duration;

use super::{Context, Kind, Queue, Retry, Task, TaskError};

/// The periodic task. Where it fails for long, the default partitions take the rows.
pub struct Partitions;

impl Kind for Partitions {
    const NAME: &'static str = "partitions";
    const QUEUE: Queue = Queue::High;
    const TIMEOUT: Duration = Duration::from_mins(1);
    const RETRY: Retry = Retry { first: Duration::from_secs(10), factor: 2, cap: Duration::from_mins(5), attempts: 8 };
}

impl Task for Partitions {
    type Input = ();

    const EVERY: Option<Duration> = Some(Duration::from_mins(10));

    async fn run(&self, context: &Context, (): ()) -> Result<(), TaskError> {
        Ok(store::db::ensure_partitions(&context.pool).await?)
    }
}
