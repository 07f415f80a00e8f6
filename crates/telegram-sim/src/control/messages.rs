//! Reading what arrived, and writing as a person.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Refusal, done};
use crate::bot_api::{Formatted, parse_text};
use crate::sim::Core;
use crate::world::{self, Body, ChatId, Filter, Message, Place, SendError, UserId, Via};

/// Most messages in one answer, unless the query asks for another number.
const DEFAULT_LIMIT: usize = 1000;
/// Most repeated texts that are named.
const MAX_REPEATED: usize = 100;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    /// Written by this bot.
    bot_id: Option<UserId>,
    /// Written by this user or bot; the same as `bot_id`.
    from: Option<UserId>,
    /// In this chat; a positive id is any private chat of that user.
    chat_id: Option<ChatId>,
    text: Option<String>,
    contains: Option<String>,
    after: Option<u64>,
    deleted: bool,
    service: bool,
    limit: Option<usize>,
}

impl Wanted {
    fn filter(self) -> Filter {
        Filter {
            from: self.bot_id.or(self.from),
            place: self.chat_id.filter(|chat| *chat < 0).map(Place::Chat),
            with: self.chat_id.filter(|chat| *chat > 0),
            text: self.text,
            contains: self.contains,
            after: self.after,
            deleted: self.deleted,
            service: self.service,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Writing {
    from: UserId,
    chat_id: ChatId,
    text: String,
    #[serde(default)]
    parse_mode: String,
    reply_to: Option<i32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Press {
    user_id: UserId,
    data: String,
}

pub(super) async fn find(State(core): State<Core>, Query(wanted): Query<Wanted>) -> Json<Value> {
    let limit = wanted.limit.unwrap_or(DEFAULT_LIMIT);
    let filter = wanted.filter();
    let state = core.world.lock();
    let mut found: Vec<Value> = Vec::new();
    let mut count = 0usize;
    for message in state.messages().find(&filter) {
        count += 1;
        if found.len() < limit {
            found.push(message_json(message));
        }
    }
    Json(json!({ "count": count, "arrived": state.messages().arrived(), "messages": found }))
}

/// How often each text arrived: whether all came exactly once is `repeated` being empty.
pub(super) async fn counts(State(core): State<Core>, Query(wanted): Query<Wanted>) -> Json<Value> {
    let filter = Filter { deleted: true, ..wanted.filter() };
    let state = core.world.lock();
    let mut counts: HashMap<(ChatId, &str), u64> = HashMap::new();
    let mut total = 0u64;
    for message in state.messages().find(&filter) {
        total += 1;
        *counts.entry((message.place.chat_for(message.from), &message.body.text)).or_default() += 1;
    }
    let repeated = counts.iter().filter(|(_, count)| **count > 1).take(MAX_REPEATED);
    let repeated: Vec<Value> =
        repeated.map(|((chat, text), count)| json!({ "chat_id": chat, "text": text, "count": count })).collect();
    Json(json!({ "total": total, "distinct": counts.len(), "repeated": repeated }))
}

pub(super) async fn write(State(core): State<Core>, Json(writing): Json<Writing>) -> Answer {
    let parsed = parse_text(&writing.text, &writing.parse_mode).map_err(|error| Refusal::bad(error.description()))?;
    let Formatted { text, entities } = parsed;
    let body = Body { text, entities, reply_to: writing.reply_to, via: Via::Control, ..Body::default() };
    let sent = core.world.lock().send(writing.from, writing.chat_id, body);
    let refused = |error: SendError| Refusal::bad(error.to_string());
    sent.map(|message| Json(message_json(&message))).map_err(refused)
}

pub(super) async fn clear(State(core): State<Core>) -> Json<Value> {
    core.world.lock().clear_messages();
    done()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rewriting {
    text: String,
    #[serde(default)]
    parse_mode: String,
}

/// The author edits a message.
pub(super) async fn edit(State(core): State<Core>, Path(uid): Path<u64>, Json(writing): Json<Rewriting>) -> Answer {
    let parsed = parse_text(&writing.text, &writing.parse_mode).map_err(|error| Refusal::bad(error.description()))?;
    let mut state = core.world.lock();
    let (place, id) = locate(&state, uid)?;
    let edited = state.edit(place, id, |body| (body.text, body.entities) = (parsed.text, parsed.entities));
    edited.map(|message| Json(message_json(&message))).ok_or_else(|| Refusal::not_found("such message"))
}

/// Somebody deletes a message for all.
pub(super) async fn remove(State(core): State<Core>, Path(uid): Path<u64>) -> Answer {
    let mut state = core.world.lock();
    let (place, id) = locate(&state, uid)?;
    state.delete(place, id).map(|_| done()).ok_or_else(|| Refusal::not_found("such message"))
}

fn locate(state: &world::State, uid: u64) -> Result<(Place, i32), Refusal> {
    let known = state.messages().by_uid(uid).filter(|message| !message.deleted);
    known.map(|message| (message.place, message.id)).ok_or_else(|| Refusal::not_found(format_args!("message {uid}")))
}

pub(super) async fn press(State(core): State<Core>, Path(uid): Path<u64>, Json(press): Json<Press>) -> Answer {
    if core.api.press(press.user_id, uid, &press.data) {
        Ok(done())
    } else {
        Err(Refusal::not_found("such message with a button that has this data"))
    }
}

/// A message as the control API shows it; `chat_id` is what its author calls the chat.
pub(super) fn message_json(message: &Message) -> Value {
    let world::Message { uid, id, from, date, arrived_ms, edited, edits, pinned, deleted, .. } = message;
    let mut json = json!(message.body);
    json["uid"] = json!(uid);
    json["message_id"] = json!(id);
    json["from"] = json!(from);
    json["chat_id"] = json!(message.place.chat_for(*from));
    json["date"] = json!(date);
    json["arrived_ms"] = json!(arrived_ms);
    json["edited"] = json!(edited);
    json["edits"] = json!(edits);
    json["pinned"] = json!(pinned);
    json["deleted"] = json!(deleted);
    json
}
