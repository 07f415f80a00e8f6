//! What happens in the chats of an account, in order and without gaps.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use grammers_tl_types as tl;
use platform::Text;
use tokio::time::Instant;

use super::dialogs::peer_id;
use super::stream::Stream;
use super::{Account, entities, learn};
use crate::mtproto::peer::PeerId;
use crate::mtproto::problem::Problem;
use crate::mtproto::session::Session;
use crate::mtproto::session_data::StreamPosition;

/// First and longest wait after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message arrived, or one of this account was sent from anywhere.
    NewMessage(Message),
    /// A message was changed.
    Edited(Message),
    /// Messages were deleted.
    Deleted {
        /// The channel or supergroup; `None` for private chats and basic groups, whose ids are unique together.
        chat: Option<PeerId>,
        /// Their ids.
        message_ids: Vec<i64>,
    },
    /// Telegram gave an id to a message that this account sent with `random_id`.
    Sent {
        /// The name that the sender gave to the message.
        random_id: i64,
        /// The id that Telegram gave to it.
        message_id: i64,
    },
    /// The account came into a group or channel, or is no longer in it.
    Membership {
        /// Which.
        chat: PeerId,
        /// Is it in there now?
        member: bool,
    },
    /// A group or channel is another one now: it has another title or picture.
    ChatChanged {
        /// Which.
        chat: PeerId,
    },
    /// A group became a supergroup.
    Migrated {
        /// The group.
        from: PeerId,
        /// The supergroup as which it goes on.
        to: PeerId,
    },
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it was posted; for a private chat, the other person.
    pub chat: PeerId,
    /// Its id within the chat.
    pub id: i64,
    /// Who posted it, when that is not the chat itself.
    pub sender: Option<PeerId>,
    /// Did this account post it?
    pub outgoing: bool,
    /// When it was posted.
    pub date: DateTime<Utc>,
    /// When it was last changed.
    pub edited_at: Option<DateTime<Utc>>,
    /// The text, or the caption of what is attached.
    pub text: Text,
    /// Id of the message that it answers.
    pub reply_to: Option<i64>,
    /// Does it carry anything but text and a link preview?
    pub has_media: bool,
}

/// What happened, and how far that brings the streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What happened, in order; may be empty.
    pub events: Vec<Event>,
    /// The streams that moved. Stored together with the events, and given to [`UpdateState::take_up`] before the next
    /// connecting, they make each event come once, whatever happens to the process.
    ///
    /// [`UpdateState::take_up`]: crate::mtproto::UpdateState::take_up
    pub moved: Vec<StreamPosition>,
}

/// The stream of events of an account. Poll it all the time: it is also what reconnects after a break.
///
/// The position up to which events were handled is kept in the session: a batch counts as handled when the next one is
/// asked for. What happened while the account was not connected comes first after a restart.
pub struct Updates {
    stream: Stream,
    session: Arc<Session>,
    myself: i64,
    failures: u32,
    not_before: Option<Instant>,
}

impl Account {
    /// The stream of events. There is one: whoever asks second gets none.
    pub async fn updates(&mut self) -> Option<Updates> {
        let updates = self.updates.take()?;
        // Known since the login or the connecting, unless the answer was lost then. If it is lost again, the stream
        // begins with the first update that arrives.
        let _ = self.connection.mark_position().await;
        let stream = Stream::new(Arc::clone(self.connection.lines()), updates);
        Some(Updates {
            stream,
            session: Arc::clone(self.session()),
            myself: self.user().id,
            failures: 0,
            not_before: None,
        })
    }
}

impl Updates {
    /// Waits for what happens next. Can be dropped and called again at any time.
    ///
    /// After a problem call it again: it waits by itself before it tries anew. Stop when [`Problem::is_dead`].
    pub async fn next(&mut self) -> Result<Batch, Problem> {
        self.session.confirm_received();
        if let Some(until) = self.not_before {
            tokio::time::sleep_until(until).await;
        }
        match self.stream.next().await {
            Ok((updates, users, chats)) => {
                self.failures = 0;
                self.not_before = None;
                learn(&self.session, &users, &chats);
                let context = Context { myself: self.myself, chats: &chats };
                let events = updates.into_iter().filter_map(|(update, _)| context.event(update)).collect();
                self.stream.note();
                Ok(Batch { events, moved: self.session.received() })
            }
            Err(error) => {
                let wait = BACKOFF.0.saturating_mul(1 << self.failures.min(5)).min(BACKOFF.1);
                self.failures += 1;
                self.not_before = Some(Instant::now() + wait);
                Err(error.into())
            }
        }
    }
}

