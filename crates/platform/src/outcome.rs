//! How one attempt to send a message ended, and what the worker does next.

use std::time::Duration;

/// The end of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The platform took the message and gave it these ids (several for albums and splits).
    Sent {
        /// Ids of the message at the platform, in the order of its parts.
        platform_message_ids: Vec<i64>,
    },
    /// It is certain that nothing was sent.
    Refused(Refusal),
    /// No answer came, but the platform knows a repeated message by its random id: the same sender may try again.
    Unanswered {
        /// What happened, without secrets.
        reason: String,
    },
    /// Nobody can tell: the bytes left, no proof came back. Never resent by itself.
    Unknown {
        /// What happened, without secrets; shown to the owner.
        reason: String,
    },
}

/// A proof that nothing was sent, with the reason and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code of the failure, such as `chat_not_found`: part of the public API.
    pub code: &'static str,
    /// The platform's own words, without secrets.
    pub description: String,
    /// What to do about it.
    pub verdict: Verdict,
}

/// What follows from a refusal. An error of a worker carries its decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Try again, not before this time, and hold this much back meanwhile. The platform imposed the wait.
    Wait {
        /// How long to wait.
        after: Duration,
        /// What waits.
        hold: Hold,
    },
    /// Try again by the retry policy (backoff with jitter, at most so many attempts): the platform could not be reached.
    Retry,
    /// The message can never be sent: fail it for good.
    Fail,
    /// This chat does not let this sender post; another sender may be allowed to. A message that has no other sender fails for good.
    Barred {
        /// As far as this sender can tell, the chat does not exist at all.
        gone: bool,
    },
    /// The sender itself is dead (token revoked, session ended): mark it; the message stays queued until the sender is
    /// repaired, or its owner cancels it.
    SenderDead,
    /// The chat lives on under another id: move it and everything queued for it, and try again at once.
    Migrated {
        /// The new chat id.
        chat_id: i64,
    },
}

/// What a wait holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Only the destination of the message.
    Chat,
    /// Everything of the sender.
    Sender,
}
