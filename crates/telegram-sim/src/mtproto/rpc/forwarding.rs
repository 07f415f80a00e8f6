//! Forwarding messages.

use grammers_tl_types::{enums, functions::messages as f, types};

use super::sending::{Draft, deliver};
use super::{Call, Reply, RpcError};
use crate::world::{Body, ChatKind, Place, renew_albums};

/// Most messages at once.
const MAX_FORWARDED: usize = 100;

pub fn forward_messages(call: &Call<'_>, request: &f::ForwardMessages) -> Reply<enums::Updates> {
    if request.schedule_date.is_some() {
        return Err(RpcError::bad("SCHEDULE_DATE_INVALID"));
    }
    if request.id.is_empty() || request.id.len() > MAX_FORWARDED {
        return Err(RpcError::bad("MESSAGE_IDS_EMPTY"));
    }
    if request.id.len() != request.random_id.len() {
        return Err(RpcError::bad("RANDOM_ID_INVALID"));
    }
    let mut bodies = read(call, request)?;
    renew_albums(&mut bodies);
    let drafts = bodies.into_iter().zip(&request.random_id);
    let drafts = drafts.map(|(body, random_id)| Draft::new(*random_id, body)).collect();
    let in_topic = request.top_msg_id.map(|topic| {
        types::InputReplyToMessage {
            reply_to_msg_id: topic,
            top_msg_id: Some(topic),
            reply_to_peer_id: None,
            quote_text: None,
            quote_entities: None,
            quote_offset: None,
            monoforum_peer_id: None,
            todo_item_id: None,
            poll_option: None,
        }
        .into()
    });
    deliver(call, &request.to_peer, in_topic.as_ref().or(request.reply_to.as_ref()), drafts)
}

/// What is forwarded.
fn read(call: &Call<'_>, request: &f::ForwardMessages) -> Reply<Vec<Body>> {
    let me = call.me()?;
    let world = call.core.world.lock();
    let from = Place::seen_by(me, call.peer(&world, &request.from_peer)?);
    let target = call.peer(&world, &request.to_peer)?;
    let is_slow = world.chat(target).is_some_and(|chat| {
        let plain = chat.member(me).is_some_and(|member| !member.status.is_admin());
        chat.slow_mode > 0 && chat.kind != ChatKind::Channel && plain
    });
    if is_slow && request.id.len() > 1 {
        return Err(RpcError::bad("SLOWMODE_MULTI_MSGS_DISABLED"));
    }
    let mut bodies = Vec::new();
    for id in &request.id {
        let known = world.messages().get(from, *id).filter(|known| known.body.service.is_none());
        let known = known.ok_or(RpcError::bad("MESSAGE_ID_INVALID"))?;
        if world.is_protected(known) {
            return Err(RpcError::bad("CHAT_FORWARDS_RESTRICTED"));
        }
        let mut body = world.forward_of(known);
        if request.drop_author || request.drop_media_captions {
            body.forwarded = None;
        }
        if request.drop_media_captions && body.media.is_some() {
            (body.text, body.entities) = (String::new(), Vec::new());
        }
        (body.silent, body.protected) = (request.silent, request.noforwards);
        bodies.push(body);
    }
    Ok(bodies)
}
