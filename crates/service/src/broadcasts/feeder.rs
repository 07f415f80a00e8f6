//! Feeds broadcasts into the queues of their senders, a few messages ahead of what each can send: so a broadcast can be paused,
//! corrected and cancelled at once, and its messages do not stand in the queue of anything else.
//!
//! Each worker runs one; a broadcast is moved on by whoever locks its row first.

use std::{collections::HashSet, time::Duration};

use serde_json::{Map, Value, json};
use sqlx::PgPool;
use store::{
    broadcasts::{self, BroadcastRow, Target},
    messages::{self, Accepted, NewMessage},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::template::{Missing, Template};
use crate::{
    Error, Result,
    api::send::SendMessage,
    queue::{Hint, Hints},
    usecases::send,
};

/// How often broadcasts are moved on.
const EVERY: Duration = Duration::from_millis(500);
/// Messages of one broadcast that wait with one sender at most: more than a sender can send until the next look.
const PER_SENDER: i64 = 100;
/// Messages that are given to senders in one transaction.
const AT_ONCE: i64 = 500;

/// Runs until stopped.
pub async fn run(pool: PgPool, hints: Hints, stop: CancellationToken) {
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = timer.tick() => {}
        }
        let open = match broadcasts::open(&pool).await {
            Ok(open) => open,
            Err(error) => {
                tracing::warn!(%error, "broadcasts could not be read; the next look follows");
                continue;
            }
        };
        for id in open {
            match move_on(&pool, id).await {
                Ok(senders) => senders.into_iter().for_each(|sender| hints.give(Hint::Work(sender))),
                Err(error) => tracing::warn!(error = ?error, broadcast_id = %id, "a broadcast could not be moved on"),
            }
        }
    }
}

/// Notes what has ended, gives senders their next messages, and ends the broadcast when nothing is left. Returns the senders that
/// have work now.
async fn move_on(pool: &PgPool, id: Uuid) -> Result<HashSet<Uuid>> {
    let mut tx = pool.begin().await?;
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
        senders = feed(&mut tx, &row, targets).await?;
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

async fn feed(db: &mut sqlx::PgConnection, row: &BroadcastRow, targets: Vec<Target>) -> Result<HashSet<Uuid>> {
    if targets.is_empty() {
        return Ok(HashSet::new());
    }
    let template = Template::new(row.content.clone())?;
    let mut failed = Vec::new();
    let mut new = Vec::new();
    for target in targets {
        match message(row, &template, &target) {
            Ok(message) => new.push((target, message)),
            // It was tried when the broadcast was accepted; a newer version may see it differently.
            Err(error) => failed.push((target.id, "content_unreadable", error.detail)),
        }
    }
    let items: Vec<NewMessage> = new.iter().map(|(_, message)| message.clone()).collect();
    let accepted = messages::accept(&mut *db, &items).await?;
    let mut fed = Vec::new();
    let mut senders = HashSet::new();
    for ((target, message), accepted) in new.into_iter().zip(accepted) {
        match accepted {
            Accepted::Stored => {
                senders.insert(message.sender_id);
                fed.push((target.id, message.id));
            }
            Accepted::Refused => {
                failed.push((target.id, "sender_inactive", "The sender was not connected when its turn came.".into()));
            }
        }
    }
    broadcasts::fed(db, &fed, &failed).await?;
    Ok(senders)
}

/// The message of one target.
fn message(row: &BroadcastRow, template: &Template, target: &Target) -> Result<NewMessage> {
    let content = content(template, target)?;
    Ok(NewMessage {
        id: Uuid::now_v7(),
        caller: row.user_id,
        caller_is_admin: false,
        route: route(&target.route),
        sender_id: target.via,
        chat_id: target.chat_id,
        chat_name: target.chat_name.clone(),
        kind: content.content.kind(),
        content: serde_json::to_string(&content).map_err(Error::internal)?,
        priority: row.priority,
        scheduled_at: None,
        random_id: rand::random(),
        key: None,
        response: String::new(),
        request_id: row.request_id.clone(),
        traceparent: row.traceparent.clone(),
    })
}

/// The message that a target gets, checked as one that is sent alone.
///
/// # Errors
/// A variable is missing, or what the variables make of the message cannot be sent.
pub fn content(template: &Template, target: &Target) -> Result<platform::Message> {
    let none = Map::new();
    let variables = target.variables.as_ref().and_then(Value::as_object).unwrap_or(&none);
    let mut body = template.render(variables).map_err(|Missing(name)| {
        Error::invalid_field(
            format!("/variables/{name}"),
            "is missing, and the message has nothing to stand there without it",
        )
    })?;
    body["chat_id"] = match (&target.chat_id, &target.chat_name) {
        (Some(id), _) => json!(id),
        (None, name) => json!(format!("@{}", name.as_deref().unwrap_or_default())),
    };
    let bytes = serde_json::to_vec(&body).map_err(Error::internal)?;
    let body: SendMessage = crate::http::json::parse(&bytes)?;
    send::compose(route(&target.route), body.into_text()?)
}

fn route(name: &str) -> &'static str {
    match name {
        "account" => "account",
        "channel" => "channel",
        _ => "bot",
    }
}
