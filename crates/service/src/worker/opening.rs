//! Opening a sender: tried until it works, but never before the platform lets it, and never beyond the term in which it was acquired.

use std::time::Duration;

use store::leases::{self, Lease};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Context, OpenError, Opened, actor::End, backoff::backoff, mailbox::Mailbox};

/// Opens a sender, or tells why its actor ends.
pub async fn open(
    context: &Context,
    lease: &Lease,
    term: &CancellationToken,
    mailbox: &Mailbox,
) -> Result<Opened, End> {
    let mut tries = 0;
    let mut not_before = lease.connects_in().map(|wait| Instant::now() + wait);
    loop {
        let left = not_before.map(|at| at.duration_since(Instant::now())).filter(|left| !left.is_zero());
        let lease = Lease { connect_in_seconds: left.map(|left| left.as_secs_f64()), ..*lease };
        // What changed before this try is seen by it: opening the sender once more for that would end a good connection.
        mailbox.take_changed();
        let opened = tokio::select! {
            opened = context.senders.open(&lease) => opened,
            // Dropped in the middle: a connection that was being made is gone with it.
            end = ordered_to_end(context, term, mailbox) => return Err(end),
        };
        let wait = match opened {
            Ok(opened) => {
                // What was written meanwhile is for the actor.
                mailbox.work();
                return Ok(opened);
            }
            Err(OpenError::Gone | OpenError::Inactive) => return Err(End::Inactive),
            Err(OpenError::Later(reason)) => {
                tries += 1;
                tracing::warn!(sender_id = %lease.sender_id, reason, "a sender cannot be opened now");
                backoff(tries)
            }
            Err(OpenError::NotBefore(wait)) => {
                if left.is_none() {
                    keep(context, &lease, wait).await;
                }
                not_before = Some(Instant::now() + wait);
                wait
            }
        };
        if pause(context, term, mailbox, wait).await? {
            tries = 0;
        }
    }
}

/// The platform's wait is kept with the lease: neither a crash nor a move shortens it.
async fn keep(context: &Context, lease: &Lease, wait: Duration) {
    tracing::warn!(sender_id = %lease.sender_id, wait_seconds = wait.as_secs(), "the platform lets a sender connect later only");
    if let Err(error) = leases::connect_later(&context.pool, lease.sender_id, wait).await {
        tracing::warn!(%error, sender_id = %lease.sender_id, "a wait before connecting is known to this worker only");
    }
}

/// Waits; shorter when the sender changed, since that may have helped, and tells so. What the platform imposed is not shortened by that:
/// the next try is told how much of it is left.
async fn pause(context: &Context, term: &CancellationToken, mailbox: &Mailbox, wait: Duration) -> Result<bool, End> {
    let over = tokio::time::sleep(wait);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = context.stop.cancelled() => return Err(End::Stopped),
            () = term.cancelled() => return Err(End::Fenced),
            () = &mut over => return Ok(false),
            () = mailbox.woken() => {
                if mailbox.is_to_leave() {
                    return Err(End::Moved);
                }
                if mailbox.take_changed() {
                    return Ok(true);
                }
            }
        }
    }
}

/// Waits until the sender is to be given away, the term ends or the process stops.
async fn ordered_to_end(context: &Context, term: &CancellationToken, mailbox: &Mailbox) -> End {
    loop {
        tokio::select! {
            () = context.stop.cancelled() => return End::Stopped,
            () = term.cancelled() => return End::Fenced,
            () = mailbox.woken() => if mailbox.is_to_leave() { return End::Moved },
        }
    }
}
