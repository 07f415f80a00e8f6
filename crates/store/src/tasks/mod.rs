//! `tasks`: background work, its claims and its ends.
//!
//! - `queued`: how rows come: queued, armed (periodic), buried (local ones that are dead);
//! - `running`: how they are claimed by living workers, and how a run ends;
//! - `shown`: what operators see and do.

mod queued;
mod running;
mod shown;

pub use queued::{DeadLocal, NewTask, Periodic, arm, bury, enqueue, settle};
pub use running::{ClaimedTask, Ended, LocalTask, Lost, claim, due_queues, finish, lost, replayed_locals, take_local};
pub use shown::{QueueRow, TaskFilter, TaskRow, dead_counts, delete, find, list, queues, replay};

/// Notifications on this channel say that there may be tasks to run.
pub const CHANNEL: &str = "integrations_tasks";

/// The key of a periodic task's row.
const PERIODIC: &str = "periodic";
/// The key of the row that tells of a periodic task that used up its attempts; the periodic row itself goes on.
const PERIODIC_DEAD: &str = "periodic.dead";

/// Wakes the executors when the transaction commits.
async fn notify(db: &mut sqlx::PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(db).await.map(drop)
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
