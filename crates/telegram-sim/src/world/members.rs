//! People and bots coming, going, blocking, and groups becoming supergroups.

use super::{Chat, ChatId, ChatKind, Event, Member, MemberStatus, NewChat, Place, State, UpdateKind, UserId};

impl State {
    /// Sets a user's standing in a chat, as done by `by`; a bot is told of its own. Returns false if there is no such
    /// chat.
    pub fn set_member(&mut self, chat: ChatId, user: UserId, member: Member, by: UserId) -> bool {
        if !self.chats.contains_key(&chat) {
            return false;
        }
        self.ensure_user(user);
        let new = member.clone();
        let old = self.put_member(chat, user, member);
        if !old.is_like(&new) {
            self.notify(user, UpdateKind::MyChatMember { chat, from: by, old: old.clone(), new: new.clone() });
            for admin in self.admins(chat).into_iter().filter(|admin| *admin != user) {
                self.notify(admin, UpdateKind::ChatMember { chat, user, from: by, old: old.clone(), new: new.clone() });
            }
        }
        self.emit(Event::Member { chat, user });
        true
    }

    /// A user starts a bot (or unblocks it), so that the bot may write to the user. Both are created if need be,
    /// except the bot's token.
    pub fn start_bot(&mut self, user: UserId, bot: UserId) {
        self.ensure_user(user);
        if let Some(person) = self.users.get_mut(&user) {
            person.started.insert(bot);
        }
        self.unblock(user, bot);
    }

    /// `user` blocks `other`, who cannot write to the user any more.
    pub fn block(&mut self, user: UserId, other: UserId) {
        self.ensure_user(user);
        let newly = self.users.get_mut(&user).is_some_and(|person| person.blocked.insert(other));
        if newly {
            let (old, new) = (Member::new(MemberStatus::Member), Member::new(MemberStatus::Kicked));
            self.notify(other, UpdateKind::MyChatMember { chat: user, from: user, old, new });
            self.emit(Event::Changed);
        }
    }

    /// Takes a block back.
    pub fn unblock(&mut self, user: UserId, other: UserId) {
        let newly = self.users.get_mut(&user).is_some_and(|person| person.blocked.remove(&other));
        if newly {
            let (old, new) = (Member::new(MemberStatus::Kicked), Member::new(MemberStatus::Member));
            self.notify(other, UpdateKind::MyChatMember { chat: user, from: user, old, new });
            self.emit(Event::Changed);
        }
    }

    /// Turns a basic group into a supergroup with the same members and returns the new id; `None` if there is no such
    /// basic group, or it was turned before.
    pub fn migrate_group(&mut self, group: ChatId) -> Option<ChatId> {
        let old = self.chats.get(&group)?;
        if old.kind != ChatKind::Group || old.migrated_to.is_some() {
            return None;
        }
        let old = old.clone();
        let title = old.title.clone();
        let new =
            self.add_chat(NewChat { kind: ChatKind::Supergroup, id: None, title, username: None, members: Vec::new() });
        if let Some(chat) = self.chats.get_mut(&new) {
            let Chat { about, members, members_may_send, permissions, protected, photo, .. } = old;
            let kept = Chat { about, members, members_may_send, permissions, protected, photo, ..chat.clone() };
            *chat = Chat { migrated_from: Some(group), ..kept };
        }
        if let Some(chat) = self.chats.get_mut(&group) {
            chat.migrated_to = Some(new);
        }
        let (in_group, in_supergroup) =
            (self.next_message_id(Place::Chat(group)), self.next_message_id(Place::Chat(new)));
        for member in
            self.chats.get(&new).map(|chat| chat.members.keys().copied().collect::<Vec<_>>()).unwrap_or_default()
        {
            self.notify(member, UpdateKind::MigratedTo { group, supergroup: new, message_id: in_group });
            self.notify(member, UpdateKind::MigratedFrom { supergroup: new, group, message_id: in_supergroup });
        }
        self.emit(Event::Changed);
        Some(new)
    }

    /// Queues an update that a test makes up; false if there is no such bot.
    pub fn tell(&mut self, bot: UserId, name: String, content: serde_json::Value) -> bool {
        let known = self.bots.contains_key(&bot);
        self.notify(bot, UpdateKind::Other { name, content });
        known
    }

    fn admins(&self, chat: ChatId) -> Vec<UserId> {
        let members = self.chats.get(&chat).into_iter().flat_map(|chat| &chat.members);
        members.filter(|(_, member)| member.status.is_admin()).map(|(id, _)| *id).collect()
    }

    /// Queues an update, if the user is a bot.
    pub(super) fn notify(&mut self, bot: UserId, kind: UpdateKind) {
        if let Some(bot) = self.bots.get_mut(&bot) {
            bot.updates.push(kind);
        }
    }

    /// Stores a membership without telling anybody; returns the one before.
    pub(super) fn put_member(&mut self, chat: ChatId, user: UserId, mut member: Member) -> Member {
        let members = self.chats.get_mut(&chat).map(|chat| &mut chat.members);
        let old = members.as_ref().and_then(|members| members.get(&user).cloned());
        let old = old.unwrap_or_else(|| Member::new(MemberStatus::Left));
        // A change of rights does not make slow mode forget.
        member.last_message = member.last_message.max(old.last_message);
        if let Some(members) = members {
            members.insert(user, member);
        }
        old
    }
}
