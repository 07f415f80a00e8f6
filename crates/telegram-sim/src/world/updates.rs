//! What waits for a bot: its queue of updates.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::{ChatId, Member, Message, UserId};

/// Older updates are dropped, as Telegram does after 24 hours (seconds).
const LIFETIME: i64 = 24 * 3600;

/// Kinds that a bot is told of only if it names them.
const NOT_BY_DEFAULT: [&str; 3] = ["chat_member", "message_reaction", "message_reaction_count"];

/// Updates of one bot that were not confirmed yet, oldest first.
#[derive(Debug)]
pub struct UpdateQueue {
    waiting: VecDeque<Update>,
    next_id: i32,
    /// Names of the kinds to keep; empty means the usual ones.
    allowed: Vec<String>,
    arrived: watch::Sender<()>,
}

/// One update.
#[derive(Debug, Clone)]
pub struct Update {
    /// Consecutive within the bot.
    pub id: i32,
    /// Unix seconds.
    pub date: i64,
    /// What happened.
    pub kind: UpdateKind,
}

/// What happened, as far as bots are told.
#[derive(Debug, Clone)]
pub enum UpdateKind {
    /// A new message in a private chat, group or supergroup.
    Message(Arc<Message>),
    /// An edited message there.
    EditedMessage(Arc<Message>),
    /// A new post in a channel.
    ChannelPost(Arc<Message>),
    /// An edited post in a channel.
    EditedChannelPost(Arc<Message>),
    /// Someone pressed an inline button with data.
    CallbackQuery {
        /// Id to answer with.
        id: String,
        /// Who pressed it.
        from: UserId,
        /// The message with the button.
        message: Arc<Message>,
        /// The button's data.
        data: String,
    },
    /// The bot's own standing in a chat changed.
    MyChatMember {
        /// The chat as the bot sees it.
        chat: ChatId,
        /// Who changed it.
        from: UserId,
        /// Before.
        old: Member,
        /// After.
        new: Member,
    },
    /// Somebody else's standing in a chat changed, of which the bot is an administrator.
    ChatMember {
        /// The chat.
        chat: ChatId,
        /// Whose.
        user: UserId,
        /// Who changed it.
        from: UserId,
        /// Before.
        old: Member,
        /// After.
        new: Member,
    },
    /// A group became a supergroup, told in the group.
    MigratedTo {
        /// The group.
        group: ChatId,
        /// The supergroup.
        supergroup: ChatId,
        /// Id of the notice.
        message_id: i32,
    },
    /// The same, told in the supergroup.
    MigratedFrom {
        /// The supergroup.
        supergroup: ChatId,
        /// The group.
        group: ChatId,
        /// Id of the notice.
        message_id: i32,
    },
    /// Anything else: a test says what it looks like.
    Other {
        /// Its name.
        name: String,
        /// Its JSON.
        content: Value,
    },
}

impl UpdateKind {
    /// The Bot API's name of it.
    pub fn name(&self) -> &str {
        match self {
            Self::Message(_) | Self::MigratedTo { .. } | Self::MigratedFrom { .. } => "message",
            Self::EditedMessage(_) => "edited_message",
            Self::ChannelPost(_) => "channel_post",
            Self::EditedChannelPost(_) => "edited_channel_post",
            Self::CallbackQuery { .. } => "callback_query",
            Self::MyChatMember { .. } => "my_chat_member",
            Self::ChatMember { .. } => "chat_member",
            Self::Other { name, .. } => name,
        }
    }
}

impl UpdateQueue {
    /// An empty queue whose first update gets this id.
    pub fn new(first_id: i32) -> Self {
        Self { waiting: VecDeque::new(), next_id: first_id, allowed: Vec::new(), arrived: watch::Sender::new(()) }
    }

