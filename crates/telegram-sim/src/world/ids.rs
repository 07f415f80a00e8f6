//! Identifiers, and where a message lives.

/// A user's or bot's id: positive.
pub type UserId = i64;

/// A chat's id as the Bot API writes it: a basic group with bare id `n` is `-n`, a supergroup or channel with bare id
/// `n` is `-1000000000000 - n`. A positive id names the private chat with that user.
pub type ChatId = i64;

const CHANNEL_BASE: i64 = -1_000_000_000_000;

/// The chat id of the basic group with this bare (MTProto) id.
pub fn group_chat_id(bare: i64) -> ChatId {
    -bare
}

/// The chat id of the supergroup or channel with this bare (MTProto) id.
pub fn channel_chat_id(bare: i64) -> ChatId {
    CHANNEL_BASE - bare
}

/// The bare (MTProto) id inside a chat id.
pub fn bare_chat_id(id: ChatId) -> i64 {
    if id < CHANNEL_BASE { CHANNEL_BASE - id } else { id.abs() }
}

/// Where a message lives: between two users, or in a chat. The two sides of a private chat see the same message under
/// the same message id (real Telegram numbers them apart).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Between two users; the smaller id first. Both are equal in "Saved messages".
    Private(UserId, UserId),
    /// A group, supergroup or channel.
    Chat(ChatId),
}

impl Place {
    /// The place that `viewer` calls `chat`.
    pub fn seen_by(viewer: UserId, chat: ChatId) -> Self {
        if chat > 0 { Self::Private(viewer.min(chat), viewer.max(chat)) } else { Self::Chat(chat) }
    }

    /// What `viewer` calls this place.
    pub fn chat_for(self, viewer: UserId) -> ChatId {
        match self {
            Self::Private(low, high) if viewer == low => high,
            Self::Private(low, _) => low,
            Self::Chat(chat) => chat,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_ids_round_trip() {
        assert_eq!(group_chat_id(42), -42);
        assert_eq!(channel_chat_id(42), -1_000_000_000_042);
        assert_eq!(bare_chat_id(-42), 42);
        assert_eq!(bare_chat_id(-1_000_000_000_042), 42);
    }

    #[test]
    fn both_sides_share_a_private_place() {
        assert_eq!(Place::seen_by(7, 3), Place::seen_by(3, 7));
        assert_eq!(Place::seen_by(7, 3).chat_for(7), 3);
        assert_eq!(Place::seen_by(7, 3).chat_for(3), 7);
        assert_eq!(Place::seen_by(7, 7).chat_for(7), 7);
    }
}
