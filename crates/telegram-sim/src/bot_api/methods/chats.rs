//! `getChat`, `getChatMember`, `getChatMemberCount`.

use serde_json::json;

use super::chat_id;
use crate::bot_api::reply::{ApiError, MethodResult};
use crate::bot_api::request::Params;
use crate::bot_api::{BotApi, render};
use crate::world::{Chat, MemberStatus, SendError, State, UserId};

pub(super) fn get(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let id = chat_id(api, bot, params)?;
    let state = api.world.lock();
    if id > 0 {
        // A bot knows those who have written to it.
        let person = state.user(id).filter(|user| user.started.contains(&bot) || user.is_bot);
        let mut json = render::private_chat(person.ok_or_else(ApiError::chat_not_found)?);
        json["accent_color_id"] = 0.into();
        json["max_reaction_count"] = 11.into();
        return Ok(json.into());
    }
    Ok(render::full_chat(visible_chat(&state, bot, id)?).into())
}

pub(super) fn get_member(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let id = chat_id(api, bot, params)?;
    let user = params.number("user_id").filter(|id| *id > 0);
    let user: UserId = user.ok_or_else(|| ApiError::bad_request("invalid user_id specified"))?;
    let state = api.world.lock();
    let chat = visible_chat(&state, bot, id)?;
    let person = state.user(user).ok_or_else(|| ApiError::bad_request("user not found"))?;
    let member = chat.members.get(&user);
    let status = member.map_or(MemberStatus::Left, |member| member.status);
    Ok(render::chat_member(person, status, member).into())
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
    match chat.members.get(&bot).map(|member| member.status) {
        Some(MemberStatus::Kicked) => Err(SendError::Kicked(chat.kind).into()),
        Some(status) if status.is_inside() => Ok(chat),
        _ if chat.username.is_some() => Ok(chat),
        Some(_) => Err(SendError::NotMember(chat.kind).into()),
        None => Err(ApiError::chat_not_found()),
    }
}
