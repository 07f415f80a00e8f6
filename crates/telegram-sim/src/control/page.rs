//! The pages: chats and messages as a person would see them, and the person's phone.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::Stream;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::messages::message_json;
use super::{Answer, Refusal};
use crate::sim::Core;
use crate::world::{self, EntityKind, MediaKind, Place, UserId};

/// Most messages that the page shows of one chat, and most chats.
const SHOWN: usize = 200;
/// Events closer together than this are announced as one.
const GATHER: Duration = Duration::from_millis(100);
/// Everything comes from here; nothing inline runs.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";

pub(super) fn routes() -> Router<Core> {
    Router::new()
        .route("/", get(async || asset("text/html; charset=utf-8", include_str!("page/index.html"))))
        .route("/page/page.css", get(async || asset("text/css; charset=utf-8", include_str!("page/page.css"))))
        .route("/page/page.js", get(async || asset("text/javascript; charset=utf-8", include_str!("page/page.js"))))
        .route("/phone", get(async || asset("text/html; charset=utf-8", include_str!("page/phone.html"))))
        .route("/page/phone.css", get(async || asset("text/css; charset=utf-8", include_str!("page/phone.css"))))
        .route("/page/phone.js", get(async || asset("text/javascript; charset=utf-8", include_str!("page/phone.js"))))
        .route("/page/chats", get(chats))
        .route("/page/chats/{key}", get(chat))
        .route("/events", get(events))
}

fn asset(content_type: &'static str, body: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}

/// The chats: those with messages by the newest, then the empty ones.
async fn chats(State(core): State<Core>) -> Json<Value> {
    let state = core.world.lock();
    let mut places: Vec<Place> = state.messages().places().collect();
    places.extend(state.chats().map(|chat| Place::Chat(chat.id)));
    for user in state.users() {
        places.extend(user.started.iter().map(|bot| Place::seen_by(user.id, *bot)));
    }
    places.sort_unstable();
    places.dedup();
    let newest = |place: &Place| state.messages().history(*place).next().map(|message| message.uid);
    places.sort_by_cached_key(|place| std::cmp::Reverse(newest(place)));
    Json(places.into_iter().take(SHOWN).map(|place| chat_summary(&state, place)).collect())
}

/// The newest messages of a chat, oldest first.
async fn chat(State(core): State<Core>, Path(key): Path<String>) -> Answer {
    let place = parse_key(&key).ok_or_else(|| Refusal::bad("a chat is <chat id>, or <user id>_<user id>"))?;
    let state = core.world.lock();
    let mut messages: Vec<Value> = state
        .messages()
        .history(place)
        .take(SHOWN)
        .map(|message| {
            let mut json = message_json(message);
            json["author"] = json!(author(&state, message));
            json["mentions"] = mentions(&state, message);
            json["origin"] = origin(&state, message);
            json["preview"] = json!(has_preview(&state, message));
            if let Some(answered) = message.body.reply_to.and_then(|id| state.messages().get(place, id)) {
                json["answered"] = json!({ "author": author(&state, answered), "text": answered.body.text });
            }
            json
        })
        .collect();
    messages.reverse();
    let mut chat = chat_summary(&state, place);
    chat["messages"] = json!(messages);
    Ok(Json(chat))
}

/// Says `changed` whenever something did.
async fn events(State(core): State<Core>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stream = futures::stream::unfold(core.world.subscribe(), |mut events| async move {
        if let Err(RecvError::Closed) = events.recv().await {
            return None;
        }
        tokio::time::sleep(GATHER).await;
        Some((Ok(Event::default().data("changed")), events.resubscribe()))
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

/// What the list shows.
fn chat_summary(state: &world::State, place: Place) -> Value {
    let mut json = match place {
        Place::Private(low, high) => private_summary(state, low, high),
        Place::Chat(id) => {
            let chat = state.chat(id);
            // Who writes from the page: the owner.
            let owner = chat
                .and_then(|chat| chat.members.iter().find(|(_, member)| member.status == world::MemberStatus::Creator));
            json!({
                "key": id.to_string(), "kind": chat.map(|chat| chat.kind.name()), "chat_id": id,
                "title": chat.map(|chat| chat.title.as_str()), "me": owner.map(|(owner, _)| *owner),
                "note": chat.map(|chat| format!("{} · {} members", chat.kind.name(), chat.member_count())),
            })
        }
    };
    if let Some(newest) = state.messages().history(place).next() {
        json["last_text"] = json!(summary(&newest.body));
        json["last_date"] = json!(newest.date);
    }
    json
}

/// A message in a few words: its text, or what it is.
fn summary(body: &world::Body) -> String {
    match (&body.service, &body.media, &body.poll, &body.location) {
        (Some(_), ..) => "the chat changed".to_owned(),
        _ if !body.text.is_empty() => body.text.clone(),
        (_, Some(media), ..) => format!("{}: {}", media.kind.name(), media.name),
        (.., Some(poll), _) => format!("poll: {}", poll.question),
        (.., Some(_)) => "location".to_owned(),
        _ => String::new(),
    }
}

/// Shown from the person's side: the other one is the title.
fn private_summary(state: &world::State, low: UserId, high: UserId) -> Value {
    let is_bot = |id: UserId| state.user(id).is_some_and(|user| user.is_bot);
    let (me, other) = if is_bot(low) { (high, low) } else { (low, high) };
    let kind = if is_bot(other) { "bot" } else { "private" };
    json!({
        "key": format!("{low}_{high}"), "kind": kind, "title": name(state, other), "chat_id": other, "me": me,
        "note": format!("{kind} · seen by {}", name(state, me)),
    })
}

fn author(state: &world::State, message: &world::Message) -> String {
    if let Place::Chat(id) = message.place
        && let Some(channel) = state.chat(id).filter(|chat| chat.kind == world::ChatKind::Channel)
    {
        return channel.title.clone();
    }
    name(state, message.from)
}

fn name(state: &world::State, id: UserId) -> String {
    state.user(id).map_or_else(|| format!("User {id}"), world::User::full_name)
}

/// From whom a message was forwarded.
fn origin(state: &world::State, message: &world::Message) -> Value {
    let Some(origin) = message.body.forwarded else { return Value::Null };
    let channel = origin.channel.and_then(|id| state.chat(id)).map(|chat| chat.title.clone());
    json!(channel.unwrap_or_else(|| name(state, origin.user.unwrap_or_default())))
}

/// Whether there is a picture to show.
fn has_preview(state: &world::State, message: &world::Message) -> bool {
    let file = message.body.media.as_ref().filter(|media| media.kind == MediaKind::Photo);
    let file = file.and_then(|media| state.files().get(media.file_id));
    file.is_some_and(|file| file.content.picture.is_some() && file.content.bytes.is_some())
}

/// Names of mentioned users by id.
fn mentions(state: &world::State, message: &world::Message) -> Value {
    let ids = message.body.entities.iter().filter_map(|entity| match entity.kind {
        EntityKind::TextMention { user_id } => Some(user_id),
        _ => None,
    });
    ids.map(|id| (id.to_string(), json!(name(state, id)))).collect::<serde_json::Map<_, _>>().into()
}

fn parse_key(key: &str) -> Option<Place> {
    match key.split_once('_') {
        Some((low, high)) => Some(Place::seen_by(low.parse().ok()?, high.parse().ok().filter(|id: &i64| *id > 0)?)),
        None => key.parse().ok().filter(|id| *id < 0).map(Place::Chat),
    }
}
