//! Groups, supergroups and channels.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Refusal, done};
use crate::sim::Core;
use crate::world::{self, Chat, ChatId, ChatKind, Member, MemberStatus, NewChat, Permissions, Rights, UserId};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChatToAdd {
    kind: ChatKind,
    id: Option<ChatId>,
    title: String,
    username: Option<String>,
    #[serde(default)]
    members: Vec<MemberToAdd>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberToAdd {
    user_id: UserId,
    status: MemberStatus,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Standing {
    status: MemberStatus,
    #[serde(default)]
    rights: Rights,
    /// What a restricted member may do; nothing if left out.
    permissions: Option<Permissions>,
    /// Who did it; the creator if left out.
    by: Option<UserId>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ChatChange {
    title: Option<String>,
    about: Option<String>,
    /// Empty takes the name away.
    username: Option<String>,
    slow_mode: Option<u32>,
    members_may_send: Option<bool>,
    /// What is left out of it is as in a new group.
    permissions: Option<Permissions>,
    is_forum: Option<bool>,
    protected: Option<bool>,
    /// 0 takes the link away.
    linked: Option<ChatId>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicToAdd {
    title: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TopicChange {
    title: Option<String>,
    closed: Option<bool>,
}

pub(super) async fn list(State(core): State<Core>) -> Json<Value> {
    let state = core.world.lock();
    Json(state.chats().map(chat_json).collect())
}

pub(super) async fn add(State(core): State<Core>, Json(new): Json<ChatToAdd>) -> Answer {
    if new.title.is_empty() {
        return Err(Refusal::bad("title must not be empty"));
    }
    let fits = |id: ChatId| match new.kind {
        ChatKind::Group => (-999_999_999_999..0).contains(&id),
        ChatKind::Supergroup | ChatKind::Channel => id < -1_000_000_000_000,
    };
    if new.id.is_some_and(|id| !fits(id)) {
        return Err(Refusal::bad("the id of a group is negative, that of a supergroup or channel begins with -100"));
    }
    let members = new.members.iter().map(|member| (member.user_id, member.status)).collect();
    let mut state = core.world.lock();
    let new = NewChat { kind: new.kind, id: new.id, title: new.title, username: new.username, members };
    let id = state.add_chat(new);
    state.chat(id).map(|chat| Json(chat_json(chat))).ok_or_else(|| Refusal::not_found("such chat"))
}

pub(super) async fn change(State(core): State<Core>, Path(id): Path<ChatId>, Json(change): Json<ChatChange>) -> Answer {
    let mut state = core.world.lock();
    let by = owner(&state, id)?;
    if let Some(title) = change.title.as_ref().filter(|title| !title.is_empty()) {
        state.rename_chat(id, title, by);
    }
    if let Some(username) = change.username.clone() {
        let username = Some(username).filter(|username| !username.is_empty());
        if !state.set_chat_username(id, username) {
            return Err(Refusal::bad("somebody else has this username"));
        }
    }
    state.change_chat(id, |chat| {
        if change.about.is_some() {
            chat.about = change.about.filter(|about| !about.is_empty());
        }
        chat.slow_mode = change.slow_mode.unwrap_or(chat.slow_mode);
        chat.members_may_send = change.members_may_send.unwrap_or(chat.members_may_send);
        chat.permissions = change.permissions.unwrap_or(chat.permissions);
        chat.is_forum = change.is_forum.unwrap_or(chat.is_forum);
        chat.protected = change.protected.unwrap_or(chat.protected);
        if let Some(linked) = change.linked {
            chat.linked = Some(linked).filter(|linked| *linked != 0);
        }
    });
    Ok(done())
}

/// Deletes the chat for everybody.
pub(super) async fn remove(State(core): State<Core>, Path(id): Path<ChatId>) -> Answer {
    let deleted = core.world.lock().delete_chat(id);
    if deleted { Ok(done()) } else { Err(no_chat(id)) }
}

/// A fresh invite link; the one before opens nothing any more.
pub(super) async fn new_invite(State(core): State<Core>, Path(id): Path<ChatId>) -> Answer {
    let link = core.world.lock().new_invite(id).ok_or_else(|| no_chat(id))?;
    Ok(Json(json!({ "link": link })))
}

pub(super) async fn revoke_invite(State(core): State<Core>, Path(id): Path<ChatId>) -> Json<Value> {
    core.world.lock().revoke_invite(id);
    done()
}

pub(super) async fn add_topic(
    State(core): State<Core>,
    Path(id): Path<ChatId>,
    Json(topic): Json<TopicToAdd>,
) -> Answer {
    let mut state = core.world.lock();
    let by = owner(&state, id)?;
    let added = state.add_topic(id, &topic.title, by);
    let added = added.ok_or_else(|| Refusal::bad("the chat is no forum; PATCH it with is_forum first"))?;
    Ok(Json(json!({ "id": added })))
}

pub(super) async fn change_topic(
    State(core): State<Core>,
    Path((id, topic)): Path<(ChatId, i32)>,
    Json(change): Json<TopicChange>,
) -> Answer {
    let mut state = core.world.lock();
    let known = state.topic_mut(id, topic).ok_or_else(|| Refusal::not_found(format_args!("topic {topic}")))?;
    known.closed = change.closed.unwrap_or(known.closed);
    if let Some(title) = change.title {
        known.title = title;
    }
    Ok(done())
}

pub(super) async fn remove_topic(State(core): State<Core>, Path((id, topic)): Path<(ChatId, i32)>) -> Answer {
    let removed = core.world.lock().remove_topic(id, topic);
    if removed { Ok(done()) } else { Err(Refusal::not_found(format_args!("topic {topic}"))) }
}

fn no_chat(id: ChatId) -> Refusal {
    Refusal::not_found(format_args!("chat {id}"))
}

/// Who does what nobody in particular does.
pub(super) fn owner(state: &world::State, id: ChatId) -> Result<UserId, Refusal> {
    state.chat(id).map(|chat| chat.creator().unwrap_or_default()).ok_or_else(|| no_chat(id))
}

pub(super) async fn migrate(State(core): State<Core>, Path(id): Path<ChatId>) -> Answer {
    let new = core.world.lock().migrate_group(id);
    let new = new.ok_or_else(|| Refusal::not_found(format_args!("basic group {id} that was not migrated before")))?;
    Ok(Json(json!({ "id": new })))
}

pub(super) async fn set_member(
    State(core): State<Core>,
    Path((id, user)): Path<(ChatId, UserId)>,
    Json(standing): Json<Standing>,
) -> Answer {
    let mut state = core.world.lock();
    let chat = state.chat(id).ok_or_else(|| no_chat(id))?;
    let by = standing.by.or(chat.creator()).unwrap_or(user);
    let permissions = standing.permissions.unwrap_or(Permissions::NONE);
    let member = Member { rights: standing.rights, permissions, ..Member::new(standing.status) };
    state.set_member(id, user, member, by);
    Ok(done())
}

fn chat_json(chat: &Chat) -> Value {
    let member = |(id, member): (&UserId, &Member)| json!({ "user_id": id, "status": member.status, "rights": member.rights, "permissions": member.permissions });
    json!({
        "id": chat.id, "kind": chat.kind, "title": chat.title, "username": chat.username, "about": chat.about,
        "slow_mode": chat.slow_mode, "members_may_send": chat.members_may_send, "permissions": chat.permissions,
        "is_forum": chat.is_forum, "topics": chat.topics, "protected": chat.protected, "linked": chat.linked,
        "photo": chat.photo, "invite_link": chat.invite_link(), "deleted": chat.deleted,
        "migrated_to": chat.migrated_to, "migrated_from": chat.migrated_from,
        "members": chat.members.iter().map(member).collect::<Vec<_>>(),
    })
}
