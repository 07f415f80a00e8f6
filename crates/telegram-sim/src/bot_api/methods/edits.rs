//! `editMessageText` and its like.

use std::sync::Arc;

use serde_json::Value;

use super::{chat_id, contents, media, message_id, readable_place};
use crate::bot_api::reply::{ApiError, MethodResult};
use crate::bot_api::request::Params;
use crate::bot_api::text::{Formatted, read_caption};
use crate::bot_api::{BotApi, markup, render};
use crate::world::{Body, ChatKind, Message, Place, State, UserId};

pub(super) fn text(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let Formatted { text, entities } = contents::text(params)?;
    let link_preview = contents::link_preview(params)?;
    edit(api, bot, params, |_, old| {
        if old.media.is_some() || old.poll.is_some() || old.location.is_some() {
            return Err(ApiError::bad_request("there is no text in the message to edit"));
        }
        Ok(Body { text, entities, link_preview, ..old.clone() })
    })
}

pub(super) fn caption(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let entities = params.json("caption_entities", "caption entities")?;
    let Formatted { text, entities } = read_caption(params.get("caption"), params.get("parse_mode"), entities)?;
    edit(api, bot, params, |_, old| {
        if old.media.is_none() {
            return Err(ApiError::bad_request("there is no caption in the message to edit"));
        }
        Ok(Body { text, entities, caption_above: params.flag("show_caption_above_media"), ..old.clone() })
    })
}

pub(super) fn reply_markup(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    edit(api, bot, params, |_, old| Ok(old.clone()))
}

pub(super) fn media(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let item = params.json("media", "media")?.unwrap_or(Value::Null);
    let draft = media::read_item(&api.world.lock(), bot, &item, params, false)?;
    edit(api, bot, params, |state, old| {
        if old.poll.is_some() || old.location.is_some() {
            return Err(ApiError::bad_request("message can't be edited"));
        }
        let fits = match (&old.media, &draft.body.media) {
            (Some(old), Some(new)) => old.kind.goes_with(new.kind),
            _ => false,
        };
        if old.album.is_some() && !fits {
            return Err(ApiError::bad_request("MEDIA_GROUPED_INVALID"));
        }
        draft.check_upload()?;
        let Body { text, entities, caption_above, media, .. } = draft.store(state);
        Ok(Body { text, entities, caption_above, media, link_preview: None, ..old.clone() })
    })
}

/// Replaces a message by what `change` makes of it, with the buttons that the request has.
fn edit(
    api: &BotApi,
    bot: UserId,
    params: &Params,
    change: impl FnOnce(&mut State, &Body) -> Result<Body, ApiError>,
) -> MethodResult {
    let buttons = markup::read_buttons(params)?;
    let chat = chat_id(api, bot, params)?;
    let id = message_id(params, "message_id")?;
    let mut state = api.world.lock();
    let place = readable_place(&state, bot, chat)?;
    let not_found = || ApiError::bad_request("message to edit not found");
    let old = state.messages().get(place, id).map(Arc::clone).ok_or_else(not_found)?;
    if old.body.service.is_some() || !may_edit(&state, bot, &old) {
        return Err(ApiError::bad_request("message can't be edited"));
    }
    let new = Body { buttons, ..change(&mut state, &old.body)? };
    if new == old.body {
        return Err(ApiError::bad_request(
            "message is not modified: specified new message content and reply markup are exactly the same as a current \
             content and reply markup of the message",
        ));
    }
    api.limiter.take(bot, chat).map_err(ApiError::too_many_requests)?;
    let edited = state.edit(place, id, |body| *body = new).ok_or_else(not_found)?;
    Ok(render::message(&state, bot, &edited).into())
}

/// Own messages; in a channel with the right to post, and those of others with the right to edit.
fn may_edit(state: &State, bot: UserId, message: &Message) -> bool {
    let own = message.from == bot;
    match message.place {
        Place::Chat(id) if state.chat(id).is_some_and(|chat| chat.kind == ChatKind::Channel) => {
            let member = state.chat(id).and_then(|chat| chat.member(bot));
            member.is_some_and(|member| member.may_edit() || (own && member.may_post()))
        }
        _ => own,
    }
}
