//! Claims due tasks and runs them.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use store::tasks::{self as table, ClaimedTask, Ended, Periodic};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Context, Kinds, Queue, Retry, TaskError, attempt::attempt, kinds::AnyKind, retry::Then, shares::Shares};
use crate::worker::Ownership;

/// How many tasks a process runs at the same time.
const AT_ONCE: usize = 8;
/// How often lost hints, retries that are due and runs that were lost are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often a run looks whether its worker may still act.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The end of a run is written again after such waits while the database is away.
const WRITE_AGAIN: Retry =
    Retry { first: Duration::from_millis(200), factor: 2, cap: Duration::from_secs(2), attempts: u32::MAX };

/// Runs the tasks of one process, in the name of its worker.
pub struct Executor {
    context: Context,
    kinds: Kinds,
    ownership: Arc<Ownership>,
    wake: Arc<Notify>,
    grace: Duration,
    /// Cancelled when what runs is to be given back.
    give_back: CancellationToken,
    /// What this process runs, until its end is written.
    running: Mutex<HashSet<Uuid>>,
}

impl Executor {
    /// `wake` tells that there may be something to do; what still runs `grace` after the context's `stop` is given back.
    pub fn new(
        context: Context,
        kinds: Kinds,
        ownership: Arc<Ownership>,
        wake: Arc<Notify>,
        grace: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            context,
            kinds,
            ownership,
            wake,
            grace,
            give_back: CancellationToken::new(),
            running: Mutex::default(),
        })
    }

    /// Makes sure that the periodic kinds have their rows.
    pub async fn arm(&self) -> Result<(), sqlx::Error> {
        for kind in self.kinds.durable.values() {
            let (about, retry) = (kind.about(), kind.retry());
            if let Some(every) = kind.every() {
                let max_attempts = i32::try_from(retry.attempts).unwrap_or(i32::MAX);
                let task = Periodic { name: about.name, queue: about.queue.rank(), max_attempts, every };
                table::arm(&self.context.pool, task).await?;
            }
        }
        Ok(())
    }

    /// Runs tasks until the context's `stop`; returns when none runs any more. The worker's row has to be renewed until then.
    pub async fn run(self: Arc<Self>) {
        let stop = self.context.stop.clone();
        let (mut runs, mut shares) = (JoinSet::new(), Shares::default());
        let mut sweep = interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_time = tokio::select! {
                () = stop.cancelled() => break,
                () = self.wake.notified() => false,
                Some(_) = runs.join_next() => false,
                _ = sweep.tick() => true,
            };
            let work = async {
                if is_time {
                    self.sweep().await?;
                }
                self.fill(&mut runs, &mut shares).await
            };
            match stop.run_until_cancelled(work).await {
                Some(Err(error)) => tracing::warn!(%error, "tasks could not be claimed; the next sweep tries again"),
                Some(Ok(())) => {}
                None => break,
            }
        }
        let ended = timeout(self.grace, async { while runs.join_next().await.is_some() {} });
        if ended.await.is_err() {
            self.give_back.cancel();
            while runs.join_next().await.is_some() {}
        }
    }

    /// Claims as much as there is room for, and starts it.
    async fn fill(self: &Arc<Self>, runs: &mut JoinSet<()>, shares: &mut Shares) -> Result<(), sqlx::Error> {
        let (pool, names) = (&self.context.pool, self.kinds.names());
        while runs.try_join_next().is_some() {}
        while runs.len() < AT_ONCE && self.ownership.holds() {
            let due = table::due_queues(pool, &names).await?;
            let due: Vec<Queue> = Queue::ALL.into_iter().filter(|queue| due.contains(&queue.rank())).collect();
            let dealt = shares.deal(AT_ONCE - runs.len(), &due);
            let mut claimed = 0;
            for queue in due {
                let places = i64::try_from(dealt[queue as usize]).unwrap_or(0);
                let worker_id = self.ownership.worker_id;
                for task in table::claim(pool, worker_id, queue.rank(), &names, places).await? {
                    claimed += 1;
                    self.start(runs, task);
                }
            }
            if claimed == 0 {
                break;
            }
        }
        Ok(())
    }

    fn start(self: &Arc<Self>, runs: &mut JoinSet<()>, task: ClaimedTask) {
        // Only known kinds are claimed; were it otherwise, the next sweep would give it back.
        let Some(kind) = self.kinds.durable.get(&*task.name).cloned() else { return };
        self.running().insert(task.run_id);
        let this = self.clone();
        runs.spawn(async move {
            this.run_one(&*kind, &task).await;
            this.running().remove(&task.run_id);
        });
    }

    async fn run_one(&self, kind: &dyn AnyKind, task: &ClaimedTask) {
        let ended = tokio::select! {
            result = attempt(kind.about(), kind.run(&self.context, task.input.clone())) => end(kind, task, result),
            () = self.give_back.cancelled() => Ended::GivenBack,
            () = self.not_ours_any_more() => {
                tracing::warn!(task = task.name, id = %task.id, "a task was dropped: this worker may not act any more");
                Ended::GivenBack
            }
        };
        self.write(task.id, task.run_id, &ended).await;
    }

    /// Ends when others are about to take over what this worker runs.
    async fn not_ours_any_more(&self) {
        while self.ownership.holds() {
            sleep(LOOK_EVERY).await;
        }
    }

    /// Writes the end of a run, however long the database is away; by then another worker may have taken the task over.
    async fn write(&self, id: Uuid, run_id: Uuid, ended: &Ended) {
        for tries in 1.. {
            match table::finish(&self.context.pool, id, run_id, ended).await {
                Ok(true) => return,
                Ok(false) => {
                    tracing::debug!(%id, "the end of a task came too late: it was taken over");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, %id, "the end of a task is kept until the database takes it");
                    sleep(WRITE_AGAIN.wait(tries)).await;
                }
            }
        }
    }

    /// Hands over what dead workers ran, gives back what a claim without an answer left here, and runs replayed local tasks.
    async fn sweep(&self) -> Result<(), sqlx::Error> {
        if !self.ownership.holds() {
            return Ok(());
        }
        let pool = &self.context.pool;
        let known: Vec<Uuid> = self.running().iter().copied().collect();
        for lost in table::lost(pool, self.ownership.worker_id, &known).await? {
            let error = "the process that ran it stopped".to_owned();
            let ended = match (lost.is_own, lost.was_last) {
                (true, _) => Ended::GivenBack,
                (false, true) => Ended::Dead { error },
                (false, false) => Ended::Again { wait: Duration::ZERO, error },
            };
            if table::finish(pool, lost.id, lost.run_id, &ended).await? {
                tracing::warn!(task = lost.name, id = %lost.id, ?ended, "a task was left without its process");
            }
        }
        let locals: Vec<&str> = self.kinds.local.keys().copied().collect();
        if locals.is_empty() {
            return Ok(());
        }
        for task in table::replayed_locals(pool, &locals).await? {
            let local = self.kinds.local.get(&*task.name);
            if let (Some(local), Ok(key)) = (local, task.key.parse())
                && local.holds(key)
                // First, since a run that fails at once leaves a row again.
                && table::take_local(pool, task.id).await?
            {
                local.replay(key);
            }
        }
        Ok(())
    }

    fn running(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of a task after a run.
fn end(kind: &dyn AnyKind, task: &ClaimedTask, result: Result<(), TaskError>) -> Ended {
    let (name, id, attempts) = (&task.name, task.id, task.attempts);
    let Err(error) = result else { return Ended::Done };
    let reason = error.to_string();
    match kind.retry().after(&error, attempts.unsigned_abs()) {
        Then::Again(wait) => {
            tracing::info!(task = name, %id, attempts, error = reason, "a task failed and is tried again");
            Ended::Again { wait, error: reason }
        }
        Then::Dead => {
            tracing::error!(task = name, %id, attempts, error = reason, "a task is dead");
            Ended::Dead { error: reason }
        }
    }
}
