//! The world that both halves of the simulator share: users, bots, chats, members and messages.
//!
//! - [`World`] is the handle: one lock around [`State`] and a broadcast of [`Event`]s.
//! - `users`, `chats`, `permissions`, `message`, `content` hold the records; `messages` is the store with its indexes, `files`
//!   that of files.
//! - `sending` has the rules of who may write to whom; `members` moves people in and out of chats, `changes` changes chats.
//! - `updates` is what waits for each bot.
//!
//! Nothing here knows of HTTP or MTProto. Chat ids are those of the Bot API, as [`ChatId`] says.

mod changes;
mod chats;
mod content;
mod error;
mod files;
mod ids;
mod members;
mod message;
mod messages;
mod permissions;
mod sending;
mod state;
#[cfg(test)]
mod tests;
mod updates;
mod users;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

pub use self::chats::{Chat, ChatKind, Member, MemberStatus, Topic};
pub use self::content::{ContentKind, Forward, Location, Media, MediaKind, Poll, Service};
pub use self::error::SendError;
pub use self::files::{BOT_DC, Content, File, FileId, Files, MAX_PHOTO, PhotoProblem, Receiver, ReferenceError};
pub use self::ids::{ChatId, Place, UserId, bare_chat_id, channel_chat_id, group_chat_id};
pub use self::message::{Body, Button, ButtonAction, Entity, EntityKind, LinkPreview, Message, Via, renew_albums};
pub use self::messages::{Filter, Messages};
pub use self::permissions::{Permissions, Rights};
pub use self::state::{NewChat, NewUser, State};
pub use self::updates::{Update, UpdateKind, UpdateQueue};
pub use self::users::{Bot, User};

/// How many events a slow subscriber may fall behind before it loses the oldest.
const EVENT_CAPACITY: usize = 16_384;

/// What happened in the world. Subscribers that fall behind lose events (`RecvError::Lagged`) and have to look the
/// state up again.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message arrived.
    Message(Arc<Message>),
    /// A message was edited; this is its new version.
    Edited(Arc<Message>),
    /// A message was deleted; this is its last version.
    Deleted(Arc<Message>),
    /// A member's status or rights in a chat changed.
    Member {
        /// The chat.
        chat: ChatId,
        /// Whose membership it is.
        user: UserId,
    },
    /// A message was pinned or is pinned no more; this is its new version.
    Pinned(Arc<Message>),
    /// A chat's title, picture or permissions changed, or it was deleted.
    Chat(ChatId),
    /// Users, bots or chats were created or changed.
    Changed,
}

/// The shared handle; clones see the same world.
#[derive(Debug, Clone)]
pub struct World {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    events: broadcast::Sender<Event>,
}

impl Default for World {
    fn default() -> Self {
        let (events, _) = broadcast::channel(EVENT_CAPACITY);
        Self { shared: Arc::new(Shared { state: Mutex::new(State::new(events.clone())), events }) }
    }
}

impl World {
    /// Locks the world. Never hold the guard across an `await`.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in one request must not take the simulator down: the state is consistent between statements.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }
}
