//! How the router speaks to an actor.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// However often it is written to before the actor listens, the actor looks once.
#[derive(Default)]
pub struct Mailbox {
    changed: AtomicBool,
    leave: AtomicBool,
    /// Chats that live on under another id: from and to.
    moved: Mutex<Vec<(i64, i64)>>,
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

    /// A chat lives on under another id.
    pub fn moved(&self, from: i64, to: i64) {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).push((from, to));
        self.wake.notify_one();
    }

    /// The chats that live on under another id since the last call.
    pub fn take_moved(&self) -> Vec<(i64, i64)> {
        std::mem::take(&mut *self.moved.lock().unwrap_or_else(PoisonError::into_inner))
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
