//! Editing, deleting and pinning messages.

use grammers_tl_types::{enums, functions::messages as f, types};

use super::attaching::attach;
use super::history::own_message;
use super::sending::{MAX_CAPTION, MAX_TEXT, entities, invert, last_pts, no_preview};
use super::{Call, Reply, RpcError};
use crate::mtproto::render::View;
use crate::mtproto::wire::msg_id::unix_time;
use crate::world::{Body, ChatKind, ContentKind, Member, Message, Place, State, UserId};

/// For so long a message can be edited, except where time does not count (seconds).
const EDITABLE: i64 = 48 * 3600;

pub fn edit_message(call: &Call<'_>, request: &f::EditMessage) -> Reply<enums::Updates> {
    let me = call.me()?;
    let (place, known) = {
        let world = call.core.world.lock();
        let chat = call.peer(&world, &request.peer)?;
        let place = Place::seen_by(me, chat);
        let known = world.messages().get(place, request.id).filter(|known| known.body.service.is_none());
        (place, known.cloned().ok_or(RpcError::bad("MESSAGE_ID_INVALID"))?)
    };
    may_edit(&call.core.world.lock(), me, &known)?;
    let body = edited(call, request, &known.body, me)?;
    if body == known.body {
        return Err(RpcError::bad("MESSAGE_NOT_MODIFIED"));
    }
    let mut cloud = call.cloud();
    let mut world = call.core.world.lock();
    cloud.sync(&world, None);
    let before = last_pts(&cloud, &world, me, place);
    world.edit(place, request.id, |old| *old = body).ok_or(RpcError::bad("MESSAGE_ID_INVALID"))?;
    cloud.sync(&world, Some(call.link.key_id));
    let mut view = View::new(&world, &cloud, me);
    let updates = view.updates_since(place, before);
    Ok(view.wrap(updates))
}

/// Own messages for two days, in a channel for ever and with the right to post; those of others in a channel with the
/// right to edit.
fn may_edit(world: &State, me: UserId, known: &Message) -> Reply<()> {
    let own = known.from == me;
    let chat = match known.place {
        Place::Chat(id) => world.chat(id),
        Place::Private(..) => None,
    };
    let member = chat.and_then(|chat| chat.member(me));
    if chat.is_some_and(|chat| chat.kind == ChatKind::Channel) {
        return match member {
            Some(member) if member.may_edit() || (own && member.may_post()) => Ok(()),
            Some(_) if own => Err(RpcError::bad("CHAT_ADMIN_REQUIRED")),
            _ => Err(RpcError::forbidden("MESSAGE_AUTHOR_REQUIRED")),
        };
    }
    if !own || known.body.forwarded.is_some() {
        return Err(RpcError::forbidden("MESSAGE_AUTHOR_REQUIRED"));
    }
    if chat.is_some() && member.is_none() {
        return Err(RpcError::forbidden("CHAT_WRITE_FORBIDDEN"));
    }
    let to_self = matches!(known.place, Place::Private(low, high) if low == high);
    let is_old = i64::from(unix_time()) - known.date > EDITABLE;
    if is_old && !to_self { Err(RpcError::bad("MESSAGE_EDIT_TIME_EXPIRED")) } else { Ok(()) }
}

/// What a message becomes.
fn edited(call: &Call<'_>, request: &f::EditMessage, old: &Body, me: UserId) -> Reply<Body> {
    let mut new = old.clone();
    if let Some(media) = &request.media {
        if old.poll.is_some() || old.location.is_some() {
            return Err(RpcError::bad("MEDIA_PREV_INVALID"));
        }
        (new.media, new.link_preview) = (None, None);
        attach(call, media, &mut new)?;
        let fits = match (&old.media, &new.media) {
            (Some(old), Some(new)) => old.kind.goes_with(new.kind),
            _ => false,
        };
        if old.album.is_some() && !fits {
            return Err(RpcError::bad("MEDIA_GROUPED_INVALID"));
        }
    }
    if let Some(text) = &request.message {
        new.entities = entities(request.entities.as_deref(), text, me)?;
        new.text.clone_from(text);
    }
    let is_text = new.content() == ContentKind::Text;
    if request.media.is_none() && (request.message.is_none() || (is_text && new.text.trim().is_empty())) {
        return Err(RpcError::bad("MESSAGE_EMPTY"));
    }
    if new.text.chars().count() > if is_text { MAX_TEXT } else { MAX_CAPTION } {
        return Err(RpcError::bad(if is_text { "MESSAGE_TOO_LONG" } else { "MEDIA_CAPTION_TOO_LONG" }));
    }
    if is_text && request.media.is_none() {
        new.link_preview = request.no_webpage.then(no_preview);
    }
    invert(&mut new, request.invert_media);
    Ok(new)
}

