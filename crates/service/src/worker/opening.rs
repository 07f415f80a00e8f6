//! Opening a sender: tried until it works, but never before the platform lets it, and never beyond the term in which it was acquired.

use std::time::Duration;

use store::leases::{self, Lease};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Context, OpenError, Opened, actor::End, mailbox::Mailbox, reconnects::Order};
use crate::tasks::TaskError;

/// Opens a sender, or tells why its actor ends.
pub async fn open(
    context: &Context,
    lease: &Lease,
    term: &CancellationToken,
    mailbox: &Mailbox,
) -> Result<Opened, End> {
    let mut opening =
        Opening { context, lease, term, mailbox, not_before: lease.connects_in().map(|wait| Instant::now() + wait) };
    loop {
        if let Some(opened) = opening.try_on().await? {
            // What was written meanwhile is for the actor.
            mailbox.work();
            return Ok(opened);
        }
    }
}

struct Opening<'a> {
    context: &'a Context,
    lease: &'a Lease,
    term: &'a CancellationToken,
    mailbox: &'a Mailbox,
    /// What the platform imposed; nothing shortens it.
    not_before: Option<Instant>,
}

impl Opening<'_> {
    /// Tries at each turn of one order. `None` when the sender changed, which may have helped: another order begins anew.
    async fn try_on(&mut self) -> Result<Option<Opened>, End> {
        self.mailbox.take_changed();
        let mut order = Order::place(&self.context.reconnects, self.lease.sender_id, self.not_before);
        let mut tried = false;
        loop {
            let mut turn = tokio::select! {
                turn = order.turn() => turn,
                end = self.ended_or_changed(), if tried => return end.map_or(Ok(None), Err),
                // The first try sees what changes before it; beginning anew would cost its place in the budget.
                end = self.ended(), if !tried => return Err(end),
            };
            tried = true;
            // What changed before this try is seen by it: opening the sender once more for that would end a good connection.
            self.mailbox.take_changed();
            let left = self.not_before.map(|at| at.duration_since(Instant::now())).filter(|left| !left.is_zero());
            let lease = Lease { connect_in_seconds: left.map(|left| left.as_secs_f64()), ..*self.lease };
            let opened = tokio::select! {
                opened = self.context.senders.open(&lease) => opened,
                // Dropped in the middle: a connection that was being made is gone with it.
                end = self.ended() => return Err(end),
                () = turn.closed() => continue,
            };
            let failed = match opened {
                Ok(opened) => {
                    order.fulfil(turn);
                    return Ok(Some(opened));
                }
                Err(OpenError::Gone | OpenError::Inactive) => {
                    order.fulfil(turn);
                    return Err(End::Inactive);
                }
                Err(OpenError::NotBefore(wait)) => {
                    if left.is_none() {
                        self.keep(wait).await;
                    }
                    self.not_before = Some(Instant::now() + wait);
                    TaskError::RetryAfter { wait, reason: OpenError::NotBefore(wait).to_string() }
                }
                Err(OpenError::Later(reason)) => TaskError::Retry(reason),
                Err(OpenError::Broken(reason)) => TaskError::Dead(reason),
            };
            tracing::warn!(sender_id = %lease.sender_id, reason = %failed, "a sender cannot be opened now");
            let _ = turn.send(Err(failed));
        }
    }

    /// Waits until the actor is to end.
    async fn ended(&self) -> End {
        loop {
            if let Some(end) = self.woken().await {
                return end;
            }
        }
    }

    /// The same, or until its sender changed (`None`).
    async fn ended_or_changed(&self) -> Option<End> {
        while !self.mailbox.take_changed() {
            if let Some(end) = self.woken().await {
                return Some(end);
            }
        }
        None
    }

    async fn woken(&self) -> Option<End> {
        tokio::select! {
            () = self.context.stop.cancelled() => Some(End::Stopped),
            () = self.term.cancelled() => Some(End::Fenced),
            () = self.mailbox.woken() => self.mailbox.is_to_leave().then_some(End::Moved),
        }
    }

    /// The platform's wait is kept with the lease: neither a crash nor a move shortens it.
    async fn keep(&self, wait: Duration) {
        let id = self.lease.sender_id;
        if let Err(error) = leases::connect_later(&self.context.pool, id, wait).await {
            tracing::warn!(%error, sender_id = %id, "a wait before connecting is known to this worker only");
        }
    }
}
