//! Takes the updates of bots, whichever way they came.

use std::{collections::BTreeSet, time::Duration};

use sqlx::PgPool;
use store::group::{Group, GroupError};
use telegram::bots::{
    inbound::{Batch, Take},
    updates::Update,
};
use uuid::Uuid;

use crate::{
    metrics::name,
    queue::{Hint, Hints},
    tasks::channels::look_soon,
};

/// How many bots' updates go into one commit at most.
const GROUP: usize = 200;
/// How long to wait for a database that is away.
const AGAIN: Duration = Duration::from_secs(1);

/// Stores updates as events, each once.
#[derive(Clone)]
pub struct Inbox {
    pool: PgPool,
    take: Group<Take>,
    hints: Hints,
}

impl Inbox {
    /// Starts the task that commits.
    pub fn new(pool: PgPool, hints: Hints) -> Self {
        Self { pool: pool.clone(), take: Group::spawn(Take { pool }, GROUP), hints }
    }

    /// Stores an update that was delivered; when this returns without an error, it is committed, by this call or by another one.
    pub async fn put(&self, bot_id: Uuid, update: Update) -> Result<(), GroupError> {
        self.store(Batch { bot_id, updates: vec![update], next_update_id: None }, "webhook").await
    }

    /// Stores the answer to a poll and the place of the next one; tries until the database takes it.
    pub async fn put_all(&self, bot_id: Uuid, updates: Vec<Update>, next_update_id: i64) {
        let batch = Batch { bot_id, updates, next_update_id: Some(next_update_id) };
        while let Err(error) = self.store(batch.clone(), "polling").await {
            tracing::warn!(%error, %bot_id, "updates wait for the database");
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn store(&self, mut batch: Batch, way: &'static str) -> Result<(), GroupError> {
        let (bot_id, count) = (batch.bot_id, batch.updates.len());
        let moved: Vec<(i64, i64)> = batch.updates.iter().filter_map(|update| update.moved).collect();
        let changed: BTreeSet<i64> = batch.updates.iter().filter_map(|update| update.changed_chat).collect();
        let fresh = match self.take.submit(batch.clone()).await {
            Err(GroupError::Database(error)) if is_about_data(&error) => {
                // It would be refused for ever, and hold up what comes behind it.
                tracing::error!(%error, %bot_id, "updates that the database does not take are left out");
                for update in &mut batch.updates {
                    *update = Update::unreadable(update.id);
                }
                self.take.submit(batch).await?
            }
            other => other?,
        };
        for chat_id in changed {
            if let Err(error) = look_soon(&self.pool, bot_id, chat_id).await {
                tracing::warn!(%error, %bot_id, chat_id, "a chat that changed is looked at later");
            }
        }
        for (from, to) in moved {
            self.hints.give(Hint::Moved { sender_id: bot_id, from, to });
        }
        let counted = |result, n: usize| {
            let n = u64::try_from(n).unwrap_or_default();
            metrics::counter!(name::BOT_UPDATES, "way" => way, "result" => result).increment(n);
        };
        counted("new", fresh);
        counted("known", count.saturating_sub(fresh));
        Ok(())
    }
}

/// Whether the database refused the values themselves: class 22, or 54 for what is too large.
fn is_about_data(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("54"))
}
