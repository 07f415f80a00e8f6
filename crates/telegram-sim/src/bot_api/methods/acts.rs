//! Deleting and pinning.

use super::{chat_id, message_id, message_ids, readable_place};
use crate::bot_api::BotApi;
use crate::bot_api::reply::{ApiError, Done, MethodResult};
use crate::bot_api::request::Params;
use crate::world::{ChatKind, Member, Message, Place, State, UserId};

/// Older messages are deleted by administrators only (seconds).
const DELETABLE: i64 = 48 * 3600;

pub(super) fn delete(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let chat = chat_id(api, bot, params)?;
    let id = message_id(params, "message_id")?;
    let mut state = api.world.lock();
    let place = readable_place(&state, bot, chat)?;
    let not_found = || ApiError::bad_request("message to delete not found");
    let message = state.messages().get(place, id).ok_or_else(not_found)?;
    may_delete(&state, bot, message)?;
    state.delete(place, id).ok_or_else(not_found)?;
    Ok(Done::yes())
}

/// What is not there is skipped.
pub(super) fn delete_many(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let chat = chat_id(api, bot, params)?;
    let ids = message_ids(params)?;
    let mut state = api.world.lock();
    let place = readable_place(&state, bot, chat)?;
    for id in &ids {
        state.messages().get(place, *id).map_or(Ok(()), |message| may_delete(&state, bot, message))?;
    }
    for id in ids {
        state.delete(place, id);
    }
    Ok(Done::yes())
}

/// Own messages, any in a private chat, and others' where the bot may as an administrator.
fn may_delete(state: &State, bot: UserId, message: &Message) -> Result<(), ApiError> {
    let own = message.from == bot;
    let is_new = chrono::Utc::now().timestamp() - message.date < DELETABLE;
    let refused = |what: &str| Err(ApiError::bad_request(what));
    let Place::Chat(id) = message.place else {
        return if is_new { Ok(()) } else { refused("message can't be deleted for everyone") };
    };
    let chat = state.chat(id);
    let member = chat.and_then(|chat| chat.member(bot));
    let posts = chat.is_none_or(|chat| chat.kind != ChatKind::Channel) || member.is_some_and(Member::may_post);
    if member.is_some_and(Member::may_delete) || (own && is_new && posts) {
        return Ok(());
    }
    refused("message can't be deleted")
}

pub(super) fn pin(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let id = message_id(params, "message_id")?;
    let (mut state, place) = pinning(api, bot, params)?;
    let message = state.messages().get(place, id);
    let message = message.ok_or_else(|| ApiError::bad_request("message to pin not found"))?;
    if message.body.service.is_some() {
        return Err(ApiError::bad_request("message can't be pinned"));
    }
    state.pin(place, id, true, bot, params.flag("disable_notification"));
    Ok(Done::yes())
}

pub(super) fn unpin(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let (mut state, place) = pinning(api, bot, params)?;
    let newest = state.messages().pinned(place).next().map(|message| message.id);
    let id = if params.has("message_id") { Some(message_id(params, "message_id")?) } else { newest };
    let known = id.filter(|id| state.messages().get(place, *id).is_some());
    let id = known.ok_or_else(|| ApiError::bad_request("message to unpin not found"))?;
    state.pin(place, id, false, bot, true);
    Ok(Done::yes())
}

pub(super) fn unpin_all(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let (mut state, place) = pinning(api, bot, params)?;
    let pinned: Vec<i32> = state.messages().pinned(place).map(|message| message.id).collect();
    for id in pinned {
        state.pin(place, id, false, bot, true);
    }
    Ok(Done::yes())
}

/// The place where the bot wants to change what is pinned, and may.
fn pinning<'a>(
    api: &'a BotApi,
    bot: UserId,
    params: &Params,
) -> Result<(std::sync::MutexGuard<'a, State>, Place), ApiError> {
    let chat = chat_id(api, bot, params)?;
    let state = api.world.lock();
    let place = readable_place(&state, bot, chat)?;
    let may = match place {
        Place::Private(..) => true,
        Place::Chat(id) => state.chat(id).is_some_and(|chat| chat.may_pin(bot)),
    };
    if may {
        Ok((state, place))
    } else {
        Err(ApiError::bad_request("not enough rights to manage pinned messages in the chat"))
    }
}
