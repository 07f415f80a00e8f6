//! Groups, supergroups and channels.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Refusal, done};
use crate::sim::Core;
use crate::world::{Chat, ChatId, ChatKind, Member, MemberStatus, NewChat, Rights, UserId};

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
    /// Who did it; the creator if left out.
    by: Option<UserId>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ChatChange {
    title: Option<String>,
    slow_mode: Option<u32>,
    members_may_send: Option<bool>,
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
    let chat = state.chat_mut(id).ok_or_else(|| Refusal::not_found(format_args!("chat {id}")))?;
    if let Some(title) = change.title.filter(|title| !title.is_empty()) {
        chat.title = title;
    }
    chat.slow_mode = change.slow_mode.unwrap_or(chat.slow_mode);
    chat.members_may_send = change.members_may_send.unwrap_or(chat.members_may_send);
    Ok(done())
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
    let chat = state.chat(id).ok_or_else(|| Refusal::not_found(format_args!("chat {id}")))?;
    let creator = chat.members.iter().find(|(_, member)| member.status == MemberStatus::Creator);
    let by = standing.by.or(creator.map(|(creator, _)| *creator)).unwrap_or(user);
    let member = Member { rights: standing.rights, ..Member::new(standing.status) };
    state.set_member(id, user, member, by);
    Ok(done())
}

fn chat_json(chat: &Chat) -> Value {
    let member =
        |(id, member): (&UserId, &Member)| json!({ "user_id": id, "status": member.status, "rights": member.rights });
    json!({
        "id": chat.id, "kind": chat.kind, "title": chat.title, "username": chat.username,
        "slow_mode": chat.slow_mode, "members_may_send": chat.members_may_send,
        "migrated_to": chat.migrated_to, "migrated_from": chat.migrated_from,
        "members": chat.members.iter().map(member).collect::<Vec<_>>(),
    })
}
