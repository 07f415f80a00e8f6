//! Why the world refuses a message.

use super::{ChatId, ChatKind, ContentKind};

/// Why a message was not taken. Each half of the simulator has its own words for these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No such user or chat, or the sender has never met it.
    #[error("chat not found")]
    ChatNotFound,
    /// The receiver has blocked the sender.
    #[error("blocked by the user")]
    Blocked,
    /// The receiver's account is deleted.
    #[error("user is deactivated")]
    Deactivated,
    /// A bot writes to a user who has not started it.
    #[error("the user has not started the bot")]
    NotStarted,
    /// A bot writes to a bot.
    #[error("bots cannot write to bots")]
    BotToBot,
    /// The sender was removed from the chat.
    #[error("kicked from the chat")]
    Kicked(ChatKind),
    /// The sender is not in the chat.
    #[error("not a member of the chat")]
    NotMember(ChatKind),
    /// The sender is in the chat but may not write there.
    #[error("no right to write")]
    NoRights(ChatKind, ContentKind),
    /// The sender may write there, but not send this.
    #[error("no right to send this kind of content")]
    NoContent(ContentKind),
    /// The chat was deleted.
    #[error("the chat was deleted")]
    Deleted(ChatKind),
    /// The forum has no such topic, or the chat is no forum.
    #[error("the topic was not found")]
    TopicNotFound,
    /// The topic is closed.
    #[error("the topic is closed")]
    TopicClosed,
    /// The basic group became this supergroup.
    #[error("the group was upgraded to a supergroup")]
    Migrated(ChatId),
    /// The message that is answered does not exist in that chat.
    #[error("the replied message was not found")]
    ReplyNotFound,
    /// Slow mode: seconds to wait.
    #[error("slow mode")]
    SlowMode(u32),
}
