//! Removes what has been kept for long enough.

use std::time::Duration;

use sqlx::PgPool;
use store::retention::{self, Aged, Partitioned};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Context, Kind, Queue, Retry, Task, TaskError};
use crate::settings::RetentionSettings;

/// Rows in one statement: few enough that none waits for it, enough that a backlog shrinks.
const BATCH: u16 = 1000;
/// A run ends after so long; the next one goes on.
const AT_MOST: Duration = Duration::from_mins(5);
/// A worker that ended without saying so is shown for so long.
const DEAD_WORKERS: Duration = Duration::from_hours(24);

/// The periodic task.
pub struct Retention;

impl Kind for Retention {
    const NAME: &'static str = "retention";
    const QUEUE: Queue = Queue::Low;
    const TIMEOUT: Duration = Duration::from_mins(10);
    const RETRY: Retry = Retry { first: Duration::from_secs(30), factor: 2, cap: Duration::from_mins(10), attempts: 5 };
}

impl Task for Retention {
    type Input = ();

    const EVERY: Option<Duration> = Some(Duration::from_mins(10));

    async fn run(&self, context: &Context, (): ()) -> Result<(), TaskError> {
        let until = Instant::now() + AT_MOST;
        let cleaner = Cleaner {
            pool: &context.pool,
            settings: &context.retention,
            is_over: &|| context.stop.is_cancelled() || Instant::now() >= until,
        };
        cleaner.run().await
    }
}

struct Cleaner<'a> {
    pool: &'a PgPool,
    settings: &'a RetentionSettings,
    is_over: &'a (dyn Fn() -> bool + Send + Sync),
}

impl Cleaner<'_> {
    /// Each part by itself: one that fails holds up no other.
    async fn run(&self) -> Result<(), TaskError> {
        let mut problems = Vec::new();
        let mut note = |part: &str, result: Result<(), sqlx::Error>| {
            if let Err(error) = result {
                problems.push(format!("{part}: {error}"));
            }
        };
        let (messages, events) = (self.settings.messages, self.settings.events);
        // Whole partitions first: what goes with them needs no statement of its own.
        note("messages", self.partitions(Partitioned::Messages, messages).await);
        note("messages", self.messages(messages).await);
        for parts in [Partitioned::Attempts, Partitioned::Parts] {
            note("attempts", self.partitions(parts, messages).await);
            note("attempts", self.orphans(parts, messages).await);
        }
        note("events", self.partitions(Partitioned::Events, events).await);
        for aged in Aged::ALL {
            note(&format!("{aged:?}"), self.aged(aged).await);
        }
        note("updates of bots", telegram::bots::inbound::forget_taken(self.pool).await);
        if problems.is_empty() { Ok(()) } else { Err(TaskError::Retry(problems.join("; "))) }
    }

    async fn partitions(&self, of: Partitioned, age: Duration) -> Result<(), sqlx::Error> {
        for name in retention::old_partitions(self.pool, of, age).await? {
            if (self.is_over)() {
                break;
            }
            if retention::drop_partition(self.pool, of, &name, age).await? {
                tracing::info!(partition = name, "a partition was dropped: everything in it may go");
            }
        }
        Ok(())
    }

    async fn messages(&self, age: Duration) -> Result<(), sqlx::Error> {
        let mut after = Uuid::nil();
        while !(self.is_over)() {
            match retention::messages(self.pool, age, after, BATCH.into()).await? {
                Some(last) => after = last,
                None => break,
            }
        }
        Ok(())
    }

    async fn orphans(&self, of: Partitioned, age: Duration) -> Result<(), sqlx::Error> {
        let mut after = Uuid::nil();
        while !(self.is_over)() {
            match retention::orphans(self.pool, of, age, after, BATCH.into()).await? {
                Some(last) => after = last,
                None => break,
            }
        }
        Ok(())
    }

    async fn aged(&self, of: Aged) -> Result<(), sqlx::Error> {
        let age = match of {
            Aged::StrayEvents => self.settings.events,
            Aged::Logs => self.settings.logs,
            Aged::Logins => self.settings.logins,
            Aged::DoneTasks => self.settings.done_tasks,
            Aged::DeadTasks => self.settings.dead_tasks,
            Aged::Statistics => self.settings.statistics,
            Aged::Workers => DEAD_WORKERS,
            Aged::IdempotencyKeys | Aged::Questions => Duration::ZERO,
        };
        while !(self.is_over)() && retention::aged(self.pool, of, age, BATCH.into()).await? == u64::from(BATCH) {}
        Ok(())
    }
}
