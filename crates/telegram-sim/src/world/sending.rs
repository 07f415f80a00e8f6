//! Who may write to whom; taking, editing and deleting messages.

use std::sync::Arc;

use super::{
    Body, Chat, ChatId, ChatKind, Event, Member, MemberStatus, Message, Place, SendError, State, UpdateKind, User,
    UserId,
};

impl State {
    /// Takes a message from `from` to the chat that the sender calls `chat`.
    pub fn send(&mut self, from: UserId, chat: ChatId, body: Body) -> Result<Arc<Message>, SendError> {
        self.may_send(from, chat)?;
        let place = Place::seen_by(from, chat);
        if body.reply_to.is_some_and(|id| self.messages.get(place, id).is_none()) {
            return Err(SendError::ReplyNotFound);
        }
        Ok(self.store(from, place, body))
    }

    /// Whether `from` may write to the chat that it calls `chat`.
    pub fn may_send(&self, from: UserId, chat: ChatId) -> Result<(), SendError> {
        let sender = self.users.get(&from).ok_or(SendError::ChatNotFound)?;
        if chat > 0 {
            let receiver = self.users.get(&chat).ok_or(SendError::ChatNotFound)?;
            return may_write_to_user(sender, receiver);
        }
        let chat = self.chats.get(&chat).ok_or(SendError::ChatNotFound)?;
        may_write_to_chat(sender, chat)
    }

    /// Replaces text, entities, buttons and preview of a message. `None` if there is no such message.
    pub fn edit(&mut self, place: Place, id: i32, change: impl FnOnce(&mut Body)) -> Option<Arc<Message>> {
        let mut message = Message::clone(self.messages.get(place, id)?);
        change(&mut message.body);
        message.edited = Some(super::state::now());
        let message = self.messages.replace(message)?;
        for bot in self.interested_bots(&message) {
            let kind = if self.is_channel(place) { UpdateKind::EditedChannelPost } else { UpdateKind::EditedMessage };
            self.notify(bot, kind(Arc::clone(&message)));
        }
        self.emit(Event::Edited(Arc::clone(&message)));
        Some(message)
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

    fn store(&mut self, from: UserId, place: Place, body: Body) -> Arc<Message> {
        let arrived_ms = super::state::now_ms();
        let date = arrived_ms / 1000;
        let id = self.next_message_id(place);
        if let Place::Chat(chat) = place
            && let Some(member) = self.chats.get_mut(&chat).and_then(|chat| chat.members.get_mut(&from))
        {
            member.last_message = date;
        }
        let message = Message { uid: 0, id, place, from, date, arrived_ms, edited: None, deleted: false, body };
        let message = self.messages.push(message);
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
    /// hears only commands and answers to itself.
    fn interested_bots(&self, message: &Message) -> Vec<UserId> {
        let chat = match message.place {
            Place::Private(low, high) => {
                let other = if message.from == low { high } else { low };
                return if other != message.from && self.bots.contains_key(&other) { vec![other] } else { Vec::new() };
            }
            Place::Chat(id) => self.chats.get(&id),
        };
        let Some(chat) = chat else { return Vec::new() };
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

fn may_write_to_chat(sender: &User, chat: &Chat) -> Result<(), SendError> {
    if let Some(new) = chat.migrated_to {
        return Err(SendError::Migrated(new));
    }
    let member = chat.members.get(&sender.id);
    match member.map(|member| member.status) {
        Some(MemberStatus::Kicked) => return Err(SendError::Kicked(chat.kind)),
        None | Some(MemberStatus::Left) => return Err(SendError::NotMember(chat.kind)),
        Some(MemberStatus::Restricted) => return Err(SendError::NoRights(chat.kind)),
        Some(_) => {}
    }
    let Some(member) = member else { return Err(SendError::NotMember(chat.kind)) };
    if chat.kind == ChatKind::Channel {
        return if member.may_post() { Ok(()) } else { Err(SendError::NoRights(chat.kind)) };
    }
    if member.status.is_admin() {
        return Ok(());
    }
    if !chat.members_may_send {
        return Err(SendError::NoRights(chat.kind));
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
