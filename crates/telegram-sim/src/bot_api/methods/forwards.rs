//! `forwardMessage`, `copyMessage` and their plurals.

use std::sync::Arc;

use serde_json::{Value, json};

use super::draft::{Draft, deliver};
use super::{chat_of, message_id, message_ids, readable_place};
use crate::bot_api::reply::{ApiError, MethodResult};
use crate::bot_api::request::Params;
use crate::bot_api::text::{Formatted, read_caption};
use crate::bot_api::{BotApi, render};
use crate::world::{Body, Message, UserId, renew_albums};

pub(super) fn forward(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let id = message_id(params, "message_id")?;
    let found = source(api, bot, params, &[id])?;
    let message = found.first().ok_or_else(|| ApiError::bad_request("message to forward not found"))?;
    if !may_leave(api, message) {
        return Err(ApiError::bad_request("the message can't be forwarded"));
    }
    let draft = Draft { body: api.world.lock().forward_of(message), ..Draft::default() };
    let sent = deliver(api, bot, params, vec![draft])?;
    let state = api.world.lock();
    Ok(sent.first().map_or(Value::Null, |message| render::message(&state, bot, message)).into())
}

pub(super) fn copy(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let id = message_id(params, "message_id")?;
    let found = source(api, bot, params, &[id])?;
    let message = found.first().ok_or_else(|| ApiError::bad_request("message to copy not found"))?;
    if !may_leave(api, message) {
        return Err(ApiError::bad_request("the message can't be copied"));
    }
    let mut body = copy_of(&message.body);
    if params.has("caption") && body.media.is_some() {
        let entities = params.json("caption_entities", "caption entities")?;
        let Formatted { text, entities } = read_caption(params.get("caption"), params.get("parse_mode"), entities)?;
        let caption_above = params.flag("show_caption_above_media");
        body = Body { text, entities, caption_above, ..body };
    }
    let sent = deliver(api, bot, params, vec![Draft { body, ..Draft::default() }])?;
    Ok(sent.first().map_or(Value::Null, |message| json!({ "message_id": message.id })).into())
}

/// What cannot be forwarded or is not there is skipped; albums stay together.
pub(super) fn forward_many(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    many(api, bot, params, "there are no messages to forward", |message| api.world.lock().forward_of(message))
}

pub(super) fn copy_many(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    many(api, bot, params, "there are no messages to copy", |message| {
        let body = copy_of(&message.body);
        let without = params.flag("remove_caption") && body.media.is_some();
        if without { Body { text: String::new(), entities: Vec::new(), ..body } } else { body }
    })
}

fn many(api: &BotApi, bot: UserId, params: &Params, none: &str, make: impl Fn(&Message) -> Body) -> MethodResult {
    let ids = message_ids(params)?;
    if !ids.is_sorted_by(|a, b| a < b) {
        return Err(ApiError::bad_request("message identifiers must be in a strictly increasing order"));
    }
    let found: Vec<_> = source(api, bot, params, &ids)?.into_iter().filter(|message| may_leave(api, message)).collect();
    if found.is_empty() {
        return Err(ApiError::bad_request(none));
    }
    let mut bodies: Vec<Body> = found.iter().map(|message| make(message)).collect();
    renew_albums(&mut bodies);
    let drafts = bodies.into_iter().map(|body| Draft { body, ..Draft::default() }).collect();
    let sent = deliver(api, bot, params, drafts)?;
    Ok(sent.iter().map(|message| json!({ "message_id": message.id })).collect::<Value>().into())
}

/// The messages with these ids in the chat that they come from.
fn source(api: &BotApi, bot: UserId, params: &Params, ids: &[i32]) -> Result<Vec<Arc<Message>>, ApiError> {
    let from = chat_of(api, bot, params.get("from_chat_id"), "from_chat_id")?;
    let state = api.world.lock();
    let place = readable_place(&state, bot, from)?;
    let found = ids.iter().filter_map(|id| state.messages().get(place, *id).cloned());
    Ok(found.filter(|message| message.body.service.is_none()).collect())
}

fn may_leave(api: &BotApi, message: &Message) -> bool {
    !api.world.lock().is_protected(message)
}

/// A message of the same content, without where it comes from.
fn copy_of(body: &Body) -> Body {
    Body {
        text: body.text.clone(),
        entities: body.entities.clone(),
        media: body.media.clone(),
        caption_above: body.caption_above,
        poll: body.poll.clone(),
        location: body.location,
        link_preview: body.link_preview.clone(),
        album: body.album,
        ..Body::default()
    }
}
