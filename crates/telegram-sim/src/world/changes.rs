//! Changes of chats: title, picture, topics, invite links, pins, the end.

use std::sync::Arc;

use rand::RngExt;

use super::{
    Body, Chat, ChatId, Event, FileId, Member, MemberStatus, Message, Place, Service, State, Topic, UpdateKind, UserId,
    Via,
};

impl State {
    /// Gives a chat a new title, as done by `by`. False if there is no such chat.
    pub fn rename_chat(&mut self, id: ChatId, title: &str, by: UserId) -> bool {
        let Some(chat) = self.chats.get_mut(&id).filter(|chat| chat.title != title) else {
            return self.chats.contains_key(&id);
        };
        title.clone_into(&mut chat.title);
        self.announce(id, by, Service::NewTitle(title.to_owned()));
        self.emit(Event::Chat(id));
        true
    }

    /// Gives a chat a public name, or takes it away. False if there is no such chat or somebody else has the name.
    pub fn set_chat_username(&mut self, id: ChatId, username: Option<String>) -> bool {
        let taken = username.as_deref().and_then(|name| self.by_username(name)).is_some_and(|owner| owner != id);
        let Some(chat) = self.chats.get_mut(&id).filter(|_| !taken) else { return false };
        if let Some(old) = std::mem::replace(&mut chat.username, username.clone()) {
            self.usernames.remove(&old.to_lowercase());
        }
        if let Some(name) = username {
            self.usernames.insert(name.to_lowercase(), id);
        }
        self.emit(Event::Chat(id));
        true
    }

    /// Gives a chat a picture, or takes it away. False if there is no such chat.
    pub fn set_chat_photo(&mut self, id: ChatId, photo: Option<FileId>, by: UserId) -> bool {
        let Some(chat) = self.chats.get_mut(&id) else { return false };
        chat.photo = photo;
        self.announce(id, by, photo.map_or(Service::DeletedPhoto, Service::NewPhoto));
        self.emit(Event::Chat(id));
        true
    }

    /// Changes something of a chat of which members' programs are told. False if there is no such chat.
    pub fn change_chat(&mut self, id: ChatId, change: impl FnOnce(&mut Chat)) -> bool {
        let Some(chat) = self.chats.get_mut(&id) else { return false };
        change(chat);
        self.emit(Event::Chat(id));
        true
    }

    /// Deletes a chat for everybody; what was written there stays for the record. False if there is none.
    pub fn delete_chat(&mut self, id: ChatId) -> bool {
        let Some(chat) = self.chats.get_mut(&id).filter(|chat| !chat.deleted) else { return false };
        chat.deleted = true;
        let (username, invite) = (chat.username.take(), chat.invite.take());
        let creator = chat.creator().unwrap_or_default();
        let inside: Vec<_> = chat
            .members
            .iter()
            .filter(|(_, member)| member.status.is_inside())
            .map(|(id, m)| (*id, m.clone()))
            .collect();
        if let Some(name) = username {
            self.usernames.remove(&name.to_lowercase());
        }
        if let Some(hash) = invite {
            self.invites.remove(&hash);
        }
        for (user, old) in inside {
            let new = Member::new(MemberStatus::Left);
            self.notify(user, UpdateKind::MyChatMember { chat: id, from: creator, old, new });
        }
        self.emit(Event::Chat(id));
        true
    }

    /// Adds a topic to a forum and returns its id; `None` if the chat is no forum.
    pub fn add_topic(&mut self, id: ChatId, title: &str, by: UserId) -> Option<i32> {
        let chat = self.chats.get_mut(&id).filter(|chat| chat.is_forum)?;
        // The number of the general topic, which is there from the beginning.
        chat.last_message_id = chat.last_message_id.max(1);
        let topic = self.announce(id, by, Service::TopicCreated(title.to_owned()));
        self.chats.get_mut(&id)?.topics.insert(topic, Topic { title: title.to_owned(), closed: false });
        Some(topic)
    }

    /// The topic of a forum, to change.
    pub fn topic_mut(&mut self, id: ChatId, topic: i32) -> Option<&mut Topic> {
        self.chats.get_mut(&id)?.topics.get_mut(&topic)
    }

    /// Removes a topic of a forum; false if there is none with this id.
    pub fn remove_topic(&mut self, id: ChatId, topic: i32) -> bool {
        self.chats.get_mut(&id).is_some_and(|chat| chat.topics.remove(&topic).is_some())
    }

    /// Makes a fresh invite link; the one before opens nothing any more. `None` if there is no such chat.
    pub fn new_invite(&mut self, id: ChatId) -> Option<String> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
        let mut rng = rand::rng();
        let hash: String = (0..16).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect();
        self.revoke_invite(id);
        let chat = self.chats.get_mut(&id).filter(|chat| !chat.deleted)?;
        chat.invite = Some(hash.clone());
        self.invites.insert(hash, id);
        chat.invite_link()
    }

    /// Makes a chat's invite link useless.
    pub fn revoke_invite(&mut self, id: ChatId) {
        if let Some(hash) = self.chats.get_mut(&id).and_then(|chat| chat.invite.take()) {
            self.invites.remove(&hash);
        }
    }

    /// The chat that an invite link leads to, by the part of the link after `+`.
    pub fn by_invite(&self, hash: &str) -> Option<&Chat> {
        self.chats.get(self.invites.get(hash)?)
    }

    /// Pins a message, which the chat tells (`silent`: without a sound), or takes the pin away. `None` if there is no such
    /// message, or it is as wished already.
    pub fn pin(&mut self, place: Place, id: i32, pinned: bool, by: UserId, silent: bool) -> Option<Arc<Message>> {
        let known = self.messages.get(place, id).filter(|known| known.pinned != pinned)?;
        let message = self.messages.replace(Message { pinned, ..Message::clone(known) })?;
        self.emit(Event::Pinned(Arc::clone(&message)));
        if pinned {
            let body = Body { service: Some(Service::Pinned(id)), silent, via: Via::Control, ..Body::default() };
            self.store(by, place, body);
        }
        Some(message)
    }

    /// A chat tells something of itself; returns the number of that message.
    fn announce(&mut self, id: ChatId, by: UserId, service: Service) -> i32 {
        let body = Body { service: Some(service), via: Via::Control, ..Body::default() };
        self.store(by, Place::Chat(id), body).id
    }
}
