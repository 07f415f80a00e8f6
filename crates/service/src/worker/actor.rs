//! The actor of one sender: delivers its messages in order, within its limits.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use platform::{Hold, Refusal, Verdict};
use store::{
    chats,
    delivery::{self, Look},
    leases::{self, Lease},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Barred, Context, Opened,
    attempt::{self, Settled, Then},
    backoff::backoff,
    mailbox::Mailbox,
    opening::open,
    plan::{Next, Plan, WINDOW},
};

/// After trouble with the database, the actor looks again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// With more work than the plan holds, news of work are followed so often only.
const LOOK_WHEN_FULL: Duration = Duration::from_millis(100);
/// How long the failures of a name count towards its next wait.
const FORGET_NAME_AFTER: Duration = Duration::from_mins(5);

/// Why an actor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The process stops.
    Stopped,
    /// Another worker owns the sender now.
    NotOwned,
    /// The sender is to be given to another worker.
    Moved,
    /// This worker's term ended, and with it the sender's connection.
    Fenced,
    /// The sender is gone, off or dead; its messages wait.
    Inactive,
    /// The actor or one of its attempts panicked. The next owner calls what was on the wire unknown.
    Broken,
}

enum Done {
    Attempt(Settled),
    Resolved(String, Vec<Uuid>, Result<i64, Refusal>),
}

struct Actor {
    context: Arc<Context>,
    lease: Lease,
    /// The term in which the sender was acquired.
    term: CancellationToken,
    mailbox: Arc<Mailbox>,
    opened: Opened,
    plan: Plan,
    running: JoinSet<Done>,
    on_their_way: HashSet<Uuid>,
    /// Names whose resolution runs.
    asking: HashSet<String>,
    /// Names that could not be resolved now, until when, and how often that happened.
    names_held: HashMap<String, (Instant, u32)>,
    /// Chats that live on under another id, with a message on its way that still has to come back.
    moving: HashMap<i64, i64>,
    refill_at: Option<Instant>,
}

/// Runs an actor until it ends.
///
/// `term` is the one in which the lease was asked for: at its end, others may have taken the sender.
pub async fn run(context: Arc<Context>, lease: Lease, term: CancellationToken, mailbox: Arc<Mailbox>) -> End {
    let end = open_and_run(context.clone(), lease, term, mailbox).await;
    // The last byte precedes the next owner's first: only then may the sender be given back.
    context.senders.close(lease.sender_id).await;
    end
}

async fn open_and_run(context: Arc<Context>, lease: Lease, term: CancellationToken, mailbox: Arc<Mailbox>) -> End {
    let opened = match open(&context, &lease, &term, &mailbox).await {
        Ok(opened) => opened,
        Err(end) => return end,
    };
    let mut plan = Plan::new(opened.limits);
    plan.held_until = lease.held_for().map(|wait| Instant::now() + wait);
    // These waits were counted from the moment of the lease: they are over, or known to the plan.
    let lease = Lease { held_seconds: None, connect_in_seconds: None, ..lease };
    let actor = Actor {
        context,
        lease,
        term,
        mailbox,
        opened,
        plan,
        running: JoinSet::new(),
        on_their_way: HashSet::new(),
        asking: HashSet::new(),
        names_held: HashMap::new(),
        moving: HashMap::new(),
        refill_at: Some(Instant::now()),
    };
    actor.run().await
}

impl Actor {
    async fn run(mut self) -> End {
        let context = self.context.clone();
        let mailbox = self.mailbox.clone();
        let term = self.term.clone();
        let end = loop {
            if self.refill_at.is_some_and(|at| at <= Instant::now()) {
                self.refill().await;
            }
            let next = self.dispatch();
            let timer = [next, self.refill_at].into_iter().flatten().min();
            let ended = tokio::select! {
                () = context.stop.cancelled() => Some(End::Stopped),
                // Nothing of this kind is connected to be fenced: another owner's start is what ends it.
                () = term.cancelled(), if self.opened.is_connected => Some(End::Fenced),
                () = mailbox.woken() => self.woken().await,
                Some(done) = self.running.join_next() => match done {
                    Ok(done) => self.settle(done).await,
                    Err(error) => {
                        tracing::error!(%error, sender_id = %self.lease.sender_id, "an attempt broke");
                        Some(End::Broken)
                    }
                },
                () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => None,
            };
            if let Some(end) = ended {
                break end;
            }
        };
        // What is on the wire gets its outcome before the sender is given back.
        while self.running.join_next().await.is_some() {}
        end
    }

