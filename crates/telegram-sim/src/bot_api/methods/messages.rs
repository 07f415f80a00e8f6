//! `sendMessage`, `editMessageText`, `deleteMessage`.

use serde_json::Value;

use super::chat_id;
use crate::bot_api::reply::{ApiError, Done, MethodResult};
use crate::bot_api::request::Params;
use crate::bot_api::text::{Formatted, clean, parse, read_entities};
use crate::bot_api::{BotApi, markup, render};
use crate::world::{Body, ChatKind, LinkPreview, Member, Message, Place, SendError, State, UserId, Via};

pub(super) fn send(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let Formatted { text, entities } = formatted(params)?;
    let reply = Reply::read(params)?;
    let mut body = Body {
        text,
        entities,
        reply_to: reply.message_id,
        thread: params.number("message_thread_id"),
        silent: params.flag("disable_notification"),
        protected: params.flag("protect_content"),
        link_preview: link_preview(params)?,
        buttons: markup::read_buttons(params)?,
        via: Via::BotApi,
        ..Body::default()
    };
    let chat = chat_id(api, bot, params)?;
    let mut state = api.world.lock();
    state.may_send(bot, chat)?;
    api.limiter.take(bot, chat).map_err(ApiError::too_many_requests)?;
    let place = Place::seen_by(bot, chat);
    if reply.may_be_missing && body.reply_to.is_some_and(|id| state.messages().get(place, id).is_none()) {
        body.reply_to = None;
    }
    let message = state.send(bot, chat, body)?;
    Ok(render::message(&state, bot, &message).into())
}

pub(super) fn edit_text(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let Formatted { text, entities } = formatted(params)?;
    let (link_preview, buttons) = (link_preview(params)?, markup::read_buttons(params)?);
    let chat = chat_id(api, bot, params)?;
    let id = message_id(params)?;
    let mut state = api.world.lock();
    let place = readable_place(&state, bot, chat)?;
    let old = state.messages().get(place, id).ok_or_else(|| ApiError::bad_request("message to edit not found"))?;
    if old.from != bot || old.body.media.is_some() {
        return Err(ApiError::bad_request("message can't be edited"));
    }
    if old.body.text == text && old.body.entities == entities && old.body.buttons == buttons {
        return Err(ApiError::bad_request(
            "message is not modified: specified new message content and reply markup are exactly the same as a current \
             content and reply markup of the message",
        ));
    }
    api.limiter.take(bot, chat).map_err(ApiError::too_many_requests)?;
    let change = |body: &mut Body| {
        (body.text, body.entities, body.link_preview, body.buttons) = (text, entities, link_preview, buttons);
    };
    let edited = state.edit(place, id, change);
    let edited = edited.ok_or_else(|| ApiError::bad_request("message to edit not found"))?;
    Ok(render::message(&state, bot, &edited).into())
}

pub(super) fn delete(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let chat = chat_id(api, bot, params)?;
    let id = message_id(params)?;
    let mut state = api.world.lock();
    let place = readable_place(&state, bot, chat)?;
    let not_found = || ApiError::bad_request("message to delete not found");
    let message = state.messages().get(place, id).ok_or_else(not_found)?;
    if !may_delete(&state, bot, message) {
        return Err(ApiError::bad_request("message can't be deleted"));
    }
    state.delete(place, id).ok_or_else(not_found)?;
    Ok(Done::yes())
}

/// Own messages, any in a private chat, and others' where the bot may as an administrator.
fn may_delete(state: &State, bot: UserId, message: &Message) -> bool {
    let Place::Chat(chat) = message.place else { return true };
    message.from == bot || state.chat(chat).and_then(|chat| chat.member(bot)).is_some_and(Member::may_delete)
}

/// Text and entities from `text`, `parse_mode` and `entities`; a parse mode wins.
fn formatted(params: &Params) -> Result<Formatted, ApiError> {
    let (text, mode) = (params.get("text"), params.get("parse_mode"));
    if text.is_empty() {
        return Err(ApiError::bad_request("message text is empty"));
    }
    if !mode.is_empty() {
        return parse(text, mode);
    }
    let entities = params.json("entities", "entities")?.map(|entities| read_entities(entities, text));
    clean(Formatted { text: text.to_owned(), entities: entities.transpose()?.unwrap_or_default() })
}

fn link_preview(params: &Params) -> Result<Option<LinkPreview>, ApiError> {
    if let Some(options) = params.json("link_preview_options", "link preview options")? {
        let wrong = |_| ApiError::bad_request("can't parse link preview options");
        return serde_json::from_value(options).map(Some).map_err(wrong);
    }
    let disabled = params.flag("disable_web_page_preview");
    Ok(disabled.then(|| LinkPreview { is_disabled: Some(true), ..LinkPreview::default() }))
}

/// What is answered: `reply_parameters`, or the older `reply_to_message_id`.
#[derive(Default)]
struct Reply {
    message_id: Option<i32>,
    may_be_missing: bool,
}

impl Reply {
    fn read(params: &Params) -> Result<Self, ApiError> {
        let Some(reply) = params.json("reply_parameters", "reply parameters")? else {
            return Ok(Self {
                message_id: params.number("reply_to_message_id").filter(|id| *id > 0),
                may_be_missing: params.flag("allow_sending_without_reply"),
            });
        };
        if !reply.is_object() {
            return Err(ApiError::bad_request("reply parameters must be an Object"));
        }
        let id = reply["message_id"].as_i64().and_then(|id| i32::try_from(id).ok());
        let id =
            id.ok_or_else(|| ApiError::bad_request("can't parse reply parameters: Can't find field \"message_id\""))?;
        Ok(Self { message_id: Some(id), may_be_missing: reply["allow_sending_without_reply"] == Value::Bool(true) })
    }
}

fn message_id(params: &Params) -> Result<i32, ApiError> {
    params
        .number("message_id")
        .filter(|id| *id > 0)
        .ok_or_else(|| ApiError::bad_request("message identifier is not specified"))
}

/// The place of a chat that the bot can still see.
fn readable_place(state: &State, bot: UserId, chat: i64) -> Result<Place, ApiError> {
    match state.may_send(bot, chat) {
        // Who may not write may still read, edit and delete.
        Ok(())
        | Err(
            SendError::NoRights(ChatKind::Group | ChatKind::Supergroup | ChatKind::Channel) | SendError::NotStarted,
        ) => Ok(Place::seen_by(bot, chat)),
        Err(error) => Err(error.into()),
    }
}
