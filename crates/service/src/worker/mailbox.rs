//! How the router speaks to an actor.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// However often it is written to before the actor listens, the actor looks once.
#[derive(Default)]
pub struct Mailbox {
    changed: AtomicBool,
    leave: AtomicBool,
    wake: Notify,
}

impl Mailbox {
    /// There is work.
    pub fn work(&self) {
        self.wake.notify_one();
    }

    /// The sender's credentials or state changed.
    pub fn changed(&self) {
        self.changed.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// The sender is to be given to another worker. False when that was said before.
    pub fn leave(&self) -> bool {
        let first = !self.leave.swap(true, Ordering::AcqRel);
        self.wake.notify_one();
        first
    }

    /// Waits until something was written.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Whether credentials or state changed since the last call.
    pub fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::AcqRel)
    }

    /// Whether the sender is to be given away.
    pub fn is_to_leave(&self) -> bool {
        self.leave.load(Ordering::Acquire)
    }
}
