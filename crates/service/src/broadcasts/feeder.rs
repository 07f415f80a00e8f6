//! Feeds broadcasts into the queues of their senders, a few messages ahead of what each can send: so a broadcast can be paused,
//! corrected and cancelled at once, and its messages do not stand in the queue of anything else.
//!
//! Each worker runs one; a broadcast is moved on by whoever locks its row first.

use std::{collections::HashSet, time::Duration};

use platform::Message;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use store::{
    broadcasts::{self, BroadcastRow, Target},
    messages::{self, Accepted, NewMessage},
};
use telegram::channels::{routing, table as channels};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::template::{self, Missing, Variables};
use crate::{
    Error, Result,
    queue::{Hint, Hints},
    usecases::{channel_send, content, send},
};

/// How often broadcasts are moved on.
const EVERY: Duration = Duration::from_millis(500);
/// Messages of one broadcast that wait with one sender at most: more than a sender can send until the next look.
const PER_SENDER: i64 = 100;
/// Messages that are given to senders in one transaction.
const AT_ONCE: i64 = 500;

/// Moves broadcasts on.
pub struct Feeder {
    /// The database.
    pub pool: PgPool,
    /// Wakes the senders.
    pub hints: Hints,
    /// After how long a wait of a sender of a channel another one takes over.
    pub failover: Duration,
}

impl Feeder {
    /// Runs until stopped.
    pub async fn run(self, stop: CancellationToken) {
        let mut timer = tokio::time::interval(EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(timer.tick()).await.is_some() {
            let open = match broadcasts::open(&self.pool).await {
                Ok(open) => open,
                Err(error) => {
                    tracing::warn!(%error, "broadcasts could not be read; the next look follows");
                    continue;
                }
            };
            for id in open {
                match self.move_on(id).await {
                    Ok(senders) => senders.into_iter().for_each(|sender| self.hints.give(Hint::Work(sender))),
                    Err(error) => {
                        tracing::warn!(error = ?error, broadcast_id = %id, "a broadcast could not be moved on");
                    }
                }
            }
        }
    }

    /// Notes what has ended, gives senders their next messages, and ends the broadcast when nothing is left. Returns the senders that
    /// have work now.
    async fn move_on(&self, id: Uuid) -> Result<HashSet<Uuid>> {
        let mut tx = self.pool.begin().await?;
        let Some(mut row) = broadcasts::take(&mut tx, id).await? else { return Ok(HashSet::new()) };
        if row.status == "scheduled" {
            broadcasts::set_status(&mut tx, &row, "running").await?;
            row.status = "running".into();
        }
        let mut changed = broadcasts::collect(&mut tx, id).await? > 0;
        let mut senders = HashSet::new();
        if row.status == "running" {
            let targets = broadcasts::next(&mut tx, id, PER_SENDER, AT_ONCE).await?;
            changed |= !targets.is_empty();
            senders = self.feed(&mut tx, &row, targets).await?;
        }
        // A cancelled one can end without anything that was on its way.
        if changed || (row.status == "cancelled" && row.finished_at.is_none()) {
            let counts = broadcasts::standing(&mut tx, id).await?;
            if changed {
                broadcasts::tell(&mut tx, &row, &counts).await?;
            }
            let is_open = counts.iter().any(|(status, _)| matches!(status.as_str(), "waiting" | "queued"));
            if row.finished_at.is_none() && !is_open {
                broadcasts::finish(&mut tx, &row).await?;
            }
        }
        tx.commit().await?;
        Ok(senders)
    }

    async fn feed(&self, db: &mut PgConnection, row: &BroadcastRow, targets: Vec<Target>) -> Result<HashSet<Uuid>> {
        let mut senders = HashSet::new();
        if targets.is_empty() {
            return Ok(senders);
        }
        let template: Message = serde_json::from_value(row.content.clone()).map_err(Error::internal)?;
        let mut failed = Vec::new();
        let mut new = Vec::new();
        for target in targets {
            match self.message(row, &template, &target).await? {
                Ok(message) => new.push((target, message)),
                Err((code, why)) => failed.push((target.id, code, why)),
            }
        }
        let items: Vec<NewMessage> = new.iter().map(|(_, message)| message.clone()).collect();
        let accepted = messages::accept(&mut *db, &items).await?;
        let mut fed = Vec::new();
        for ((target, message), accepted) in new.into_iter().zip(accepted) {
            if accepted == Accepted::Stored {
                senders.insert(message.sender_id);
                fed.push((target.id, message.id));
            } else {
                let why = "The sender was not connected when its turn came.".to_owned();
                failed.push((target.id, "sender_inactive", why));
            }
        }
        broadcasts::fed(db, &fed, &failed).await?;
        Ok(senders)
    }

    /// The message of one target, or the code of the reason why it cannot have one, with its words.
    async fn message(
        &self,
        row: &BroadcastRow,
        template: &Message,
        target: &Target,
    ) -> Result<std::result::Result<NewMessage, (&'static str, String)>> {
        // It was tried when the broadcast was accepted; a newer version may see it differently.
        let mut message = match message_of(template, target) {
            Ok(message) => message,
            Err(error) => return Ok(Err((error.code.name(), error.detail))),
        };
        let (mut sender_id, mut chat_id, mut channel_id) = (target.via, target.chat_id, None);
        if target.route == "channel" {
            let Some(channel) = channels::find(&self.pool, target.via, Some(row.user_id)).await? else {
                return Ok(Err(("not_found", "The channel is not connected any more.".to_owned())));
            };
            if let Err(error) = channel_send::add_defaults_to(&channel, &mut message) {
                return Ok(Err((error.code.name(), error.detail)));
            }
            let content = serde_json::to_value(&message).map_err(Error::internal)?;
            let kind = message.content.kind();
            let Some(choice) = routing::choose(&self.pool, channel.id, kind, &content, self.failover).await? else {
                return Ok(Err(("no_sender", "No sender of the channel could send it when its turn came.".to_owned())));
            };
            (sender_id, chat_id, channel_id) = (choice.sender_id, Some(channel.channel_id), Some(channel.id));
        }
        let part = send::new_part(&message)?;
        Ok(Ok(NewMessage {
            id: part.id,
            parts: vec![part],
            caller: row.user_id,
            caller_is_admin: false,
            route: target.route(),
            sender_id,
            channel_id,
            chat_id,
            chat_name: target.chat_name.clone(),
            priority: row.priority,
            scheduled_at: None,
            key: None,
            response: String::new(),
            request_id: row.request_id.clone(),
            traceparent: row.traceparent.clone(),
        }))
    }
}

/// The message that a target gets, checked as one that is sent alone.
///
/// # Errors
/// A variable is missing, or what the variables make of the message cannot be sent.
pub fn message_of(template: &Message, target: &Target) -> Result<Message> {
    let none = Variables::new();
    let variables = target.variables.as_ref().and_then(Value::as_object).unwrap_or(&none);
    let mut message = template::fill(template, variables).map_err(|Missing(name)| {
        let hint = "is missing, and the message has nothing to stand there without it";
        Error::invalid_field(format!("/variables/{name}"), hint)
    })?;
    content::check_again(&mut message)?;
    Ok(message)
}
