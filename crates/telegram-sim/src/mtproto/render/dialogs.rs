//! The list of chats.

use grammers_tl_types::{enums, types};

use super::users::notify_settings;
use super::{View, is_channel};
use crate::world::Place;

impl View<'_> {
    /// The places that the viewer has, newest first: its private chats, and the chats that it is in.
    pub fn places(&self) -> Vec<Place> {
        let private = self.account().into_iter().flat_map(|account| account.places.iter().copied());
        let joined = self
            .world
            .chats()
            .filter(|chat| chat.member(self.viewer).is_some() && chat.migrated_to.is_none() && !chat.deleted);
        let joined = joined.map(|chat| Place::Chat(chat.id));
        let mut places: Vec<_> = private.chain(joined).map(|place| (self.last_change(place), place)).collect();
        places.sort_by(|a, b| b.cmp(a));
        places.into_iter().map(|(_, place)| place).collect()
    }

    /// When something last happened in a place, in unix seconds.
    pub fn last_change(&self, place: Place) -> i64 {
        let created = match place {
            Place::Chat(id) => self.world.chat(id).map_or(0, |chat| chat.created),
            Place::Private(..) => 0,
        };
        self.world.messages().history(place).next().map_or(created, |message| message.date)
    }

    /// One line of the list.
    pub fn dialog(&mut self, place: Place) -> enums::Dialog {
        let top = self.world.messages().history(place).next().map_or(0, |message| message.id);
        let read = self.account().and_then(|account| account.read.get(&place).copied()).unwrap_or(0);
        let pts = match place {
            Place::Chat(id) if is_channel(self.world, place) => {
                Some(self.cloud.channels.get(&id).map_or(1, |log| log.pts))
            }
            _ => None,
        };
        types::Dialog {
            pinned: false,
            unread_mark: false,
            view_forum_as_messages: false,
            peer: self.peer(place),
            top_message: top,
            read_inbox_max_id: read,
            read_outbox_max_id: top,
            unread_count: self.unread(place, read),
            unread_mentions_count: 0,
            unread_reactions_count: 0,
            unread_poll_votes_count: 0,
            notify_settings: notify_settings(),
            pts,
            draft: None,
            folder_id: None,
            ttl_period: None,
        }
        .into()
    }
}