    async fn woken(&mut self) -> Option<End> {
        if self.mailbox.is_to_leave() {
            return Some(End::Moved);
        }
        if self.mailbox.take_changed() {
            self.context.senders.close(self.lease.sender_id).await;
            match open(&self.context, &self.lease, &self.term, &self.mailbox).await {
                Ok(opened) => {
                    self.plan.set_limits(opened.limits);
                    self.opened = opened;
                }
                Err(end) => return Some(end),
            }
        }
        for (from, to) in self.mailbox.take_moved() {
            // What is on its way to the chat stands before all that waits: if it is refused, it must not be overtaken.
            if self.plan.is_busy(from) {
                self.moving.insert(from, to);
            } else {
                self.move_chat(from, to).await;
            }
        }
        let now = Instant::now();
        // Nothing can go before the sender opens. And as long as much is planned and more is known to wait, what was just
        // accepted is seldom first: only one of a higher priority is, and that may wait a moment.
        let wait = if self.plan.left_behind { LOOK_WHEN_FULL } else { Duration::ZERO };
        self.look_at(self.plan.opens_at(now).max(now + wait));
        None
    }

    /// Reads the plan anew: the database is the truth.
    async fn refill(&mut self) {
        let now = Instant::now();
        self.refill_at = None;
        self.plan.forget_idle_chats(now);
        self.names_held.retain(|_, (until, _)| *until + FORGET_NAME_AFTER > now);
        self.plan.clear();
        let mut skip_chats = self.plan.held_chats(now);
        loop {
            let look = Look {
                sender_id: self.lease.sender_id,
                skip_messages: self.on_their_way.iter().copied().chain(self.plan.ids()).collect(),
                skip_chats: skip_chats.clone(),
            };
            let rows = match self.context.due.submit(look).await {
                Ok(rows) => rows,
                Err(error) => {
                    tracing::warn!(%error, "due messages could not be read");
                    self.refill_at = Some(now + LOOK_AGAIN);
                    return;
                }
            };
            let all_read = rows.len() < WINDOW;
            let full = self.plan.add(rows, now);
            if all_read || self.plan.len() >= WINDOW {
                self.plan.left_behind |= !all_read;
                break;
            }
            // One chat filled what was read: look past it.
            skip_chats.extend(full);
        }
        self.resolve_names();
    }

    /// Starts everything that may go now; returns when to look again.
    fn dispatch(&mut self) -> Option<Instant> {
        let now = Instant::now();
        if !self.context.ownership.holds() {
            return Some(now + LOOK_AGAIN);
        }
        let next = loop {
            if self.plan.len() == 0 {
                break None;
            }
            // Nothing begins where an answer is not to be expected: it stays queued, and no attempt is counted.
            let passage = match self.opened.gates.enter() {
                Ok(passage) => passage,
                Err(shut) => break Some(shut.until()),
            };
            match self.plan.next(now, &self.asking) {
                Next::Send(row) => {
                    self.on_their_way.insert(row.id);
                    let (context, lease, opened) = (self.context.clone(), self.lease, self.opened.clone());
                    self.running.spawn(async move {
                        Done::Attempt(attempt::run(&context, lease, &opened, &row, passage).await)
                    });
                }
                Next::At(at) => break Some(at),
                Next::Idle => break None,
            }
        };
        if self.plan.runs_short() {
            // Also while a later look is planned, such as for a chat that is held.
            self.look_at(self.plan.opens_at(now));
        }
        if self.refill_at.is_none() {
            self.refill_at = self.plan.next_release(now);
        }
        next
    }

    async fn settle(&mut self, done: Done) -> Option<End> {
        let settled = match done {
            Done::Attempt(settled) => settled,
            Done::Resolved(name, messages, answer) => {
                self.resolved(name, &messages, answer).await;
                return None;
            }
        };
        let now = Instant::now();
        self.on_their_way.remove(&settled.message_id);
        self.plan.free_chat(settled.chat_id);
        if settled.then != Then::GoOn {
            self.plan.read_again(settled.chat_id);
        }
        if let Some(to) = self.moving.remove(&settled.chat_id) {
            self.move_chat(settled.chat_id, to).await;
        }
        match settled.then {
            Then::GoOn => {}
            Then::Hold { wait, imposed } => {
                let before = self.plan.held_until;
                match imposed {
                    Some(Hold::Sender) => self.plan.held_until = Some(now + wait),
                    Some(Hold::Chat) => self.plan.wait_imposed(settled.chat_id, now, now + wait),
                    None => self.plan.hold_chat(settled.chat_id, now + wait),
                }
                self.look_at(now + wait);
                if self.plan.held_until != before {
                    self.keep_hold(wait).await;
                }
            }
            Then::Moved { to } => self.move_chat(settled.chat_id, to).await,
            Then::Barred(barred) => self.barred(settled.chat_id, &barred).await,
            Then::Later => self.look_at(now + LOOK_AGAIN),
            Then::NotOwned => return Some(End::NotOwned),
            Then::SenderDead { code, description } => return self.sender_dead(code, &description).await,
        }
        None
    }