struct Context<'a> {
    myself: i64,
    chats: &'a [tl::enums::Chat],
}

impl Context<'_> {
    fn event(&self, update: tl::enums::Update) -> Option<Event> {
        use tl::enums::Update;
        match update {
            Update::NewMessage(new) => self.new_message(new.message),
            Update::NewChannelMessage(new) => self.new_message(new.message),
            Update::EditMessage(edit) => self.message(edit.message).map(Event::Edited),
            Update::EditChannelMessage(edit) => self.message(edit.message).map(Event::Edited),
            Update::DeleteMessages(deleted) => deletion(None, &deleted.messages),
            Update::DeleteChannelMessages(deleted) => {
                deletion(Some(PeerId::channel(deleted.channel_id)?), &deleted.messages)
            }
            Update::MessageId(sent) => Some(Event::Sent { random_id: sent.random_id, message_id: sent.id.into() }),
            Update::Channel(channel) => self.channel_changed(channel.channel_id),
            Update::ChatParticipantDelete(gone) if gone.user_id == self.myself => {
                Some(Event::Membership { chat: PeerId::group(gone.chat_id)?, member: false })
            }
            Update::ChatParticipantAdd(added) if added.user_id == self.myself => {
                Some(Event::Membership { chat: PeerId::group(added.chat_id)?, member: true })
            }
            _ => None,
        }
    }

    fn new_message(&self, message: tl::enums::Message) -> Option<Event> {
        match message {
            tl::enums::Message::Service(service) => self.service(&service),
            message => self.message(message).map(Event::NewMessage),
        }
    }

    fn message(&self, message: tl::enums::Message) -> Option<Message> {
        let tl::enums::Message::Message(message) = message else { return None };
        let chat = peer_id(&message.peer_id)?;
        let from = message.from_id.as_ref().and_then(peer_id);
        let sender = match (from, message.out, chat.get() > 0) {
            (Some(from), ..) => Some(from),
            (None, true, _) if !message.post => PeerId::user(self.myself),
            (None, false, true) => Some(chat),
            _ => None,
        };
        let reply_to = match &message.reply_to {
            Some(tl::enums::MessageReplyHeader::Header(header)) => header.reply_to_msg_id.map(i64::from),
            _ => None,
        };
        let has_media = message.media.as_ref().is_some_and(|media| {
            !matches!(media, tl::enums::MessageMedia::Empty | tl::enums::MessageMedia::WebPage(_))
        });
        Some(Message {
            chat,
            id: message.id.into(),
            sender,
            outgoing: message.out,
            date: DateTime::from_timestamp(message.date.into(), 0)?,
            edited_at: message.edit_date.and_then(|date| DateTime::from_timestamp(date.into(), 0)),
            text: Text {
                text: message.message,
                entities: entities::from_tl(message.entities.as_deref().unwrap_or_default()),
            },
            reply_to,
            has_media,
        })
    }

    fn service(&self, message: &tl::types::MessageService) -> Option<Event> {
        use tl::enums::MessageAction;
        let chat = peer_id(&message.peer_id)?;
        let is_ours = message.out || message.from_id.as_ref().and_then(peer_id) == PeerId::user(self.myself);
        let member = match &message.action {
            MessageAction::ChatMigrateTo(to) => {
                return Some(Event::Migrated { from: chat, to: PeerId::channel(to.channel_id)? });
            }
            MessageAction::ChatEditTitle(_) | MessageAction::ChatEditPhoto(_) | MessageAction::ChatDeletePhoto => {
                return Some(Event::ChatChanged { chat });
            }
            MessageAction::ChatAddUser(added) if added.users.contains(&self.myself) => true,
            MessageAction::ChatDeleteUser(gone) if gone.user_id == self.myself => false,
            MessageAction::ChatCreate(_) | MessageAction::ChannelCreate(_) => true,
            MessageAction::ChatJoinedByLink(_) | MessageAction::ChatJoinedByRequest if is_ours => true,
            _ => return None,
        };
        Some(Event::Membership { chat, member })
    }

    fn channel_changed(&self, channel_id: i64) -> Option<Event> {
        let member = self.chats.iter().find(|chat| chat.id() == channel_id).and_then(|chat| match chat {
            tl::enums::Chat::Channel(channel) => Some(!channel.left),
            tl::enums::Chat::ChannelForbidden(_) => Some(false),
            _ => None,
        })?;
        Some(Event::Membership { chat: PeerId::channel(channel_id)?, member })
    }
}

