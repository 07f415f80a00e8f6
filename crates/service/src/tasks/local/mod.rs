//! Tasks that are bound to this process and deserve no row: thousands of probes and reconnects.
//!
//! A [`Spread`] holds any number of keys, with one timer for all of them and about 100 bytes for each. A key that is
//! [added](Spread::add) runs once in each period, always at the same phase of it, which follows from the key: so thousands are spread
//! evenly, and a restart does not bring them together. A key that is [queued once](Spread::once) runs as soon as there is room, and
//! is forgotten when it succeeded. Both keep to the kind's time-out and retry policy. What is dead becomes a dead row as a durable
//! task does, goes on to be tried once in each period, and the row goes when the same key succeeds again.

mod letters;
mod schedule;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Kind, TaskError,
    attempt::{About, attempt},
};
pub use letters::{DeadLetters, Letter};
use schedule::{Grid, Schedule};

/// A kind of local task.
pub trait LocalTask: Kind {
    /// What a run has to wait for before its time begins, such as its turn in a budget.
    fn ready(&self, _key: Uuid) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Runs it for one key. A run may be dropped at any await: at the end of the process, and after its time-out.
    fn run(&self, key: Uuid) -> impl Future<Output = Result<(), TaskError>> + Send;
}

/// Runs a local task for a changing set of keys.
pub struct Spread<T> {
    task: T,
    at_once: usize,
    schedule: Mutex<Schedule>,
    changed: Notify,
    letters: DeadLetters,
}

impl<T: LocalTask> Spread<T> {
    /// Each added key runs once in `period`; at most `at_once` keys run at the same time. Nothing runs before [`Spread::run`].
    pub fn new(task: T, period: Duration, at_once: usize, letters: DeadLetters) -> Arc<Self> {
        // Phases are those of the wall clock, so that they outlive the process.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let schedule = Schedule::new(T::RETRY, Grid::new(period, Instant::now(), now));
        Arc::new(Self {
            task,
            at_once: at_once.max(1),
            schedule: Mutex::new(schedule),
            changed: Notify::new(),
            letters,
        })
    }

    /// Runs the key in every period from now on; a key that is there already stays as it is.
    pub fn add(&self, key: Uuid) {
        self.schedule().add(key, Instant::now());
        self.changed.notify_one();
    }

    /// Runs the key as soon as there is room, with all of its attempts before it: one that was added comes before its turn, one that
    /// failed before its next try, one that runs runs again afterwards. Only a wait that somebody else imposed goes on.
    pub fn once(&self, key: Uuid) {
        self.schedule().once(key, Instant::now());
        self.changed.notify_one();
    }

    /// Forgets the key. A run that is under way goes to its end, but nothing follows from it, and the key does not run a second time
    /// before that end. That the key is dead is not told any more, since another process may have it now; where that was told, it
    /// stays so until the key succeeds.
    pub fn remove(&self, key: Uuid) {
        self.schedule().remove(key);
        self.letters.withdraw::<T>(key);
    }

    /// What is run.
    pub fn task(&self) -> &T {
        &self.task
    }

    /// Whether the key is there.
    pub fn holds(&self, key: Uuid) -> bool {
        self.schedule().holds(key)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.schedule().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs what is due until stopped; what runs then is dropped.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut runs = JoinSet::new();
        loop {
            let next = self.start_due(&mut runs);
            let timer = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                Some(_) = runs.join_next() => {}
                () = timer => {}
            }
        }
    }

    /// Starts what is due, as far as there is room. Returns when the next one is due, if there is room then.
    fn start_due(self: &Arc<Self>, runs: &mut JoinSet<()>) -> Option<Instant> {
        while runs.try_join_next().is_some() {}
        while runs.len() < self.at_once {
            let key = match self.schedule().start_due(Instant::now()) {
                Ok(key) => key,
                Err(next) => return next,
            };
            let this = self.clone();
            runs.spawn(async move {
                this.task.ready(key).await;
                let result = attempt(About::of::<T>(), this.task.run(key)).await;
                this.finish(key, result);
            });
        }
        None
    }

    fn finish(&self, key: Uuid, result: Result<(), TaskError>) {
        if let Err(error) = &result {
            tracing::debug!(task = T::NAME, %key, %error, "a local task failed");
        }
        let end = self.schedule().finish(key, &result, Instant::now());
        match end {
            schedule::End::Nothing => {}
            schedule::End::FirstSuccess => self.letters.settle::<T>(key),
            schedule::End::Dead { attempts, now } => {
                let error = result.err().map(|error| error.to_string()).unwrap_or_default();
                if now {
                    tracing::warn!(task = T::NAME, %key, attempts, error, "a local task is dead");
                }
                self.letters.bury::<T>(key, attempts, error);
            }
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
