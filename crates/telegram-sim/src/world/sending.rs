//! Who may write to whom; taking, editing and deleting messages.

use std::sync::Arc;

use super::{
    Body, Chat, ChatId, ChatKind, ContentKind, Event, Forward, Member, MemberStatus, Message, Place, SendError, State,
    UpdateKind, User, UserId,
};

impl State {
    /// Takes a message from `from` to the chat that the sender calls `chat`.
    pub fn send(&mut self, from: UserId, chat: ChatId, body: Body) -> Result<Arc<Message>, SendError> {
        self.check(from, chat, &body)?;
        Ok(self.store(from, Place::seen_by(from, chat), body))
    }

    /// Takes several messages at once, such as an album: all, or none. For slow mode they count as one.
    pub fn send_all(&mut self, from: UserId, chat: ChatId, bodies: Vec<Body>) -> Result<Vec<Arc<Message>>, SendError> {
        for body in &bodies {
            self.check(from, chat, body)?;
        }
        let place = Place::seen_by(from, chat);
        Ok(bodies.into_iter().map(|body| self.store(from, place, body)).collect())
    }

    /// Whether a message could be sent.
    pub fn check(&self, from: UserId, chat: ChatId, body: &Body) -> Result<(), SendError> {
        self.may_send_content(from, chat, body.content())?;
        let place = Place::seen_by(from, chat);
        if body.reply_to.is_some_and(|id| self.messages.get(place, id).is_none()) {
            return Err(SendError::ReplyNotFound);
        }
        body.thread.map_or(Ok(()), |topic| self.may_write_to_topic(from, chat, topic))
    }

    /// Whether `from` may write to the chat that it calls `chat`.
    pub fn may_send(&self, from: UserId, chat: ChatId) -> Result<(), SendError> {
        self.may_send_content(from, chat, ContentKind::Text)
    }

    /// Whether `from` may send this kind of content to the chat that it calls `chat`.
    pub fn may_send_content(&self, from: UserId, chat: ChatId, content: ContentKind) -> Result<(), SendError> {
        let sender = self.users.get(&from).ok_or(SendError::ChatNotFound)?;
        if chat > 0 {
            let receiver = self.users.get(&chat).ok_or(SendError::ChatNotFound)?;
            return may_write_to_user(sender, receiver);
        }
        let chat = self.chats.get(&chat).ok_or(SendError::ChatNotFound)?;
        may_write_to_chat(sender, chat, content)
    }

    /// Whether `from` may look into the chat that it calls `chat`, and act on its own messages there.
    pub fn may_read(&self, from: UserId, chat: ChatId) -> Result<(), SendError> {
        match self.may_send(from, chat) {
            // Who may not write may still read, edit and delete.
            Err(SendError::NoRights(..) | SendError::NoContent(_) | SendError::NotStarted | SendError::SlowMode(_)) => {
                Ok(())
            }
            result => result,
        }
    }

    fn may_write_to_topic(&self, from: UserId, chat: ChatId, topic: i32) -> Result<(), SendError> {
        let chat = self.chats.get(&chat).filter(|chat| chat.has_topic(topic)).ok_or(SendError::TopicNotFound)?;
        let closed = chat.topics.get(&topic).is_some_and(|topic| topic.closed);
        let may = chat.member(from).is_some_and(|member| match member.status {
            MemberStatus::Creator => true,
            MemberStatus::Administrator => member.rights.topics,
            _ => false,
        });
        if closed && !may { Err(SendError::TopicClosed) } else { Ok(()) }
    }

