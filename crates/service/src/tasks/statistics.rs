//! Counts what became of messages.

use std::time::Duration;

use store::stats::{self, Progress};

use super::{Context, Kind, Queue, Retry, Task, TaskError};

/// Events that are counted at a time: three or so for each message.
const BATCH: i64 = 10_000;

/// The periodic task. It runs so often that the statistics are a few seconds old at most; while it does not, what it would have counted
/// waits in the stream of events.
pub struct Statistics;

impl Kind for Statistics {
    const NAME: &'static str = "statistics";
    const QUEUE: Queue = Queue::Mid;
    const TIMEOUT: Duration = Duration::from_mins(1);
    const RETRY: Retry = Retry { first: Duration::from_secs(3), factor: 2, cap: Duration::from_mins(1), attempts: 10 };
}

impl Task for Statistics {
    type Input = ();

    const EVERY: Option<Duration> = Some(Duration::from_secs(3));

    async fn run(&self, context: &Context, (): ()) -> Result<(), TaskError> {
        // What is left when the process ends is counted by the next run.
        while !context.stop.is_cancelled() {
            match stats::count_next(&context.pool, BATCH).await? {
                Progress::More => {}
                Progress::Done | Progress::Lost => break,
            }
        }
        Ok(())
    }
}
