//! The world as JSON of the Bot API.

use serde_json::{Map, Value, json};

use crate::world::{
    Body, Chat, ChatId, ChatKind, Entity, EntityKind, Member, MemberStatus, Message, Place, State, Update, UpdateKind,
    User, UserId,
};

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

/// `Chat` of a private chat with this user.
pub fn private_chat(user: &User) -> Value {
    let mut json = json!({ "id": user.id, "first_name": user.first_name, "type": "private" });
    set_some(&mut json, "last_name", user.last_name.as_deref());
    set_some(&mut json, "username", user.username.as_deref());
    json
}

/// `Chat` of a group, supergroup or channel.
pub fn group_chat(chat: &Chat) -> Value {
    let mut json = json!({ "id": chat.id, "title": chat.title, "type": chat.kind.name() });
    set_some(&mut json, "username", chat.username.as_deref());
    json
}

/// `ChatFullInfo`, as far as this world knows it.
pub fn full_chat(chat: &Chat) -> Value {
    let mut json = group_chat(chat);
    json["accent_color_id"] = 0.into();
    json["max_reaction_count"] = 11.into();
    set_some(&mut json, "description", chat.about.as_deref());
    if chat.kind != ChatKind::Channel {
        let may = chat.members_may_send;
        json["permissions"] = json!({
            "can_send_messages": may, "can_send_audios": may, "can_send_documents": may, "can_send_photos": may,
            "can_send_videos": may, "can_send_video_notes": may, "can_send_voice_notes": may, "can_send_polls": may,
            "can_send_other_messages": may, "can_add_web_page_previews": may, "can_change_info": false,
            "can_invite_users": may, "can_pin_messages": false, "can_manage_topics": false,
        });
    }
    if chat.slow_mode > 0 {
        json["slow_mode_delay"] = chat.slow_mode.into();
    }
    json
}

/// `ChatMember`.
pub fn chat_member(user: &User, status: MemberStatus, member: Option<&Member>) -> Value {
    let mut json = json!({ "user": self::user(user), "status": status.name() });
    match (status, member) {
        (MemberStatus::Creator, _) => json["is_anonymous"] = false.into(),
        (MemberStatus::Administrator, Some(member)) => {
            let rights = member.rights;
            merge(
                &mut json,
                json!({
                    "can_be_edited": false, "is_anonymous": false, "can_manage_chat": true,
                    "can_change_info": rights.change_info, "can_post_messages": rights.post,
                    "can_edit_messages": rights.edit, "can_delete_messages": rights.delete,
                    "can_invite_users": rights.invite, "can_restrict_members": rights.restrict,
                    "can_pin_messages": rights.pin, "can_promote_members": rights.promote,
                    "can_manage_video_chats": false, "can_post_stories": false, "can_edit_stories": false,
                    "can_delete_stories": false, "can_manage_topics": false,
                }),
            );
        }
        (MemberStatus::Kicked, _) => json["until_date"] = 0.into(),
        (MemberStatus::Restricted, _) => {
            merge(&mut json, json!({ "is_member": true, "until_date": 0 }));
            for name in [
                "can_send_messages",
                "can_send_audios",
                "can_send_documents",
                "can_send_photos",
                "can_send_videos",
                "can_send_video_notes",
                "can_send_voice_notes",
                "can_send_polls",
                "can_send_other_messages",
                "can_add_web_page_previews",
                "can_change_info",
                "can_invite_users",
                "can_pin_messages",
                "can_manage_topics",
            ] {
                json[name] = false.into();
            }
        }
        _ => {}
    }
    json
}

/// `Message` as this bot sees it.
pub fn message(state: &State, bot: UserId, message: &Message) -> Value {
    let mut json = bare_message(state, bot, message);
    if let Some(answered) = message.body.reply_to.and_then(|id| state.messages().get(message.place, id)) {
        // The answered message is shown without the one that it answers itself.
        json["reply_to_message"] = bare_message(state, bot, answered);
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
            standing(state, bot, &Change { chat: *chat, user: bot, from: *from, old: *old, new: *new }, update.date)
        }
        UpdateKind::ChatMember { chat, user, from, old, new } => {
            standing(state, bot, &Change { chat: *chat, user: *user, from: *from, old: *old, new: *new }, update.date)
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
struct Change {
    chat: ChatId,
    user: UserId,
    from: UserId,
    old: MemberStatus,
    new: MemberStatus,
}

/// `ChatMemberUpdated`.
fn standing(state: &State, bot: UserId, change: &Change, date: i64) -> Value {
    let member = state.chat(change.chat).and_then(|chat| chat.members.get(&change.user));
    // What was allowed before is not remembered.
    let before = Member::new(change.old);
    let show = |status, member| state.user(change.user).map(|user| chat_member(user, status, member));
    json!({
        "chat": chat_of(state, Place::seen_by(bot, change.chat), bot), "from": user_of(state, change.from), "date": date,
        "old_chat_member": show(change.old, Some(&before)), "new_chat_member": show(change.new, member),
    })
}

/// A `Message` in which a chat tells of itself.
fn notice(state: &State, bot: UserId, chat: ChatId, message_id: i32, date: i64) -> Value {
    let creator = state.chat(chat).into_iter().flat_map(|chat| &chat.members);
    let creator = creator.filter(|(_, member)| member.status == MemberStatus::Creator).map(|(id, _)| *id).next();
    let mut json = json!({
        "message_id": message_id, "date": date, "chat": chat_of(state, Place::seen_by(bot, chat), bot),
    });
    if let Some(creator) = creator {
        json["from"] = user_of(state, creator);
    }
    json
}

fn bare_message(state: &State, bot: UserId, message: &Message) -> Value {
    let chat = chat_of(state, message.place, bot);
    let mut json = json!({ "message_id": message.id, "date": message.date });
    if chat["type"] == "channel" {
        json["sender_chat"] = chat.clone();
    } else {
        json["from"] = user_of(state, message.from);
    }
    json["chat"] = chat;
    if let Some(edited) = message.edited {
        json["edit_date"] = edited.into();
    }
    if let Some(thread) = message.body.thread {
        json["message_thread_id"] = thread.into();
    }
    body(state, &message.body, &mut json);
    json
}

fn body(state: &State, body: &Body, json: &mut Value) {
    let (text, entities) = if body.media.is_some() { ("caption", "caption_entities") } else { ("text", "entities") };
    json[text] = body.text.as_str().into();
    if !body.entities.is_empty() {
        json[entities] = body.entities.iter().map(|range| entity(state, range)).collect();
    }
    if let Some(media) = &body.media {
        let id = media.file_id.to_string();
        json["document"] = json!({
            "file_id": id, "file_unique_id": id, "file_name": media.name, "mime_type": media.mime_type,
            "file_size": media.size,
        });
    }
    if body.protected {
        json["has_protected_content"] = true.into();
    }
    if let Some(preview) = &body.link_preview {
        json["link_preview_options"] = json!(preview);
    }
    if !body.buttons.is_empty() {
        json["reply_markup"] = json!({ "inline_keyboard": body.buttons });
    }
}

fn entity(state: &State, entity: &Entity) -> Value {
    let EntityKind::TextMention { user_id } = entity.kind else { return json!(entity) };
    json!({
        "offset": entity.offset, "length": entity.length, "type": "text_mention", "user": user_of(state, user_id),
    })
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
