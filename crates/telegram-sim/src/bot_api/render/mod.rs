//! The world as JSON of the Bot API.

mod chats;
mod messages;

use serde_json::{Map, Value, json};

pub use self::chats::{chat_member, full_chat, group_chat, private_chat};
pub use self::messages::message;

use crate::world::{ChatId, Member, Place, State, Update, UpdateKind, User, UserId};

/// `User`.
pub fn user(user: &User) -> Value {
    let mut json = json!({ "id": user.id, "is_bot": user.is_bot, "first_name": user.first_name });
    set_some(&mut json, "last_name", user.last_name.as_deref());
    set_some(&mut json, "username", user.username.as_deref());
    if !user.is_bot {
        set_some(&mut json, "language_code", user.language_code.as_deref());
    }
    json
}

/// `User` as `getMe` returns it.
pub fn me(bot: &User, reads_all_group_messages: bool) -> Value {
    let mut json = user(bot);
    json["can_join_groups"] = true.into();
    json["can_read_all_group_messages"] = reads_all_group_messages.into();
    for name in ["supports_inline_queries", "can_connect_to_business", "has_main_web_app"] {
        json[name] = false.into();
    }
    json
}

/// `Update`.
pub fn update(state: &State, bot: UserId, update: &Update) -> Value {
    let content = match &update.kind {
        UpdateKind::Message(message)
        | UpdateKind::EditedMessage(message)
        | UpdateKind::ChannelPost(message)
        | UpdateKind::EditedChannelPost(message) => self::message(state, bot, message),
        UpdateKind::CallbackQuery { id, from, message, data } => json!({
            "id": id, "from": user_of(state, *from), "message": self::message(state, bot, message),
            "chat_instance": message.place.chat_for(bot).to_string(), "data": data,
        }),
        UpdateKind::MyChatMember { chat, from, old, new } => {
            standing(state, bot, &Change { chat: *chat, user: bot, from: *from, old, new }, update.date)
        }
        UpdateKind::ChatMember { chat, user, from, old, new } => {
            standing(state, bot, &Change { chat: *chat, user: *user, from: *from, old, new }, update.date)
        }
        UpdateKind::MigratedTo { group, supergroup, message_id } => {
            let mut notice = notice(state, bot, *group, *message_id, update.date);
            notice["migrate_to_chat_id"] = (*supergroup).into();
            notice
        }
        UpdateKind::MigratedFrom { supergroup, group, message_id } => {
            let mut notice = notice(state, bot, *supergroup, *message_id, update.date);
            notice["migrate_from_chat_id"] = (*group).into();
            notice
        }
        UpdateKind::Other { content, .. } => content.clone(),
    };
    json!({ "update_id": update.id, update.kind.name(): content })
}

/// A change of somebody's standing in a chat.
struct Change<'a> {
    chat: ChatId,
    user: UserId,
    from: UserId,
    old: &'a Member,
    new: &'a Member,
}

/// `ChatMemberUpdated`.
fn standing(state: &State, bot: UserId, change: &Change<'_>, date: i64) -> Value {
    let show = |member: &Member| match (state.user(change.user), state.chat(change.chat)) {
        (Some(user), Some(chat)) => chat_member(chat, user, member),
        // A person blocked the bot or took that back: there are no rights to show.
        (Some(user), None) => json!({ "user": self::user(user), "status": member.status.name(), "until_date": 0 }),
        (None, _) => Value::Null,
    };
    json!({
        "chat": chat_of(state, Place::seen_by(bot, change.chat), bot), "from": user_of(state, change.from), "date": date,
        "old_chat_member": show(change.old), "new_chat_member": show(change.new),
    })
}

/// A `Message` in which a chat tells of itself.
fn notice(state: &State, bot: UserId, chat: ChatId, message_id: i32, date: i64) -> Value {
    let creator = state.chat(chat).and_then(crate::world::Chat::creator);
    let mut json = json!({
        "message_id": message_id, "date": date, "chat": chat_of(state, Place::seen_by(bot, chat), bot),
    });
    if let Some(creator) = creator {
        json["from"] = user_of(state, creator);
    }
    json
}

fn user_of(state: &State, id: UserId) -> Value {
    state.user(id).map_or_else(|| json!({ "id": id, "is_bot": false, "first_name": "" }), user)
}

fn chat_of(state: &State, place: Place, viewer: UserId) -> Value {
    let id = place.chat_for(viewer);
    let known = match place {
        Place::Private(..) => state.user(id).map(private_chat),
        Place::Chat(_) => state.chat(id).map(group_chat),
    };
    known.unwrap_or_else(|| json!({ "id": id, "type": "private" }))
}

fn set_some(json: &mut Value, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        json[name] = value.into();
    }
}

fn merge(json: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (json, more) {
        let more: Map<String, Value> = more;
        fields.extend(more);
    }
}
