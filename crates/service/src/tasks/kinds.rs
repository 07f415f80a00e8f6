//! The kinds of tasks that a process knows.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use platform::BoxFuture;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Context, Kind, Retry, Task, TaskError,
    attempt::About,
    local::{LocalTask, Spread},
};

/// A kind whose type is forgotten.
pub(super) trait AnyKind: Send + Sync {
    fn about(&self) -> About;
    fn retry(&self) -> Retry;
    fn every(&self) -> Option<Duration>;
    fn run<'a>(&'a self, context: &'a Context, input: Value) -> BoxFuture<'a, Result<(), TaskError>>;
}

struct Of<T>(T);

impl<T: Task> AnyKind for Of<T> {
    fn about(&self) -> About {
        About::of::<T>()
    }

    fn retry(&self) -> Retry {
        T::RETRY
    }

    fn every(&self) -> Option<Duration> {
        T::EVERY
    }

    fn run<'a>(&'a self, context: &'a Context, input: Value) -> BoxFuture<'a, Result<(), TaskError>> {
        Box::pin(async move {
            let input = serde_json::from_value(input)
                .map_err(|error| TaskError::Dead(format!("the input cannot be read: {error}")))?;
            self.0.run(context, input).await
        })
    }
}

/// The runner of a local kind, whose type is forgotten.
pub(super) trait AnyLocal: Send + Sync {
    /// Runs the key now, if this process holds it.
    fn replay(&self, key: Uuid) -> bool;
}

impl<T: LocalTask> AnyLocal for Spread<T> {
    fn replay(&self, key: Uuid) -> bool {
        let holds = self.holds(key);
        if holds {
            self.once(key);
        }
        holds
    }
}

/// The kinds that an executor runs. Rows of other kinds are left to processes that know them.
#[derive(Default)]
pub struct Kinds {
    pub(super) durable: BTreeMap<&'static str, Arc<dyn AnyKind>>,
    pub(super) local: BTreeMap<&'static str, Arc<dyn AnyLocal>>,
}

impl Kinds {
    /// Those that every worker knows.
    pub fn usual() -> Self {
        Self::default()
            .with(super::partitions::Partitions)
            .with(super::retention::Retention)
            .with(super::files::FileRemoval)
            .with(super::statistics::Statistics)
    }

    /// One kind more.
    #[must_use]
    pub fn with<T: Task>(mut self, task: T) -> Self {
        let former = self.durable.insert(T::NAME, Arc::new(Of(task)));
        debug_assert!(former.is_none(), "the name {} is taken", T::NAME);
        self
    }

    /// One local kind more, so that operators can replay its dead tasks.
    #[must_use]
    pub fn with_local<T: LocalTask>(mut self, spread: Arc<Spread<T>>) -> Self {
        let former = self.local.insert(<T as Kind>::NAME, spread);
        debug_assert!(former.is_none(), "the name {} is taken", <T as Kind>::NAME);
        self
    }

    /// The names of the durable ones.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.durable.keys().copied().collect()
    }
}
