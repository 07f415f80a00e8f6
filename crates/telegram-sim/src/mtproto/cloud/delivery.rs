//! From events of the world to mailboxes and open connections.

use std::collections::BTreeSet;
use std::sync::Arc;

use grammers_tl_types::{Serializable, enums, types};
use tokio::sync::broadcast::error::TryRecvError;

use super::Cloud;
use super::mailbox::{Change, Entry};
use crate::mtproto::connection::Command;
use crate::mtproto::render::{View, is_channel};
use crate::mtproto::wire::msg_id::unix_time;
use crate::world::{ChatId, Event, Message, Place, State, UserId, bare_chat_id};

impl Cloud {
    /// Brings everything that happened in the world to the accounts that it concerns. Open connections are told,
    /// except the one of `origin`, which made it happen and has its answer.
    ///
    /// The caller holds the world's lock, so what happens is delivered in order.
    pub fn sync(&mut self, world: &State, origin: Option<i64>) {
        loop {
            match self.events.try_recv() {
                Ok(event) => self.apply(world, &event, origin),
                Err(TryRecvError::Lagged(lost)) => tracing::error!(lost, "updates were lost: too many at once"),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn apply(&mut self, world: &State, event: &Event, origin: Option<i64>) {
        match event {
            Event::Message(message) => self.deliver(world, message, Change::New(message.place, message.id), origin),
            Event::Edited(message) => self.deliver(world, message, Change::Edited(message.place, message.id), origin),
            Event::Deleted(message) => self.deliver(world, message, Change::Deleted(message.place, message.id), origin),
            Event::Pinned(message) => {
                let change = Change::Pinned(message.place, message.id, message.pinned);
                self.deliver(world, message, change, origin);
            }
            Event::Chat(chat) => {
                for user in self.accounts_in(world, *chat) {
                    self.tell_member(world, *chat, user, origin);
                }
            }
            Event::Member { chat, user } => self.tell_member(world, *chat, *user, origin),
            Event::Changed => {}
        }
    }

    fn deliver(&mut self, world: &State, message: &Message, change: Change, origin: Option<i64>) {
        match message.place {
            Place::Chat(chat) if is_channel(world, message.place) => {
                let entry = self.channels.entry(chat).or_default().push(change);
                for user in self.accounts_in(world, chat) {
                    self.tell(world, user, &entry, origin);
                }
            }
            Place::Chat(chat) => {
                for user in self.accounts_in(world, chat) {
                    self.record(world, user, change.clone(), origin);
                }
            }
            Place::Private(low, high) => {
                for user in BTreeSet::from([low, high]) {
                    if let Some(account) = self.accounts.get_mut(&user) {
                        account.places.insert(message.place);
                    }
                    self.record(world, user, change.clone(), origin);
                }
            }
        }
    }

    fn accounts_in(&self, world: &State, chat: ChatId) -> Vec<UserId> {
        let members = world.chat(chat).into_iter().flat_map(|chat| &chat.members);
        let inside = members.filter(|(user, member)| member.status.is_inside() && self.accounts.contains_key(*user));
        inside.map(|(user, _)| *user).collect()
    }

    /// Writes a change into an account's mailbox and tells its open connections.
    pub fn record(&mut self, world: &State, user: UserId, change: Change, origin: Option<i64>) {
        let Some(account) = self.accounts.get_mut(&user) else { return };
        let entry = account.mailbox.push(change);
        self.tell(world, user, &entry, origin);
    }

    /// Notes how far an account has read a place (0: all of it); the newest message that is read, if that is news.
    pub fn mark_read(&mut self, world: &State, user: UserId, place: Place, max_id: i32) -> Option<i32> {
        let top = world.messages().history(place).next().map_or(0, |message| message.id);
        let read = if max_id <= 0 { top } else { max_id.min(top) };
        let mark = self.accounts.get_mut(&user)?.read.entry(place).or_default();
        (*mark < read).then(|| {
            *mark = read;
            read
        })
    }

    fn tell(&self, world: &State, user: UserId, entry: &Entry, origin: Option<i64>) {
        let keys = self.listening(user, origin);
        if keys.is_empty() {
            return;
        }
        let mut view = View::new(world, self, user);
        if let Some(update) = view.update(entry) {
            let push = view.push(vec![update]);
            self.push_to(&keys, &push);
        }
    }

    fn tell_member(&self, world: &State, chat: ChatId, user: UserId, origin: Option<i64>) {
        let keys = self.listening(user, origin);
        if keys.is_empty() {
            return;
        }
        let mut view = View::new(world, self, user);
        view.mention(chat);
        let update: enums::Update = if is_channel(world, Place::Chat(chat)) {
            types::UpdateChannel { channel_id: bare_chat_id(chat) }.into()
        } else {
            types::UpdateChat { chat_id: bare_chat_id(chat) }.into()
        };
        self.push_to(&keys, &view.push(vec![update]));
    }

    /// The keys of a user that have an open connection and want updates, except `origin`. Helpers at other data
    /// centres get none.
    pub fn listening(&self, user: UserId, origin: Option<i64>) -> Vec<i64> {
        let keys = self.accounts.get(&user).into_iter().flat_map(|account| &account.keys).copied();
        let wants = |key: &i64| {
            let own = self.keys.get(key).and_then(|key| key.authorization.as_ref());
            self.live.get(key).is_some_and(|live| live.wants_updates)
                && own.is_some_and(|authorization| !authorization.imported)
        };
        keys.filter(|key| Some(*key) != origin && wants(key)).collect()
    }

    /// Pushes one object to several keys.
    pub fn push_to(&self, keys: &[i64], object: &Arc<[u8]>) {
        for key in keys {
            self.push(*key, Arc::clone(object));
        }
    }

    /// Tells a client that its QR code was scanned. It is not signed in yet, so this does not ask whether it wants
    /// updates.
    pub fn push_login_token(&self, key_id: i64) {
        self.command(key_id, Command::Push(short(enums::Update::LoginToken)));
    }

    /// Tells a user's other devices of a new sign-in.
    pub fn push_new_authorization(&self, user: UserId, key_id: i64) {
        let Some(key) = self.keys.get(&key_id) else { return };
        let Some(authorization) = &key.authorization else { return };
        let update = types::UpdateNewAuthorization {
            unconfirmed: true,
            hash: authorization.hash,
            date: Some(authorization.created),
            device: Some(key.client.as_ref().map_or_else(String::new, |client| client.device_model.clone())),
            location: Some(authorization.ip.clone()),
        };
        self.push_to(&self.listening(user, Some(key_id)), &short(update.into()));
    }
}

/// An update that is not kept, ready to be pushed.
pub fn short(update: enums::Update) -> Arc<[u8]> {
    enums::Updates::UpdateShort(types::UpdateShort { update, date: unix_time() }).to_bytes().into()
}
