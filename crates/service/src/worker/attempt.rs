//! One attempt, from `queued → sending` to its outcome.

use std::time::Duration;

use platform::{Delivery, Hold, Message, Outcome, Priority, Refusal, Verdict};
use store::{
    delivery::{DueRow, FinishAttempt, FinishedMessage, StartAttempt, Started, StartedMessage},
    leases::{Lease, Unknown},
};
use uuid::Uuid;

use super::{Barred, Context, Opened, backoff::backoff};
use crate::circuit::gates::Passage;

/// A message whose turn comes after that of another sender of its channel looks again so soon.
const NOT_YET: Duration = Duration::from_millis(200);
/// A message without an answer is repeated for so long: the platform's memory of random ids has an end.
const REPEATABLE_FOR: Duration = Duration::from_hours(1);

/// How an attempt ended, for the actor's plan.
pub struct Settled {
    /// The message.
    pub message_id: Uuid,
    /// Its chat, which is free again.
    pub chat_id: i64,
    /// What follows.
    pub then: Then,
}

/// What follows from an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Then {
    /// The message is at its end, or gone: the next one may go.
    GoOn,
    /// The message is queued again; its chat waits.
    Hold {
        /// For how long.
        wait: Duration,
        /// The platform asked for it, and said how much waits.
        imposed: Option<Hold>,
    },
    /// The message is queued again, and the sender is dead.
    SenderDead {
        /// Stable code of the reason.
        code: &'static str,
        /// The platform's words.
        description: String,
    },
    /// The message is queued again; the chat of its channel does not let the sender post: another sender may.
    Barred(Barred),
    /// The message is queued again; the chat lives on under another id, to which its queue has to be moved.
    Moved {
        /// The new chat id.
        to: i64,
    },
    /// The worker does not own the sender any more.
    NotOwned,
    /// The database did not take the start; nothing was sent.
    Later,
}

/// Runs one attempt to its end. Its outcome is written however long the database is away.
pub async fn run(context: &Context, lease: Lease, opened: &Opened, due: &DueRow, mut passage: Passage) -> Settled {
    let attempt_id = Uuid::now_v7();
    let start = StartAttempt {
        attempt_id,
        message_id: due.id,
        sender_id: lease.sender_id,
        priority: due.priority,
        seq: due.seq,
        epoch: lease.epoch,
    };
    let settled = |then| Settled { message_id: due.id, chat_id: due.chat_id.unwrap_or_default(), then };
    // After an outage, a question that changes nothing goes first: a message without an answer may be unknown for good.
    if passage.is_probe() && !opened.sender.answers().await {
        passage.failed();
        return settled(Then::Later);
    }
    let message = match context.start.submit(start).await {
        Ok(Started::Yes(message)) => message,
        Ok(Started::NotQueued) => return settled(Then::GoOn),
        Ok(Started::NotYet) => return settled(Then::Hold { wait: NOT_YET, imposed: None }),
        Ok(Started::NotOwned) => return settled(Then::NotOwned),
        Err(error) => {
            tracing::warn!(%error, "an attempt could not start");
            // The commit may have happened without its answer: nothing was sent, so the message goes back.
            finish(context, give_back(due.id, attempt_id)).await;
            return settled(Then::Later);
        }
    };
    if !context.ownership.holds() {
        finish(context, give_back(due.id, attempt_id)).await;
        return settled(Then::Later);
    }
    let priority = Priority::from_rank(due.priority);
    metrics::counter!("celery_tasks_total", "queue" => priority.name()).increment(1);
    if !matches!(&*message.kind, "text" | "poll" | "location" | "forward") {
        passage.takes_long();
    }
    let outcome = deliver(opened, &message).await;
    passage.settle(&outcome);
    let (end, then) = decide(context, attempt_id, &message, outcome);
    if end.status != "queued" && end.status != "sent" {
        metrics::counter!("celery_tasks_error_total", "queue" => priority.name()).increment(1);
    }
    if let Some(finished) = finish(context, end).await {
        count(&finished.0, &finished.1);
    }
    settled(then)
}

async fn deliver(opened: &Opened, message: &StartedMessage) -> Outcome {
    let content = match serde_json::from_value::<Message>(message.content.clone()) {
        Ok(content) => content,
        Err(error) => {
            return Outcome::Refused(platform::Refusal {
                code: "content_unreadable",
                description: format!("The stored content cannot be read: {error}"),
                verdict: Verdict::Fail,
            });
        }
    };
    let delivery =
        Delivery { message_id: message.id, chat_id: message.chat_id, message: content, random_id: message.random_id };
    opened.sender.send(&delivery).await
}

