//! Bots and users.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Refusal, done};
use crate::bot_api::token_bot_id;
use crate::sim::Core;
use crate::world::{self, NewUser, UserId};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NewBot {
    token: Option<String>,
    username: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BotChange {
    reads_all_group_messages: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Revocation {
    renew: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NewPerson {
    id: Option<UserId>,
    first_name: Option<String>,
    last_name: Option<String>,
    username: Option<String>,
    phone: Option<String>,
    /// Bots that the user starts.
    starts: Vec<UserId>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PersonChange {
    deactivated: Option<bool>,
}

pub(super) async fn list_bots(State(core): State<Core>) -> Json<Value> {
    let state = core.world.lock();
    let bots = state.bots().map(|bot| bot_json(&state, bot)).collect();
    Json(Value::Array(bots))
}

pub(super) async fn add_bot(State(core): State<Core>, Json(new): Json<NewBot>) -> Answer {
    if let Some(token) = &new.token
        && token_bot_id(token).is_none()
    {
        return Err(Refusal::bad(
            "a token is <digits>:<35 characters of A-Z a-z 0-9 _ ->; leave it out for a fresh one",
        ));
    }
    let mut state = core.world.lock();
    let token = state.add_bot(new.token, new.username);
    let bot = state.bot_by_token(&token).and_then(|id| state.bot(id));
    bot.map(|bot| Json(bot_json(&state, bot))).ok_or_else(|| Refusal::not_found("such bot"))
}

pub(super) async fn change_bot(
    State(core): State<Core>,
    Path(id): Path<UserId>,
    Json(change): Json<BotChange>,
) -> Answer {
    let mut state = core.world.lock();
    let bot = state.bot_mut(id).ok_or_else(|| Refusal::not_found(format_args!("bot {id}")))?;
    bot.reads_all_group_messages = change.reads_all_group_messages.unwrap_or(bot.reads_all_group_messages);
    Ok(done())
}

pub(super) async fn revoke(
    State(core): State<Core>,
    Path(id): Path<UserId>,
    Json(revocation): Json<Revocation>,
) -> Answer {
    let mut state = core.world.lock();
    state.bot(id).ok_or_else(|| Refusal::not_found(format_args!("bot {id}")))?;
    Ok(Json(json!({ "token": state.revoke_token(id, revocation.renew) })))
}

pub(super) async fn list_users(State(core): State<Core>) -> Json<Value> {
    let state = core.world.lock();
    let people = state.users().filter(|user| !user.is_bot).map(person_json).collect();
    Json(Value::Array(people))
}

pub(super) async fn add_user(State(core): State<Core>, Json(new): Json<NewPerson>) -> Answer {
    if new.id.is_some_and(|id| id <= 0) {
        return Err(Refusal::bad("the id of a user is positive; leave it out for a fresh one"));
    }
    let mut state = core.world.lock();
    if new.id.and_then(|id| state.user(id)).is_some_and(|user| user.is_bot) {
        return Err(Refusal::bad("that id belongs to a bot"));
    }
    let NewPerson { id, first_name, last_name, username, phone, starts } = new;
    let id = state.add_user(NewUser { id, first_name, last_name, username, phone });
    for bot in starts {
        state.start_bot(id, bot);
    }
    state.user(id).map(|user| Json(person_json(user))).ok_or_else(|| Refusal::not_found("such user"))
}

pub(super) async fn change_user(
    State(core): State<Core>,
    Path(id): Path<UserId>,
    Json(change): Json<PersonChange>,
) -> Answer {
    let mut state = core.world.lock();
    let user = state.user_mut(id).ok_or_else(|| Refusal::not_found(format_args!("user {id}")))?;
    user.deactivated = change.deactivated.unwrap_or(user.deactivated);
    Ok(done())
}

/// `start`, `block` or `unblock` a bot or user.
pub(super) async fn act(State(core): State<Core>, Path((id, verb, other)): Path<(UserId, String, UserId)>) -> Answer {
    let mut state = core.world.lock();
    for user in [id, other] {
        state.user(user).ok_or_else(|| Refusal::not_found(format_args!("user or bot {user}")))?;
    }
    match verb.as_str() {
        "start" => state.start_bot(id, other),
        "block" => state.block(id, other),
        "unblock" => state.unblock(id, other),
        _ => return Err(Refusal::bad("a user can start, block or unblock")),
    }
    Ok(done())
}

fn bot_json(state: &world::State, bot: &world::Bot) -> Value {
    let user = state.user(bot.id);
    json!({
        "id": bot.id, "token": bot.token, "name": user.map(world::User::full_name),
        "username": user.and_then(|user| user.username.as_deref()),
        "reads_all_group_messages": bot.reads_all_group_messages, "pending_updates": bot.updates.len(),
    })
}

fn person_json(user: &world::User) -> Value {
    let mut started: Vec<_> = user.started.iter().collect();
    let mut blocked: Vec<_> = user.blocked.iter().collect();
    started.sort_unstable();
    blocked.sort_unstable();
    json!({
        "id": user.id, "first_name": user.first_name, "last_name": user.last_name, "username": user.username,
        "phone": user.phone, "deactivated": user.deactivated, "started": started, "blocked": blocked,
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateToTell {
    kind: String,
    content: Value,
}

/// Queues an update of any kind, which the simulator would not make by itself.
pub(super) async fn tell(State(core): State<Core>, Path(id): Path<UserId>, Json(update): Json<UpdateToTell>) -> Answer {
    let told = core.world.lock().tell(id, update.kind, update.content);
    if told { Ok(done()) } else { Err(Refusal::not_found(format_args!("bot {id}"))) }
}