    /// Becomes changed when an update arrives. Subscribe before looking, and nothing is missed.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.arrived.subscribe()
    }

    /// Restricts what is queued from now on; empty means the usual kinds.
    pub fn set_allowed(&mut self, kinds: Vec<String>) {
        self.allowed = kinds;
    }

    /// The restriction; empty means the usual kinds.
    pub fn allowed(&self) -> &[String] {
        &self.allowed
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Forgets what nobody has fetched in time.
    pub fn forget_old(&mut self, now: i64) {
        while self.waiting.front().is_some_and(|update| update.date + LIFETIME < now) {
            self.waiting.pop_front();
        }
    }

    /// The oldest waiting updates, at most `limit`.
    pub fn peek(&self, limit: usize) -> Vec<Update> {
        self.waiting.iter().take(limit).cloned().collect()
    }

    /// Forgets all updates with an id below `offset`; a negative one keeps that many of the newest.
    pub fn confirm(&mut self, offset: i64) {
        if offset < 0 {
            let keep = usize::try_from(-offset).unwrap_or(usize::MAX);
            self.waiting.drain(..self.waiting.len().saturating_sub(keep));
        } else {
            while self.waiting.front().is_some_and(|update| i64::from(update.id) < offset) {
                self.waiting.pop_front();
            }
        }
    }

    /// Forgets all updates.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn push(&mut self, kind: UpdateKind) {
        let named = self.allowed.iter().any(|name| name == kind.name());
        let usual = self.allowed.is_empty() && !NOT_BY_DEFAULT.contains(&kind.name());
        if !named && !usual {
            return;
        }
        let date = super::state::now();
        self.forget_old(date);
        self.waiting.push_back(Update { id: self.next_id, date, kind });
        self.next_id = self.next_id.wrapping_add(1).max(1);
        self.arrived.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::MemberStatus;

    fn member(chat: ChatId) -> UpdateKind {
        UpdateKind::MyChatMember {
            chat,
            from: 1,
            old: Member::new(MemberStatus::Left),
            new: Member::new(MemberStatus::Member),
        }
    }

    fn ids(queue: &UpdateQueue) -> Vec<i32> {
        queue.peek(100).iter().map(|update| update.id).collect()
    }

    #[test]
    fn confirms_by_offset() {
        let mut queue = UpdateQueue::new(10);
        for chat in 1..=4 {
            queue.push(member(chat));
        }
        queue.confirm(0);
        assert_eq!(ids(&queue), [10, 11, 12, 13]);
        queue.confirm(11);
        assert_eq!(ids(&queue), [11, 12, 13]);
        queue.confirm(-1);
        assert_eq!(ids(&queue), [13]);
        queue.confirm(14);
        assert!(queue.is_empty());
    }

    #[test]
    fn keeps_only_allowed_kinds() {
        let mut queue = UpdateQueue::new(1);
        queue.set_allowed(vec!["message".to_owned()]);
        queue.push(member(1));
        assert!(queue.is_empty());
        queue.set_allowed(Vec::new());
        queue.push(member(1));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn some_kinds_must_be_named() {
        let other = || UpdateKind::ChatMember {
            chat: 1,
            user: 2,
            from: 3,
            old: Member::new(MemberStatus::Left),
            new: Member::new(MemberStatus::Member),
        };
        let mut queue = UpdateQueue::new(1);
        queue.push(other());
        assert!(queue.is_empty());
        queue.set_allowed(vec!["chat_member".to_owned()]);
        queue.push(other());
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn forgets_after_a_day() {
        let mut queue = UpdateQueue::new(1);
        queue.push(member(1));
        let now = super::super::state::now();
        queue.forget_old(now + LIFETIME - 60);
        assert_eq!(queue.len(), 1);
        queue.forget_old(now + LIFETIME + 60);
        assert!(queue.is_empty());
    }

    #[test]
    fn wakes_whoever_subscribed_before() {
        let mut queue = UpdateQueue::new(1);
        let waiting = queue.subscribe();
        assert!(!waiting.has_changed().unwrap());
        queue.push(member(1));
        assert!(waiting.has_changed().unwrap());
    }
}