/// The end of the attempt and what follows, from its outcome.
fn decide(context: &Context, attempt_id: Uuid, message: &StartedMessage, outcome: Outcome) -> (FinishAttempt, Then) {
    let mut end = give_back(message.id, attempt_id);
    match outcome {
        Outcome::Sent { platform_message_ids } => {
            end.outcome = "sent";
            end.status = "sent";
            end.platform_message_id = platform_message_ids.first().copied();
            if platform_message_ids.len() > 1 {
                let random_ids = (0..).map(|part| platform::sender::random_id_of(message.random_id, part));
                end.parts = random_ids.zip(platform_message_ids).collect();
            }
            (end, Then::GoOn)
        }
        Outcome::Unanswered { reason } if message.age < REPEATABLE_FOR => {
            let wait = backoff(message.attempts.unsigned_abs());
            end.outcome = "unknown";
            end.code = Some("no_answer".into());
            end.description = Some(reason);
            end.wait_ms = Some(millis(wait));
            (end, Then::Hold { wait, imposed: None })
        }
        Outcome::Unanswered { reason } | Outcome::Unknown { reason } => {
            end.outcome = "unknown";
            end.status = "unknown";
            end.code = Some("unknown_outcome".into());
            end.description = Some(reason);
            (end, Then::GoOn)
        }
        Outcome::Refused(refusal) => {
            end.code = Some(refusal.code.into());
            end.description = Some(refusal.description.clone());
            match refusal.verdict {
                Verdict::Wait { after, hold } => {
                    end.wait_ms = Some(millis(after));
                    end.imposed = true;
                    (end, Then::Hold { wait: after, imposed: Some(hold) })
                }
                Verdict::Retry if message.age < context.give_up_after => {
                    let wait = backoff(message.attempts.unsigned_abs());
                    end.wait_ms = Some(millis(wait));
                    (end, Then::Hold { wait, imposed: None })
                }
                Verdict::Barred { gone } if let Some(channel_id) = message.channel_id => {
                    (end, Then::Barred(barred(channel_id, message, refusal, gone)))
                }
                Verdict::Retry | Verdict::Fail | Verdict::Barred { .. } => {
                    end.status = "failed";
                    (end, Then::GoOn)
                }
                Verdict::SenderDead => (end, Then::SenderDead { code: refusal.code, description: refusal.description }),
                Verdict::Migrated { chat_id } => (end, Then::Moved { to: chat_id }),
            }
        }
    }
}

fn barred(channel_id: Uuid, message: &StartedMessage, refusal: Refusal, gone: bool) -> Barred {
    let Refusal { code, description, .. } = refusal;
    Barred { channel_id, content: message.content.clone(), code, description, gone }
}

/// Nothing was sent: the message is queued as before.
fn give_back(message_id: Uuid, attempt_id: Uuid) -> FinishAttempt {
    FinishAttempt {
        message_id,
        attempt_id,
        outcome: "refused",
        status: "queued",
        code: None,
        description: None,
        wait_ms: None,
        imposed: false,
        platform_message_id: None,
        parts: Vec::new(),
    }
}

/// Writes the end of an attempt; tries until the database takes it, because an outcome that is lost is a message doubled or lost.
async fn finish(context: &Context, end: FinishAttempt) -> Option<(FinishAttempt, FinishedMessage)> {
    let mut tries = 0;
    loop {
        match context.finish.submit(end.clone()).await {
            Ok(finished) => return finished.map(|finished| (end, finished)),
            Err(store::group::GroupError::Closed) => return None,
            Err(error) => {
                tries += 1;
                tracing::warn!(%error, message_id = %end.message_id, "an outcome is kept until the database takes it");
                tokio::time::sleep(backoff(tries).min(Duration::from_secs(2))).await;
            }
        }
    }
}

fn count(end: &FinishAttempt, finished: &FinishedMessage) {
    let route = finished.route.clone();
    match end.status {
        "sent" => {
            metrics::counter!("telegram_messages_sent_total", "type" => route).increment(1);
            metrics::histogram!("integrations_delivery_seconds").record(finished.own_seconds);
            if finished.imposed_seconds > 0.0 {
                metrics::histogram!("integrations_imposed_wait_seconds").record(finished.imposed_seconds);
            }
        }
        "failed" | "unknown" => {
            metrics::counter!("telegram_messages_error_total", "type" => route).increment(1);
            if end.status == "unknown" {
                metrics::counter!("integrations_unknown_total").increment(1);
            }
        }
        _ => {}
    }
}

/// Counts what became unknown because its worker ended in the middle.
pub fn count_unknown(messages: &[Unknown]) {
    for Unknown { route, priority } in messages {
        metrics::counter!("celery_tasks_error_total", "queue" => Priority::from_rank(*priority).name()).increment(1);
        metrics::counter!("telegram_messages_error_total", "type" => route.clone()).increment(1);
        metrics::counter!("integrations_unknown_total").increment(1);
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
