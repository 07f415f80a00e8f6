//! The state behind the world's lock: creating and looking up users, bots and chats.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use rand::RngExt;
use tokio::sync::broadcast;

use super::{
    Bot, Chat, ChatId, ChatKind, Event, Files, Member, MemberStatus, Messages, Permissions, UpdateQueue, User, UserId,
    channel_chat_id, group_chat_id,
};

/// First id of users that did not ask for one.
const FIRST_USER_ID: UserId = 1_000_001;
/// First id of bots that did not ask for one.
const FIRST_BOT_ID: UserId = 7_000_000_001;
/// First bare id of chats that did not ask for one.
const FIRST_CHAT_ID: i64 = 2_000_000_001;

/// Everything in the world. Reach it through [`World::lock`](super::World::lock).
#[derive(Debug)]
pub struct State {
    pub(super) users: BTreeMap<UserId, User>,
    pub(super) bots: BTreeMap<UserId, Bot>,
    pub(super) tokens: HashMap<String, UserId>,
    pub(super) usernames: HashMap<String, i64>,
    pub(super) chats: BTreeMap<ChatId, Chat>,
    pub(super) invites: HashMap<String, ChatId>,
    pub(super) messages: Messages,
    pub(super) files: Files,
    pub(super) last_shared_message_id: i32,
    events: broadcast::Sender<Event>,
}

/// A user to create. Whatever is `None` is made up.
#[derive(Debug, Clone, Default)]
pub struct NewUser {
    /// Positive id.
    pub id: Option<UserId>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name; none if `None`.
    pub last_name: Option<String>,
    /// Without `@`; none if `None`.
    pub username: Option<String>,
    /// Digits; none if `None`.
    pub phone: Option<String>,
}

/// A chat to create.
#[derive(Debug, Clone)]
pub struct NewChat {
    /// What it is.
    pub kind: ChatKind,
    /// Negative id in the form that fits the kind; made up if `None`.
    pub id: Option<ChatId>,
    /// Title.
    pub title: String,
    /// Without `@`.
    pub username: Option<String>,
    /// First members; the first creator given owns the chat.
    pub members: Vec<(UserId, MemberStatus)>,
}

impl State {
    pub(super) fn new(events: broadcast::Sender<Event>) -> Self {
        Self {
            users: BTreeMap::new(),
            bots: BTreeMap::new(),
            tokens: HashMap::new(),
            usernames: HashMap::new(),
            chats: BTreeMap::new(),
            invites: HashMap::new(),
            messages: Messages::new(None),
            files: Files::default(),
            last_shared_message_id: 0,
            events,
        }
    }

    /// Forgets everything; from now on the newest `keep` messages are kept, or all.
    pub fn reset(&mut self, keep: Option<usize>) {
        let (events, keep_bytes) = (self.events.clone(), self.files.keep_bytes());
        *self = Self { messages: Messages::new(keep), ..Self::new(events) };
        self.files.set_keep_bytes(keep_bytes);
        self.emit(Event::Changed);
    }

    /// Creates a user. An existing id is replaced as far as its names go.
    pub fn add_user(&mut self, new: NewUser) -> UserId {
        let id = new.id.unwrap_or_else(|| free_id(FIRST_USER_ID, |id| self.users.contains_key(&id)));
        let first_name = new.first_name.unwrap_or_else(|| format!("User {id}"));
        self.insert_user(id, first_name, new.last_name, new.username, new.phone, false);
        id
    }

    /// Creates a bot with this token, or with a fresh one; its id is the number before the colon. Returns the token.
    pub fn add_bot(&mut self, token: Option<String>, username: Option<String>) -> String {
        let token = token.unwrap_or_else(|| random_token(free_id(FIRST_BOT_ID, |id| self.users.contains_key(&id))));
        let id = token.split(':').next().and_then(|id| id.parse().ok()).unwrap_or(FIRST_BOT_ID);
        let username = username.unwrap_or_else(|| format!("sim{id}_bot"));
        self.insert_user(id, format!("Bot {id}"), None, Some(username), None, true);
        let first_update = rand::rng().random_range(100_000_000..200_000_000);
        let bot = self.bots.entry(id).or_insert_with(|| Bot {
            id,
            token: None,
            reads_all_group_messages: false,
            updates: UpdateQueue::new(first_update),
        });
        if let Some(old) = bot.token.replace(token.clone()) {
            self.tokens.remove(&old);
        }
        self.tokens.insert(token.clone(), id);
        token
    }

    /// Makes the bot's token useless; with `renew`, issues and returns a new one.
    pub fn revoke_token(&mut self, bot: UserId, renew: bool) -> Option<String> {
        let bot = self.bots.get_mut(&bot)?;
        if let Some(old) = bot.token.take() {
            self.tokens.remove(&old);
        }
        if renew {
            let token = random_token(bot.id);
            bot.token = Some(token.clone());
            self.tokens.insert(token.clone(), bot.id);
            return Some(token);
        }
        None
    }

