//! Corrects or recalls the messages of a broadcast that were sent: one of each sender at a time, as long as Telegram lets it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use platform::{Change, Message};
use sqlx::PgPool;
use store::{
    broadcasts::{self, BroadcastRow, FollowUp},
    changes::{self, Done},
    messages,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::feeder;
use crate::{
    Error, Result,
    questions::Questions,
    usecases::{changes::change_at_telegram, channel_send::add_defaults_to},
};

/// How often it is looked whether there is something to do.
const EVERY: Duration = Duration::from_millis(500);
/// Messages that each sender changes, one after the other, before it is looked again.
const PER_SENDER: i64 = 20;
/// Messages of all senders together.
const AT_ONCE: i64 = 400;
/// A sender that cannot be asked at the moment is asked again after so long.
const HOLD: Duration = Duration::from_secs(5);
/// After so long the broadcast is left to whoever looks next: the database ends a transaction that is idle for 10 s.
const TURN: Duration = Duration::from_secs(4);

/// Follows up on broadcasts.
pub struct FollowUps {
    /// The database.
    pub pool: PgPool,
    /// Asks the owners of the senders.
    pub questions: Arc<Questions>,
}

impl FollowUps {
    /// Runs until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut timer = tokio::time::interval(EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut held = HashMap::new();
        while stop.run_until_cancelled(timer.tick()).await.is_some() {
            if let Err(error) = self.look(&mut held, &stop).await {
                tracing::warn!(error = ?error, "broadcasts could not be followed up; the next look follows");
            }
        }
    }

    async fn look(&self, held: &mut HashMap<Uuid, Instant>, stop: &CancellationToken) -> Result<()> {
        for id in broadcasts::open(&self.pool).await? {
            let row = broadcasts::find(&self.pool, id, None).await?;
            if let Some(row) = row.filter(|row| row.follow_up.is_some()) {
                self.follow_up(&row, held, stop).await?;
            }
        }
        Ok(())
    }

    async fn follow_up(
        &self,
        row: &BroadcastRow,
        held: &mut HashMap<Uuid, Instant>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let mut tx = self.pool.begin().await?;
        if !broadcasts::reserve_follow_up(&mut tx, row.id).await? {
            return Ok(());
        }
        let end = Instant::now() + TURN;
        while !stop.is_cancelled() && Instant::now() < end {
            let now = Instant::now();
            held.retain(|_, until| *until > now);
            let waiting: Vec<Uuid> = held.keys().copied().collect();
            let next = broadcasts::follow_ups(&self.pool, row.id, &waiting, PER_SENDER, AT_ONCE).await?;
            if next.is_empty() {
                break;
            }
            let mut by_sender: HashMap<Option<Uuid>, Vec<FollowUp>> = HashMap::new();
            for one in next {
                by_sender.entry(one.sender_id).or_default().push(one);
            }
            let all = by_sender.iter().map(async |(sender_id, some)| (*sender_id, self.some(row, some, end).await));
            for (sender_id, result) in join_all(all).await {
                if let (Some(sender_id), Some(wait)) = (sender_id, result?) {
                    held.insert(sender_id, now + wait);
                }
            }
        }
        broadcasts::end_follow_up(&mut tx, row.id).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Follows up on some messages of one sender, one after the other, until it has to wait or the turn ends.
    async fn some(&self, row: &BroadcastRow, some: &[FollowUp], end: Instant) -> Result<Option<Duration>> {
        for one in some.iter().take_while(|_| Instant::now() < end) {
            if let Some(wait) = self.one(row, one).await? {
                return Ok(Some(wait));
            }
        }
        Ok(None)
    }

    /// Follows up on one message. `Some` says how long its sender has to wait before it is tried again.
    async fn one(&self, row: &BroadcastRow, one: &FollowUp) -> Result<Option<Duration>> {
        let Some(before) = messages::find(&self.pool, one.message_id, None).await? else {
            self.note(one, Some(("not_found", "The record of the message is not kept any more."))).await?;
            return Ok(None);
        };
        if matches!(before.status.as_str(), "failed" | "cancelled") {
            broadcasts::not_followed_up(&self.pool, one.target.id).await?;
            return Ok(None);
        }
        if before.deleted_at.is_some() {
            self.note(one, None).await?;
            return Ok(None);
        }
        let (change, done) = if row.follow_up.as_deref() == Some("recall") {
            (Change::Delete, Done::Deleted)
        } else {
            let template: Message = serde_json::from_value(row.content.clone()).map_err(Error::internal)?;
            let mut message = feeder::message_of(&template, &one.target)?;
            let channel = match before.channel_id {
                Some(id) => telegram::channels::table::find(&self.pool, id, None).await?,
                None => None,
            };
            if let Some(channel) = channel
                && let Err(error) = add_defaults_to(&channel, &mut message)
            {
                self.note(one, Some((error.code.name(), &error.detail))).await?;
                return Ok(None);
            }
            let content = serde_json::to_value(&message).map_err(Error::internal)?;
            (Change::Edit(Box::new(message)), Done::Edited(content))
        };
        match change_at_telegram(&self.pool, &self.questions, &before, change, &done).await {
            Ok(()) => {
                let mut tx = self.pool.begin().await?;
                changes::finish(&mut tx, before.id, &done).await?;
                broadcasts::followed_up(&mut tx, one.target.id, None).await?;
                tx.commit().await?;
                Ok(None)
            }
            // Somebody else changes it, or nobody answers at the moment.
            Err(error) if error.retry_after.is_some() => Ok(Some(error.retry_after.unwrap_or(HOLD).max(HOLD))),
            Err(error) if error.code.status().is_client_error() => {
                self.note(one, Some((error.code.name(), &error.detail))).await?;
                Ok(None)
            }
            Err(error) => {
                tracing::debug!(error = ?error, "a message of a broadcast is changed later");
                Ok(Some(HOLD))
            }
        }
    }

    async fn note(&self, one: &FollowUp, failure: Option<(&str, &str)>) -> Result<()> {
        let mut db = self.pool.acquire().await?;
        Ok(broadcasts::followed_up(&mut db, one.target.id, failure).await?)
    }
}