    /// Replaces text, entities, buttons and preview of a message. `None` if there is no such message.
    pub fn edit(&mut self, place: Place, id: i32, change: impl FnOnce(&mut Body)) -> Option<Arc<Message>> {
        let mut message = Message::clone(self.messages.get(place, id)?);
        change(&mut message.body);
        message.edited = Some(super::state::now());
        message.edits += 1;
        let message = self.messages.replace(message)?;
        for bot in self.interested_bots(&message) {
            let kind = if self.is_channel(place) { UpdateKind::EditedChannelPost } else { UpdateKind::EditedMessage };
            self.notify(bot, kind(Arc::clone(&message)));
        }
        self.emit(Event::Edited(Arc::clone(&message)));
        Some(message)
    }

    /// What forwarding a message sends; a forwarded message keeps where it first came from.
    pub fn forward_of(&self, message: &Message) -> Body {
        let channel = match message.place {
            Place::Chat(id) if self.is_channel(message.place) => Some(id),
            _ => None,
        };
        let user = if channel.is_none() { Some(message.from) } else { None };
        let origin = Forward { user, channel, message_id: message.id, date: message.date };
        Body {
            forwarded: Some(message.body.forwarded.unwrap_or(origin)),
            reply_to: None,
            thread: None,
            silent: false,
            protected: false,
            random_id: None,
            buttons: Vec::new(),
            ..message.body.clone()
        }
    }

    /// Whether a message can be neither forwarded nor saved.
    pub fn is_protected(&self, message: &Message) -> bool {
        let by_chat = match message.place {
            Place::Chat(id) => self.chats.get(&id).is_some_and(|chat| chat.protected),
            Place::Private(..) => false,
        };
        by_chat || message.body.protected
    }

    /// Deletes a message for everybody. `None` if there is no such message.
    pub fn delete(&mut self, place: Place, id: i32) -> Option<Arc<Message>> {
        let message = Message { deleted: true, ..Message::clone(self.messages.get(place, id)?) };
        let message = self.messages.replace(message)?;
        self.emit(Event::Deleted(Arc::clone(&message)));
        Some(message)
    }

    /// `user` presses an inline button with data under a message of a bot, who is told under the query id `query`.
    pub fn press(&mut self, user: UserId, message: &Arc<Message>, data: String, query: String) {
        let kind = UpdateKind::CallbackQuery { id: query, from: user, message: Arc::clone(message), data };
        self.notify(message.from, kind);
    }

    pub(super) fn store(&mut self, from: UserId, place: Place, body: Body) -> Arc<Message> {
        let arrived_ms = super::state::now_ms();
        let date = arrived_ms / 1000;
        let id = self.next_message_id(place);
        if let Place::Chat(chat) = place
            && let Some(member) = self.chats.get_mut(&chat).and_then(|chat| chat.members.get_mut(&from))
        {
            member.last_message = date;
        }
        let message = self.messages.push(Message {
            uid: 0,
            id,
            place,
            from,
            date,
            arrived_ms,
            edited: None,
            edits: 0,
            pinned: false,
            deleted: false,
            body,
        });
        if let Place::Private(low, high) = place {
            self.remember_contact(from, if from == low { high } else { low });
        }
        for bot in self.interested_bots(&message) {
            let kind = if self.is_channel(place) { UpdateKind::ChannelPost } else { UpdateKind::Message };
            self.notify(bot, kind(Arc::clone(&message)));
        }
        self.emit(Event::Message(Arc::clone(&message)));
        message
    }

    /// Writing to a bot starts it.
    fn remember_contact(&mut self, from: UserId, to: UserId) {
        if self.bots.contains_key(&to)
            && let Some(user) = self.users.get_mut(&from).filter(|user| !user.is_bot)
        {
            user.started.insert(to);
        }
    }

    pub(super) fn next_message_id(&mut self, place: Place) -> i32 {
        if let Place::Chat(chat) = place
            && let Some(chat) = self.chats.get_mut(&chat)
            && chat.kind != ChatKind::Group
        {
            chat.last_message_id += 1;
            return chat.last_message_id;
        }
        self.last_shared_message_id += 1;
        self.last_shared_message_id
    }

