//! Chats and their members.

use serde_json::{Value, json};

use super::{merge, set_some, user};
use crate::bot_api::file_id;
use crate::world::{Chat, ChatKind, Member, MemberStatus, Permissions, Rights, User, UserId};

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
    if chat.is_forum {
        json["is_forum"] = true.into();
    }
    json
}

/// `ChatFullInfo`, as far as this world knows it.
pub fn full_chat(chat: &Chat, bot: UserId) -> Value {
    let mut json = group_chat(chat);
    json["accent_color_id"] = 0.into();
    json["max_reaction_count"] = 11.into();
    set_some(&mut json, "description", chat.about.as_deref());
    if chat.kind != ChatKind::Channel {
        let may = if chat.members_may_send { chat.permissions } else { Permissions::NONE };
        json["permissions"] = permissions(may);
    }
    if chat.slow_mode > 0 {
        json["slow_mode_delay"] = chat.slow_mode.into();
    }
    if chat.protected {
        json["has_protected_content"] = true.into();
    }
    if let Some(linked) = chat.linked {
        json["linked_chat_id"] = linked.into();
    }
    if let Some(photo) = chat.photo {
        let (id, unique) = (file_id::encode(bot, photo), file_id::unique(photo));
        json["photo"] = json!({
            "small_file_id": id, "small_file_unique_id": unique, "big_file_id": id, "big_file_unique_id": unique,
        });
    }
    if chat.may_invite(bot) {
        set_some(&mut json, "invite_link", chat.invite_link().as_deref());
    }
    json
}

/// `ChatPermissions`.
fn permissions(may: Permissions) -> Value {
    json!({
        "can_send_messages": may.messages, "can_send_audios": may.audios, "can_send_documents": may.documents,
        "can_send_photos": may.photos, "can_send_videos": may.videos, "can_send_video_notes": may.videos,
        "can_send_voice_notes": may.voices, "can_send_polls": may.polls, "can_send_other_messages": may.other,
        "can_add_web_page_previews": may.previews, "can_change_info": may.change_info, "can_invite_users": may.invite,
        "can_pin_messages": may.pin, "can_manage_topics": may.topics,
    })
}

/// `ChatMember`.
pub fn chat_member(chat: &Chat, person: &User, member: &Member) -> Value {
    let mut json = json!({ "user": user(person), "status": member.status.name() });
    match member.status {
        MemberStatus::Creator => json["is_anonymous"] = false.into(),
        MemberStatus::Administrator => merge(&mut json, administrator(chat.kind, member.rights)),
        MemberStatus::Kicked => json["until_date"] = 0.into(),
        MemberStatus::Restricted => {
            merge(&mut json, json!({ "is_member": true, "until_date": 0 }));
            merge(&mut json, permissions(member.permissions));
        }
        MemberStatus::Member | MemberStatus::Left => {}
    }
    json
}

fn administrator(kind: ChatKind, rights: Rights) -> Value {
    let mut json = json!({
        "can_be_edited": false, "is_anonymous": false, "can_manage_chat": true, "can_change_info": rights.change_info,
        "can_delete_messages": rights.delete, "can_invite_users": rights.invite,
        "can_restrict_members": rights.restrict, "can_promote_members": rights.promote,
        "can_manage_video_chats": false, "can_post_stories": false, "can_edit_stories": false,
        "can_delete_stories": false,
    });
    // Each kind of chat has rights of its own.
    match kind {
        ChatKind::Channel => {
            json["can_post_messages"] = rights.post.into();
            json["can_edit_messages"] = rights.edit.into();
        }
        ChatKind::Group => json["can_pin_messages"] = rights.pin.into(),
        ChatKind::Supergroup => {
            json["can_pin_messages"] = rights.pin.into();
            json["can_manage_topics"] = rights.topics.into();
        }
    }
    json
}