    /// Creates a chat and returns its id. Users that do not exist yet are created.
    pub fn add_chat(&mut self, new: NewChat) -> ChatId {
        let to_id = if new.kind == ChatKind::Group { group_chat_id } else { channel_chat_id };
        let id = new.id.unwrap_or_else(|| to_id(free_id(FIRST_CHAT_ID, |bare| self.chats.contains_key(&to_id(bare)))));
        if let Some(username) = &new.username {
            self.usernames.insert(username.to_lowercase(), id);
        }
        let chat = Chat {
            id,
            access_hash: rand::rng().random(),
            kind: new.kind,
            title: new.title,
            username: new.username,
            about: None,
            members: BTreeMap::new(),
            migrated_to: None,
            migrated_from: None,
            slow_mode: 0,
            members_may_send: true,
            permissions: Permissions::default(),
            protected: false,
            is_forum: false,
            topics: BTreeMap::new(),
            linked: None,
            photo: None,
            invite: None,
            deleted: false,
            created: now(),
            last_message_id: 0,
        };
        self.chats.insert(id, chat);
        for (user, status) in new.members {
            self.ensure_user(user);
            self.put_member(id, user, Member::new(status));
        }
        self.emit(Event::Changed);
        id
    }

    /// Creates the user with this id if there is none.
    pub fn ensure_user(&mut self, id: UserId) {
        if !self.users.contains_key(&id) {
            self.add_user(NewUser { id: Some(id), ..NewUser::default() });
        }
    }

    /// The user or bot with this id.
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(&id)
    }

    /// The user or bot with this id, to change. Usernames have their own index: use [`State::add_user`] for them.
    pub fn user_mut(&mut self, id: UserId) -> Option<&mut User> {
        self.users.get_mut(&id)
    }

    /// All users and bots by id.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    /// The bot with this id.
    pub fn bot(&self, id: UserId) -> Option<&Bot> {
        self.bots.get(&id)
    }

    /// The bot with this id, to change.
    pub fn bot_mut(&mut self, id: UserId) -> Option<&mut Bot> {
        self.bots.get_mut(&id)
    }

    /// All bots by id.
    pub fn bots(&self) -> impl Iterator<Item = &Bot> {
        self.bots.values()
    }

    /// The bot whose token this is now.
    pub fn bot_by_token(&self, token: &str) -> Option<UserId> {
        self.tokens.get(token).copied()
    }

    /// The chat with this id.
    pub fn chat(&self, id: ChatId) -> Option<&Chat> {
        self.chats.get(&id)
    }

    /// The chat with this id, to change.
    pub fn chat_mut(&mut self, id: ChatId) -> Option<&mut Chat> {
        self.chats.get_mut(&id)
    }

    /// All chats by id.
    pub fn chats(&self) -> impl Iterator<Item = &Chat> {
        self.chats.values()
    }

    /// The id of the user (positive) or chat (negative) with this username, without `@`, in any case.
    pub fn by_username(&self, username: &str) -> Option<i64> {
        self.usernames.get(&username.to_lowercase()).copied()
    }

    /// The store of messages.
    pub fn messages(&self) -> &Messages {
        &self.messages
    }

    /// The store of files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The store of files, to change.
    pub fn files_mut(&mut self) -> &mut Files {
        &mut self.files
    }

    /// The last id that private chats and basic groups gave to a message.
    pub fn last_shared_message_id(&self) -> i32 {
        self.last_shared_message_id
    }

    /// Leaves out the ids up to this one, because an earlier world used them.
    pub fn skip_shared_message_ids(&mut self, last: i32) {
        self.last_shared_message_id = self.last_shared_message_id.max(last);
    }

    /// Forgets all messages; ids go on.
    pub fn clear_messages(&mut self) {
        self.messages.clear();
        self.emit(Event::Changed);
    }

    pub(super) fn emit(&self, event: Event) {
        // Nobody listening is fine.
        let _ = self.events.send(event);
    }

    fn insert_user(
        &mut self,
        id: UserId,
        first_name: String,
        last_name: Option<String>,
        username: Option<String>,
        phone: Option<String>,
        is_bot: bool,
    ) {
        if let Some(username) = &username {
            self.usernames.insert(username.to_lowercase(), id);
        }
        let user = self.users.entry(id).or_insert_with(|| User {
            id,
            access_hash: rand::rng().random(),
            is_bot,
            first_name: String::new(),
            last_name: None,
            username: None,
            phone: None,
            language_code: Some("en".to_owned()),
            deactivated: false,
            blocked: HashSet::new(),
            started: HashSet::new(),
        });
        let old = std::mem::replace(&mut user.username, username);
        (user.first_name, user.last_name, user.phone) = (first_name, last_name, phone);
        if let Some(old) = old.filter(|old| user.username.as_ref().is_none_or(|new| !new.eq_ignore_ascii_case(old))) {
            self.usernames.remove(&old.to_lowercase());
        }
        self.emit(Event::Changed);
    }
}

/// Unix seconds.
pub(super) fn now() -> i64 {
    now_ms() / 1000
}

/// Unix milliseconds.
pub(super) fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

fn free_id(first: i64, taken: impl Fn(i64) -> bool) -> i64 {
    let mut id = first + rand::rng().random_range(0..1_000_000_000);
    while taken(id) {
        id += 1;
    }
    id
}

fn random_token(bot: UserId) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    let mut rng = rand::rng();
    let secret: String = (0..32).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect();
    format!("{bot}:AAF{secret}")
}
