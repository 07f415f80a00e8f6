//! `getChat`, `getChatMember` and its like, `exportChatInviteLink`, `leaveChat`.

use serde_json::{Value, json};

use super::chat_id;
use crate::bot_api::reply::{ApiError, Done, MethodResult};
use crate::bot_api::request::Params;
use crate::bot_api::{BotApi, render};
use crate::world::{Chat, ChatKind, Member, MemberStatus, Place, SendError, State, UserId};

pub(super) fn get(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let id = chat_id(api, bot, params)?;
    let state = api.world.lock();
    if id > 0 {
        // A bot knows those who have written to it.
        let person = state.user(id).filter(|user| user.started.contains(&bot) || user.is_bot);
        let mut json = render::private_chat(person.ok_or_else(ApiError::chat_not_found)?);
        json["accent_color_id"] = 0.into();
        json["max_reaction_count"] = 11.into();
        return Ok(with_pinned(&state, bot, Place::seen_by(bot, id), json).into());
    }
    let json = render::full_chat(visible_chat(&state, bot, id)?, bot);
    Ok(with_pinned(&state, bot, Place::Chat(id), json).into())
}

pub(super) fn get_member(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let id = chat_id(api, bot, params)?;
    let user = params.number("user_id").filter(|id| *id > 0);
    let user: UserId = user.ok_or_else(|| ApiError::bad_request("invalid user_id specified"))?;
    let state = api.world.lock();
    let chat = visible_chat(&state, bot, id)?;
    let person = state.user(user).ok_or_else(|| ApiError::bad_request("user not found"))?;
    if user != bot {
        may_list(chat, bot)?;
    }
    let left = Member::new(MemberStatus::Left);
    Ok(render::chat_member(chat, person, chat.members.get(&user).unwrap_or(&left)).into())
}

/// All administrators but other bots.
pub(super) fn get_administrators(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let id = chat_id(api, bot, params)?;
    if id > 0 {
        return Err(ApiError::bad_request("there are no administrators in the private chat"));
    }
    let state = api.world.lock();
    let chat = visible_chat(&state, bot, id)?;
    may_list(chat, bot)?;
    let admins = chat.members.iter().filter(|(_, member)| member.status.is_admin());
    let people = admins.filter_map(|(id, member)| Some((state.user(*id)?, member)));
    let shown = people.filter(|(user, _)| !user.is_bot || user.id == bot);
    Ok(shown.map(|(user, member)| render::chat_member(chat, user, member)).collect::<Value>().into())
}

/// Who is in a channel is for its administrators to know.
fn may_list(chat: &Chat, bot: UserId) -> Result<(), ApiError> {
    let is_admin = chat.member(bot).is_some_and(|member| member.status.is_admin());
    if chat.kind == ChatKind::Channel && !is_admin {
        return Err(ApiError::bad_request("member list is inaccessible"));
    }
    Ok(())
}

fn with_pinned(state: &State, bot: UserId, place: Place, mut chat: Value) -> Value {
    if let Some(pinned) = state.messages().pinned(place).next() {
        chat["pinned_message"] = render::message(state, bot, pinned);
    }
    chat
}

pub(super) fn export_invite_link(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let id = chat_id(api, bot, params)?;
    let mut state = api.world.lock();
    if !visible_chat(&state, bot, id)?.may_invite(bot) {
        return Err(ApiError::bad_request("not enough rights to manage chat invite link"));
    }
    Ok(Value::from(state.new_invite(id)).into())
}

pub(super) fn leave(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let id = chat_id(api, bot, params)?;
    let mut state = api.world.lock();
    let chat = visible_chat(&state, bot, id)?;
    chat.member(bot).ok_or(SendError::NotMember(chat.kind))?;
    state.set_member(id, bot, Member::new(MemberStatus::Left), bot);
    Ok(Done::yes())
}

pub(super) fn count_members(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let id = chat_id(api, bot, params)?;
    let state = api.world.lock();
    Ok(json!(visible_chat(&state, bot, id)?.member_count()).into())
}

/// A chat that the bot is in, or that is public.
fn visible_chat(state: &State, bot: UserId, id: i64) -> Result<&Chat, ApiError> {
    let chat = state.chat(id).ok_or_else(ApiError::chat_not_found)?;
    if let Some(new) = chat.migrated_to {
        return Err(SendError::Migrated(new).into());
    }
    if chat.deleted {
        return Err(SendError::Deleted(chat.kind).into());
    }
    match chat.members.get(&bot).map(|member| member.status) {
        Some(MemberStatus::Kicked) => Err(SendError::Kicked(chat.kind).into()),
        Some(status) if status.is_inside() => Ok(chat),
        _ if chat.username.is_some() => Ok(chat),
        Some(_) => Err(SendError::NotMember(chat.kind).into()),
        None => Err(ApiError::chat_not_found()),
    }
}
