//! Grouped commits: what queued up during the previous commit goes into the next. Nothing waits for company.

use std::{future::Future, sync::Arc};

use tokio::sync::{mpsc, oneshot};

/// A statement that takes many items at once.
pub trait Commit: Send + Sync + 'static {
    /// One item of the group.
    type Item: Send + Sync + 'static;
    /// What becomes of it.
    type Output: Send + 'static;

    /// Commits the items together and answers for each, in their order.
    fn commit(&self, items: &[Self::Item]) -> impl Future<Output = Result<Vec<Self::Output>, sqlx::Error>> + Send;
}

/// Why an item was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GroupError {
    /// The database refused it or could not be reached.
    #[error("the database did not take the write: {0}")]
    Database(Arc<sqlx::Error>),
    /// The process is shutting down.
    #[error("the process is shutting down")]
    Closed,
}

type Entry<C> = (<C as Commit>::Item, oneshot::Sender<Result<<C as Commit>::Output, GroupError>>);

/// A handle to submit items; cloned freely. The task behind it ends when the last handle is gone.
pub struct Group<C: Commit> {
    queue: mpsc::UnboundedSender<Entry<C>>,
}

impl<C: Commit> Clone for Group<C> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<C: Commit> Group<C> {
    /// Starts the task that commits; at most `max` items go into one commit.
    pub fn spawn(commit: C, max: usize) -> Self {
        let (queue, mut entries) = mpsc::unbounded_channel::<Entry<C>>();
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(max);
            while entries.recv_many(&mut batch, max).await > 0 {
                let (items, replies): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
                run(&commit, &items, replies).await;
            }
        });
        Self { queue }
    }

    /// Waits until the item is committed.
    pub async fn submit(&self, item: C::Item) -> Result<C::Output, GroupError> {
        let (reply, answer) = oneshot::channel();
        self.queue.send((item, reply)).map_err(|_| GroupError::Closed)?;
        answer.await.map_err(|_| GroupError::Closed)?
    }
}

/// Commits a group. When the database refuses its data, the items are tried one by one, so that one bad item fails alone.
async fn run<C: Commit>(commit: &C, items: &[C::Item], replies: Vec<oneshot::Sender<Result<C::Output, GroupError>>>) {
    match commit.commit(items).await {
        Ok(outputs) => {
            debug_assert_eq!(outputs.len(), items.len());
            for (reply, output) in replies.into_iter().zip(outputs) {
                // A caller that went away does not change what was committed.
                let _ = reply.send(Ok(output));
            }
        }
        Err(sqlx::Error::Database(_)) if items.len() > 1 => {
            for (item, reply) in items.iter().zip(replies) {
                let one = commit.commit(std::slice::from_ref(item)).await;
                let output = one.map_err(|e| GroupError::Database(Arc::new(e)));
                let _ = reply.send(output.and_then(|mut v| v.pop().ok_or(GroupError::Closed)));
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for reply in replies {
                let _ = reply.send(Err(GroupError::Database(error.clone())));
            }
        }
    }
}
