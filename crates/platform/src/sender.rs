//! What can send: an account, a bot, a page. One per row that a person connected.

use std::{future::Future, pin::Pin};

use uuid::Uuid;

use crate::{ChangeSent, ChatInfo, ChatRef, Message, Outcome, Refusal};

/// A boxed future, so that senders of all platforms stand behind one pointer.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One message on its way.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message.
    pub message_id: Uuid,
    /// Numeric destination.
    pub chat_id: i64,
    /// What to send.
    pub message: Message,
    /// Created with the message; every retry carries the same one, and platforms that can deduplicate do so by it.
    pub random_id: i64,
}

impl Delivery {
    /// The random id of a further part of the message, counted from 0, which is the message's own.
    pub fn random_id_of(&self, part: usize) -> i64 {
        random_id_of(self.random_id, part)
    }
}

/// The random id of a part, from that of the message.
pub fn random_id_of(random_id: i64, part: usize) -> i64 {
    random_id.wrapping_add_unsigned(part as u64)
}

/// A connected sender.
///
/// # Contract
/// `send` ends with [`Outcome::Refused`] only where it is certain that nothing was sent, never retries by itself, and ends within a
/// bounded time. Dropping its future in the middle leaves the outcome unknown.
pub trait Sender: Send + Sync {
    /// The numeric id of a name (without `@`).
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<i64, Refusal>>;

    /// What a chat is, and what this sender may do there, asked of the platform now. Sends nothing.
    fn chat<'a>(&'a self, chat: &'a ChatRef) -> BoxFuture<'a, Result<ChatInfo, Refusal>>;

    /// Comes into a chat that it is not in yet, as far as it can do so by itself. It is in there already is a success.
    fn join<'a>(&'a self, chat: &'a ChatRef) -> BoxFuture<'a, Result<(), Refusal>>;

    /// Whether the platform answers this sender, asked in a way that changes nothing there. Asked before the first message after an outage.
    fn answers(&self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }

    /// Sends one message.
    fn send<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Outcome>;

    /// Changes a message that this sender has sent. Doing it again does no harm.
    fn change<'a>(&'a self, change: &'a ChangeSent) -> BoxFuture<'a, Result<(), Refusal>>;
}
