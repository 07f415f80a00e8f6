//! Changes as updates.

use std::sync::Arc;

use grammers_tl_types::{Serializable, enums, types};

use super::{View, is_channel};
use crate::mtproto::cloud::mailbox::{Change, Entry};
use crate::mtproto::wire::msg_id::unix_time;
use crate::world::{Message, Place, bare_chat_id};

impl View<'_> {
    /// A change as the update that tells of it; `None` if its message is gone since.
    pub fn update(&mut self, entry: &Entry) -> Option<enums::Update> {
        let Entry { pts, change } = entry;
        let (pts, pts_count) = (*pts, 1);
        Some(match *change {
            Change::New(place, id) => {
                let message = self.known(place, id)?;
                let in_channel = is_channel(self.world, place);
                let message = self.message(&message);
                if in_channel {
                    types::UpdateNewChannelMessage { message, pts, pts_count }.into()
                } else {
                    types::UpdateNewMessage { message, pts, pts_count }.into()
                }
            }
            Change::Edited(place, id) => {
                let message = self.known(place, id)?;
                let in_channel = is_channel(self.world, place);
                let message = self.message(&message);
                if in_channel {
                    types::UpdateEditChannelMessage { message, pts, pts_count }.into()
                } else {
                    types::UpdateEditMessage { message, pts, pts_count }.into()
                }
            }
            Change::Deleted(place, id) => match place {
                Place::Chat(chat) if is_channel(self.world, place) => {
                    let channel_id = bare_chat_id(chat);
                    types::UpdateDeleteChannelMessages { channel_id, messages: vec![id], pts, pts_count }.into()
                }
                _ => types::UpdateDeleteMessages { messages: vec![id], pts, pts_count }.into(),
            },
            Change::Pinned(place, id, pinned) => match place {
                Place::Chat(chat) if is_channel(self.world, place) => {
                    let channel_id = bare_chat_id(chat);
                    types::UpdatePinnedChannelMessages { pinned, channel_id, messages: vec![id], pts, pts_count }.into()
                }
                _ => {
                    let peer = self.peer(place);
                    types::UpdatePinnedMessages { pinned, peer, messages: vec![id], pts, pts_count }.into()
                }
            },
            Change::ReadInbox(place, max_id) => types::UpdateReadHistoryInbox {
                folder_id: None,
                peer: self.peer(place),
                top_msg_id: None,
                max_id,
                still_unread_count: self.unread(place, max_id),
                pts,
                pts_count,
            }
            .into(),
            Change::ReadOutbox(place, max_id) => {
                types::UpdateReadHistoryOutbox { peer: self.peer(place), max_id, pts, pts_count }.into()
            }
        })
    }

    /// What changed in a place's log after `pts`, as updates.
    pub fn updates_since(&mut self, place: Place, pts: i32) -> Vec<enums::Update> {
        let log = match place {
            Place::Chat(id) if is_channel(self.world, place) => self.cloud.channels.get(&id),
            _ => self.account().map(|account| &account.mailbox),
        };
        let entries = log.and_then(|log| log.since(pts, usize::MAX)).unwrap_or_default();
        entries.iter().filter_map(|entry| self.update(entry)).collect()
    }

    /// The message of a place, if it is still there.
    pub fn known(&self, place: Place, id: i32) -> Option<Arc<Message>> {
        self.world.messages().get(place, id).cloned()
    }

    /// How many messages of others a place has after `read`.
    pub fn unread(&self, place: Place, read: i32) -> i32 {
        let newer = self.world.messages().history(place).take_while(|message| message.id > read);
        let unread = newer.filter(|message| message.from != self.viewer).count();
        i32::try_from(unread).unwrap_or(i32::MAX)
    }

    /// Updates with everything that they mention.
    pub fn wrap(&self, updates: Vec<enums::Update>) -> enums::Updates {
        let (users, chats) = self.mentioned();
        // Sequence 0: these updates need no order among themselves beyond `pts`.
        types::Updates { updates, users, chats, date: unix_time(), seq: 0 }.into()
    }

    /// As [`View::wrap`], ready to be pushed.
    pub fn push(&self, updates: Vec<enums::Update>) -> Arc<[u8]> {
        self.wrap(updates).to_bytes().into()
    }
}