    fn is_channel(&self, place: Place) -> bool {
        matches!(place, Place::Chat(id) if self.chats.get(&id).is_some_and(|chat| chat.kind == ChatKind::Channel))
    }

    /// Bots that are told of a message: never its author; in groups no bot hears another, and a bot with privacy mode
    /// hears only commands and answers to itself. What a chat tells of itself, all hear.
    fn interested_bots(&self, message: &Message) -> Vec<UserId> {
        let chat = match message.place {
            Place::Private(low, high) => {
                let other = if message.from == low { high } else { low };
                return if other != message.from && self.bots.contains_key(&other) { vec![other] } else { Vec::new() };
            }
            Place::Chat(id) => self.chats.get(&id),
        };
        let Some(chat) = chat else { return Vec::new() };
        if message.body.service.is_some() {
            let inside =
                chat.members.iter().filter(|(id, member)| member.status.is_inside() && self.bots.contains_key(id));
            return inside.map(|(id, _)| *id).collect();
        }
        let author_is_bot = self.bots.contains_key(&message.from);
        if author_is_bot && chat.kind != ChatKind::Channel {
            return Vec::new();
        }
        let inside = chat.members.iter().filter(|(_, member)| member.status.is_inside());
        let bots = inside.filter(|(id, member)| {
            **id != message.from
                && self.bots.get(id).is_some_and(|bot| {
                    chat.kind == ChatKind::Channel
                        || bot.reads_all_group_messages
                        || member.status.is_admin()
                        || self.is_meant_for(message, **id)
                })
        });
        bots.map(|(id, _)| *id).collect()
    }

    fn is_meant_for(&self, message: &Message, bot: UserId) -> bool {
        let answered = message.body.reply_to.and_then(|id| self.messages.get(message.place, id));
        message.body.text.starts_with('/') || answered.is_some_and(|answered| answered.from == bot)
    }
}

fn may_write_to_user(sender: &User, receiver: &User) -> Result<(), SendError> {
    if receiver.deactivated {
        return Err(SendError::Deactivated);
    }
    if receiver.blocked.contains(&sender.id) {
        return Err(SendError::Blocked);
    }
    if sender.is_bot {
        if receiver.is_bot {
            return Err(SendError::BotToBot);
        }
        if !receiver.started.contains(&sender.id) {
            return Err(SendError::NotStarted);
        }
    }
    Ok(())
}

fn may_write_to_chat(sender: &User, chat: &Chat, content: ContentKind) -> Result<(), SendError> {
    if let Some(new) = chat.migrated_to {
        return Err(SendError::Migrated(new));
    }
    if chat.deleted {
        return Err(SendError::Deleted(chat.kind));
    }
    let member = match chat.members.get(&sender.id) {
        Some(member) if member.status == MemberStatus::Kicked => return Err(SendError::Kicked(chat.kind)),
        Some(member) if member.status.is_inside() => member,
        _ => return Err(SendError::NotMember(chat.kind)),
    };
    if chat.kind == ChatKind::Channel {
        return if member.may_post() { Ok(()) } else { Err(SendError::NoRights(chat.kind, content)) };
    }
    if member.status.is_admin() {
        return Ok(());
    }
    let permissions = chat.permissions_of(sender.id);
    if !permissions.allow_something() {
        return Err(SendError::NoRights(chat.kind, content));
    }
    if !permissions.allows(content) {
        return Err(SendError::NoContent(content));
    }
    // Bots are not held by slow mode.
    if sender.is_bot { Ok(()) } else { slow_mode(chat, member) }
}

fn slow_mode(chat: &Chat, member: &Member) -> Result<(), SendError> {
    let wait = member.last_message + i64::from(chat.slow_mode) - super::state::now();
    match u32::try_from(wait) {
        Ok(seconds) if seconds > 0 && chat.slow_mode > 0 => Err(SendError::SlowMode(seconds)),
        _ => Ok(()),
    }
}