pub fn delete_messages(call: &Call<'_>, request: &f::DeleteMessages) -> Reply<enums::messages::AffectedMessages> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let mut world = call.core.world.lock();
    let view = View::new(&world, &cloud, me);
    let found: Vec<_> = request.id.iter().filter_map(|id| own_message(&view, *id)).collect();
    if found.iter().any(|message| !may_delete(&world, me, message)) {
        return Err(RpcError::forbidden("MESSAGE_DELETE_FORBIDDEN"));
    }
    cloud.sync(&world, None);
    for message in &found {
        world.delete(message.place, message.id);
    }
    cloud.sync(&world, Some(call.link.key_id));
    let pts = cloud.accounts.get(&me).map_or(1, |account| account.mailbox.pts);
    Ok(types::messages::AffectedMessages { pts, pts_count: i32::try_from(found.len()).unwrap_or(i32::MAX) }.into())
}

/// Anything in a private chat; in a group own messages, and those of others as an administrator.
fn may_delete(world: &State, me: UserId, message: &Message) -> bool {
    let Place::Chat(chat) = message.place else { return true };
    message.from == me || world.chat(chat).and_then(|chat| chat.member(me)).is_some_and(Member::may_delete)
}

pub fn update_pinned(call: &Call<'_>, request: &f::UpdatePinnedMessage) -> Reply<enums::Updates> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let mut world = call.core.world.lock();
    let place = Place::seen_by(me, call.peer(&world, &request.peer)?);
    may_pin(&world, me, place)?;
    let known = world.messages().get(place, request.id).filter(|known| known.body.service.is_none());
    known.ok_or(RpcError::bad("MESSAGE_ID_INVALID"))?;
    cloud.sync(&world, None);
    let before = last_pts(&cloud, &world, me, place);
    let changed = world.pin(place, request.id, !request.unpin, me, request.silent);
    changed.ok_or(RpcError::bad("CHAT_NOT_MODIFIED"))?;
    cloud.sync(&world, Some(call.link.key_id));
    let mut view = View::new(&world, &cloud, me);
    let updates = view.updates_since(place, before);
    Ok(view.wrap(updates))
}

pub fn unpin_all(call: &Call<'_>, request: &f::UnpinAllMessages) -> Reply<enums::messages::AffectedHistory> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let mut world = call.core.world.lock();
    let place = Place::seen_by(me, call.peer(&world, &request.peer)?);
    may_pin(&world, me, place)?;
    cloud.sync(&world, None);
    let pinned: Vec<i32> = world.messages().pinned(place).map(|message| message.id).collect();
    for id in &pinned {
        world.pin(place, *id, false, me, true);
    }
    cloud.sync(&world, Some(call.link.key_id));
    let (pts, pts_count) = (last_pts(&cloud, &world, me, place), i32::try_from(pinned.len()).unwrap_or(i32::MAX));
    Ok(types::messages::AffectedHistory { pts, pts_count, offset: 0 }.into())
}

fn may_pin(world: &State, me: UserId, place: Place) -> Reply<()> {
    let may = match place {
        Place::Private(..) => true,
        Place::Chat(id) => world.chat(id).is_some_and(|chat| chat.may_pin(me)),
    };
    if may { Ok(()) } else { Err(RpcError::bad("CHAT_ADMIN_REQUIRED")) }
}