    /// The platform told the sender as a whole to wait: also the next owner must, or the wait grows.
    async fn keep_hold(&self, wait: Duration) {
        if let Err(error) = leases::hold(&self.context.pool, self.lease.sender_id, wait).await {
            tracing::warn!(%error, sender_id = %self.lease.sender_id, "a wait of the whole sender is known to this worker only");
        }
    }

    /// A chat lives on under another id: so does its queue. Done here, where nothing can start meanwhile: what stands behind the
    /// message that found out must not be read under the new id before it.
    async fn move_chat(&mut self, from: i64, to: i64) {
        self.plan.read_again(from);
        let sender_id = self.lease.sender_id;
        let moved = async {
            self.context.senders.chat_moved(sender_id, from, to).await?;
            chats::migrate(&self.context.pool, sender_id, from, to).await
        };
        if let Err(error) = moved.await {
            tracing::warn!(%error, "a chat could not be moved; its next message tries again");
        }
        self.look_at(Instant::now());
    }

    /// Another sender of the channel goes on. Done here, where nothing can start meanwhile: this one must not try again before.
    async fn barred(&mut self, chat_id: i64, barred: &Barred) {
        let now = Instant::now();
        if let Err(error) = self.context.senders.barred(self.lease.sender_id, barred).await {
            tracing::warn!(%error, channel_id = %barred.channel_id, "what waits for a channel stays with a sender that may not post");
            self.plan.hold_chat(chat_id, now + LOOK_AGAIN);
        }
        self.look_at(now);
    }

    fn look_at(&mut self, at: Instant) {
        self.refill_at = Some(self.refill_at.map_or(at, |other| other.min(at)));
    }

    /// The platform refuses the sender. Unless its credentials were replaced meanwhile, it is marked and its messages wait.
    async fn sender_dead(&mut self, code: &str, description: &str) -> Option<End> {
        let senders = self.context.senders.clone();
        match senders.mark_dead(self.lease.sender_id, &self.opened.version, code, description).await {
            Ok(true) => Some(End::Inactive),
            Ok(false) => {
                self.mailbox.changed();
                None
            }
            Err(error) => {
                tracing::warn!(%error, "a dead sender could not be marked");
                self.plan.held_until = Some(Instant::now() + LOOK_AGAIN);
                None
            }
        }
    }

    fn resolve_names(&mut self) {
        let now = Instant::now();
        if let Some(until) = self.plan.held_until.filter(|until| *until > now) {
            // The platform wants the sender to be left alone: a question counts like a message.
            return self.look_at(until);
        }
        for (name, messages) in self.plan.unresolved() {
            let held = self.names_held.get(&name).is_some_and(|(until, _)| *until > now);
            if held || !self.asking.insert(name.clone()) {
                continue;
            }
            let sender = self.opened.sender.clone();
            self.running.spawn(async move {
                let answer = sender.resolve(&name).await;
                Done::Resolved(name, messages, answer)
            });
        }
    }

    async fn resolved(&mut self, name: String, messages: &[Uuid], answer: Result<i64, Refusal>) {
        self.asking.remove(&name);
        let now = Instant::now();
        let (pool, sender_id) = (&self.context.pool, self.lease.sender_id);
        let written = match answer {
            Ok(chat_id) => chats::resolved(pool, sender_id, &name, chat_id).await,
            Err(refusal) => match refusal.verdict {
                Verdict::Fail | Verdict::Barred { .. } | Verdict::Migrated { .. } => {
                    delivery::fail_waiting(pool, messages, refusal.code, &refusal.description).await
                }
                Verdict::SenderDead => {
                    if let Some(End::Inactive) = self.sender_dead(refusal.code, &refusal.description).await {
                        self.mailbox.changed();
                    }
                    return;
                }
                Verdict::Wait { after, hold: Hold::Chat } => return self.hold_name(name, now, after),
                Verdict::Wait { after, hold: Hold::Sender } => {
                    let until = now + after;
                    self.plan.held_until = Some(self.plan.held_until.map_or(until, |held| held.max(until)));
                    return self.look_at(until);
                }
                Verdict::Retry => {
                    let tries = self.names_held.get(&name).map_or(1, |(_, tries)| tries + 1);
                    return self.hold_name(name, now, backoff(tries));
                }
            },
        };
        if let Err(error) = written {
            tracing::warn!(%error, "the answer for a name could not be written");
        }
        self.look_at(now);
    }

    fn hold_name(&mut self, name: String, now: Instant, wait: Duration) {
        let tries = self.names_held.get(&name).map_or(1, |(_, tries)| tries + 1);
        self.names_held.insert(name, (now + wait, tries));
        self.look_at(now + wait);
    }
}
