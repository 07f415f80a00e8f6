//! The world's records as objects of the API, as one account sees them.

mod chats;
mod dialogs;
mod entities;
mod media;
mod messages;
mod updates;
mod users;

use std::collections::BTreeSet;

use grammers_tl_types::{Deserializable, enums, types};

pub use self::entities::{from_api as entities_from_api, to_api as entities_to_api};
use super::cloud::Cloud;
use super::cloud::accounts::Account;
use crate::world::{ChatId, ChatKind, Place, State, UserId, bare_chat_id};

/// What one account sees. It collects the users and chats that rendered objects refer to, because answers have to
/// bring them along.
pub struct View<'a> {
    pub world: &'a State,
    pub cloud: &'a Cloud,
    pub viewer: UserId,
    users: BTreeSet<UserId>,
    chats: BTreeSet<ChatId>,
}

impl<'a> View<'a> {
    pub fn new(world: &'a State, cloud: &'a Cloud, viewer: UserId) -> Self {
        Self { world, cloud, viewer, users: BTreeSet::new(), chats: BTreeSet::new() }
    }

    /// The viewer's account.
    pub fn account(&self) -> Option<&'a Account> {
        self.cloud.accounts.get(&self.viewer)
    }

    /// Brings a user or chat along (positive: a user).
    pub fn mention(&mut self, id: i64) {
        if id > 0 {
            self.users.insert(id);
        } else {
            self.chats.insert(id);
        }
    }

    /// What the viewer calls a place; it is brought along.
    pub fn peer(&mut self, place: Place) -> enums::Peer {
        let id = place.chat_for(self.viewer);
        self.mention(id);
        peer_of(self.world, id)
    }

    /// Everything that was mentioned.
    pub fn mentioned(&self) -> (Vec<enums::User>, Vec<enums::Chat>) {
        let users = self.users.iter().filter_map(|id| self.user(*id)).collect();
        let chats = self.chats.iter().filter_map(|id| self.chat(*id)).collect();
        (users, chats)
    }
}

/// The API's peer for an id of the world.
pub fn peer_of(world: &State, id: i64) -> enums::Peer {
    if id > 0 {
        return types::PeerUser { user_id: id }.into();
    }
    let bare = bare_chat_id(id);
    match world.chat(id).map(|chat| chat.kind) {
        Some(ChatKind::Group) => types::PeerChat { chat_id: bare }.into(),
        _ => types::PeerChannel { channel_id: bare }.into(),
    }
}

/// Whether a place is a supergroup or channel, which number their own messages and updates.
pub fn is_channel(world: &State, place: Place) -> bool {
    matches!(place, Place::Chat(id) if world.chat(id).is_some_and(|chat| chat.kind != ChatKind::Group))
}

/// An object from the bytes of its required fields: all flags are off, so all that is optional is absent.
pub fn sparse<T: Deserializable>(required: &[Vec<u8>]) -> T {
    T::from_bytes(&required.concat()).expect("the required fields are those of the definition")
}

/// A field of flags, all off.
fn no_flags() -> Vec<u8> {
    vec![0; 4]
}
