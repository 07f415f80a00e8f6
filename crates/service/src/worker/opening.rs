//! Opening a sender: tried until it works, but never before the platform lets it.

use std::time::Duration;

use store::leases::{self, Lease};

use super::{Context, OpenError, Opened, actor::End, backoff::backoff, mailbox::Mailbox};

/// A wait before the next try.
enum Wait {
    /// Because the last try failed: shorter when the sender changed, since that may have helped.
    Backoff(Duration),
    /// Imposed by the platform: only a sender that a login has connected need not wait.
    Imposed(Duration),
}

/// Opens a sender, or tells why its actor ends.
pub async fn open(context: &Context, lease: &Lease, mailbox: &Mailbox) -> Result<Opened, End> {
    let mut tries = 0;
    let mut wait = lease.connects_in().map(Wait::Imposed);
    loop {
        if let Some(wait) = wait.take()
            && pause(context, lease, mailbox, wait).await?
        {
            tries = 0;
        }
        // What changed before this try is seen by it: opening the sender once more for that would end a good connection.
        mailbox.take_changed();
        let opened = tokio::select! {
            opened = context.senders.open(lease) => opened,
            // Dropped in the middle: a connection that was being made is gone with it.
            end = ordered_to_end(context, mailbox) => return Err(end),
        };
        wait = Some(match opened {
            Ok(opened) => {
                // What was written meanwhile is for the actor.
                mailbox.work();
                return Ok(opened);
            }
            Err(OpenError::Gone | OpenError::Inactive) => return Err(End::Inactive),
            Err(OpenError::Later(reason)) => {
                tries += 1;
                tracing::warn!(sender_id = %lease.sender_id, reason, "a sender cannot be opened now");
                Wait::Backoff(backoff(tries))
            }
            Err(OpenError::NotBefore(wait)) => {
                keep(context, lease, wait).await;
                Wait::Imposed(wait)
            }
        });
    }
}

/// The platform's wait is kept with the lease: neither a crash nor a move shortens it.
async fn keep(context: &Context, lease: &Lease, wait: Duration) {
    let sender_id = lease.sender_id;
    tracing::warn!(%sender_id, wait_seconds = wait.as_secs(), "the platform lets a sender connect later only");
    if let Err(error) = leases::connect_later(&context.pool, sender_id, wait).await {
        tracing::warn!(%error, %sender_id, "a wait before connecting is known to this worker only");
    }
}

/// Waits; tells whether a change of the sender ended that early.
async fn pause(context: &Context, lease: &Lease, mailbox: &Mailbox, wait: Wait) -> Result<bool, End> {
    let (length, imposed) = match wait {
        Wait::Backoff(length) => (length, false),
        Wait::Imposed(length) => (length, true),
    };
    let over = tokio::time::sleep(length);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = context.stop.cancelled() => return Err(End::Stopped),
            () = &mut over => return Ok(false),
            () = mailbox.woken() => {
                if mailbox.is_to_leave() {
                    return Err(End::Moved);
                }
                if mailbox.take_changed() && (!imposed || context.senders.has_connection(lease.sender_id)) {
                    return Ok(true);
                }
            }
        }
    }
}

/// Waits until the sender is to be given away or the process stops.
async fn ordered_to_end(context: &Context, mailbox: &Mailbox) -> End {
    loop {
        tokio::select! {
            () = context.stop.cancelled() => return End::Stopped,
            () = mailbox.woken() => if mailbox.is_to_leave() { return End::Moved },
        }
    }
}