/// The library tells of the deletions that this account made itself without naming the messages.
fn deletion(chat: Option<PeerId>, ids: &[i32]) -> Option<Event> {
    let message_ids: Vec<i64> = ids.iter().map(|id| i64::from(*id)).collect();
    (!message_ids.is_empty()).then_some(Event::Deleted { chat, message_ids })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: i64 = 42;

    fn service(peer: tl::enums::Peer, from: i64, action: tl::enums::MessageAction) -> tl::enums::Update {
        let message = tl::types::MessageService {
            out: from == ME,
            mentioned: false,
            media_unread: false,
            reactions_are_possible: false,
            silent: false,
            post: false,
            legacy: false,
            id: 1,
            from_id: Some(tl::types::PeerUser { user_id: from }.into()),
            peer_id: peer,
            saved_peer_id: None,
            reply_to: None,
            date: 0,
            action,
            reactions: None,
            ttl_period: None,
        };
        tl::types::UpdateNewMessage { message: message.into(), pts: 1, pts_count: 1 }.into()
    }

    fn event(update: tl::enums::Update, chats: &[tl::enums::Chat]) -> Option<Event> {
        Context { myself: ME, chats }.event(update)
    }

    fn in_group(from: i64, action: impl Into<tl::enums::MessageAction>) -> Option<Event> {
        event(service(tl::types::PeerChat { chat_id: 5 }.into(), from, action.into()), &[])
    }

    fn membership(member: bool) -> Event {
        Event::Membership { chat: PeerId::group(5).unwrap(), member }
    }

    #[test]
    fn coming_and_going_of_the_account_is_membership() {
        let added = |user| tl::types::MessageActionChatAddUser { users: vec![7, user] };
        let removed = |user_id| tl::types::MessageActionChatDeleteUser { user_id };
        let by_link = tl::types::MessageActionChatJoinedByLink { inviter_id: 7 };
        assert_eq!(in_group(7, added(ME)), Some(membership(true)));
        assert_eq!(in_group(7, added(8)), None);
        assert_eq!(in_group(7, removed(ME)), Some(membership(false)));
        assert_eq!(in_group(7, removed(8)), None);
        assert_eq!(in_group(ME, by_link.clone()), Some(membership(true)));
        assert_eq!(in_group(8, by_link), None);
    }

    #[test]
    fn a_new_title_is_a_change_of_the_chat() {
        let renamed = in_group(7, tl::types::MessageActionChatEditTitle { title: "New".to_owned() });
        assert_eq!(renamed, Some(Event::ChatChanged { chat: PeerId::group(5).unwrap() }));
    }

    #[test]
    fn a_group_that_becomes_a_supergroup_is_told() {
        let migrated = in_group(7, tl::types::MessageActionChatMigrateTo { channel_id: 9 });
        let (from, to) = (PeerId::group(5).unwrap(), PeerId::channel(9).unwrap());
        assert_eq!(migrated, Some(Event::Migrated { from, to }));
    }

    #[test]
    fn a_channel_that_shuts_the_account_out_is_told() {
        let update = || tl::enums::Update::from(tl::types::UpdateChannel { channel_id: 9 });
        let forbidden = tl::types::ChannelForbidden {
            broadcast: true,
            megagroup: false,
            monoforum: false,
            id: 9,
            access_hash: 1,
            title: String::new(),
            until_date: None,
        };
        let chat = PeerId::channel(9).unwrap();
        assert_eq!(event(update(), &[forbidden.into()]), Some(Event::Membership { chat, member: false }));
        assert_eq!(event(update(), &[]), None);
    }

    #[test]
    fn deletions_without_names_are_left_out() {
        let own = tl::types::UpdateDeleteMessages { messages: Vec::new(), pts: 1, pts_count: 1 };
        assert_eq!(event(own.into(), &[]), None);
    }
}
