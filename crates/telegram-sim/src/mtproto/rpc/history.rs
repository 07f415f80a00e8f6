//! Reading: the list of chats, messages, and how far they were read.

use std::sync::Arc;

use grammers_tl_types::{enums, functions::messages as f, types};

use super::updates::state;
use super::{Call, Reply, RpcError};
use crate::mtproto::cloud::mailbox::Change;
use crate::mtproto::render::{View, is_channel};
use crate::world::{Message, Place};

/// The most lines or messages in one answer.
const MAX_LIMIT: usize = 100;

fn limit(limit: i32) -> usize {
    usize::try_from(limit).unwrap_or(0).min(MAX_LIMIT)
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The messages on top of some places.
fn tops(view: &mut View<'_>, places: &[Place]) -> Vec<enums::Message> {
    let top = |place: &Place| view.world.messages().history(*place).next().cloned();
    let messages: Vec<_> = places.iter().filter_map(top).collect();
    messages.iter().map(|message| view.message(message)).collect()
}

pub fn get_dialogs(call: &Call<'_>, request: &f::GetDialogs) -> Reply<enums::messages::Dialogs> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let mut view = View::new(&world, &cloud, me);
    let all = view.places();
    let after = match &request.offset_peer {
        enums::InputPeer::Empty => None,
        peer => Some(Place::seen_by(me, call.peer(&world, peer)?)),
    };
    let start = match after.and_then(|after| all.iter().position(|place| *place == after)) {
        Some(index) => index + 1,
        None if request.offset_date > 0 => {
            let newer = |place: &&Place| view.last_change(**place) >= i64::from(request.offset_date);
            all.iter().take_while(newer).count()
        }
        None => 0,
    };
    let places: Vec<_> = all.iter().skip(start).take(limit(request.limit)).copied().collect();
    let dialogs = places.iter().map(|place| view.dialog(*place)).collect();
    let messages = tops(&mut view, &places);
    let (users, chats) = view.mentioned();
    Ok(if places.len() < all.len() {
        types::messages::DialogsSlice { count: count(all.len()), dialogs, messages, chats, users }.into()
    } else {
        types::messages::Dialogs { dialogs, messages, chats, users }.into()
    })
}

pub fn get_peer_dialogs(call: &Call<'_>, request: &f::GetPeerDialogs) -> Reply<enums::messages::PeerDialogs> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let mut view = View::new(&world, &cloud, me);
    let mut places = Vec::new();
    for peer in &request.peers {
        if let enums::InputDialogPeer::Peer(peer) = peer {
            places.push(Place::seen_by(me, call.peer(&world, &peer.peer)?));
        }
    }
    let dialogs = places.iter().map(|place| view.dialog(*place)).collect();
    let messages = tops(&mut view, &places);
    let (users, chats) = view.mentioned();
    let state = state(view.account().map_or(1, |account| account.mailbox.pts));
    Ok(types::messages::PeerDialogs { dialogs, messages, chats, users, state }.into())
}

pub fn get_history(call: &Call<'_>, request: &f::GetHistory) -> Reply<enums::messages::Messages> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let place = Place::seen_by(me, call.peer(&world, &request.peer)?);
    let all: Vec<_> = world.messages().history(place).cloned().collect();
    // Newest first; the offset names the message after which to go on, moved by `add_offset`.
    let before = |message: &&Arc<Message>| {
        (request.offset_id > 0 && message.id >= request.offset_id)
            || (request.offset_date > 0 && message.date >= i64::from(request.offset_date))
    };
    let skip = count(all.iter().take_while(before).count()).saturating_add(request.add_offset);
    let page = all.iter().skip(usize::try_from(skip).unwrap_or(0));
    let page = page
        .filter(|message| request.max_id <= 0 || message.id < request.max_id)
        .filter(|message| message.id > request.min_id)
        .take(limit(request.limit));
    let mut view = View::new(&world, &cloud, me);
    let messages: Vec<_> = page.map(|message| view.message(message)).collect();
    Ok(listed(&view, place, messages, all.len()))
}

/// A page of a place's messages.
fn listed(view: &View<'_>, place: Place, messages: Vec<enums::Message>, total: usize) -> enums::messages::Messages {
    let (users, chats) = view.mentioned();
    let topics = Vec::new();
    if let Place::Chat(id) = place
        && is_channel(view.world, place)
    {
        let pts = view.cloud.channels.get(&id).map_or(1, |log| log.pts);
        return types::messages::ChannelMessages {
            inexact: false,
            pts,
            count: count(total),
            offset_id_offset: None,
            messages,
            topics,
            chats,
            users,
        }
        .into();
    }
    if messages.len() == total {
        return types::messages::Messages { messages, topics, chats, users }.into();
    }
    types::messages::MessagesSlice {
        inexact: false,
        count: count(total),
        next_rate: None,
        offset_id_offset: None,
        search_flood: None,
        messages,
        topics,
        chats,
        users,
    }
    .into()
}

/// The message with this id in the caller's private chats and basic groups, which share one row of numbers.
pub fn own_message(view: &View<'_>, id: i32) -> Option<Arc<Message>> {
    let mut places = view.places().into_iter().filter(|place| !is_channel(view.world, *place));
    places.find_map(|place| view.known(place, id))
}

/// Messages by id from wherever `find` looks; those that are not there come back empty.
pub fn by_ids(
    view: &mut View<'_>,
    ids: &[enums::InputMessage],
    find: impl Fn(&View<'_>, i32) -> Option<Arc<Message>>,
) -> Reply<Vec<enums::Message>> {
    let mut messages = Vec::new();
    for id in ids {
        let id = match id {
            enums::InputMessage::Id(id) => id.id,
            enums::InputMessage::ReplyTo(id) => {
                find(view, id.id).and_then(|message| message.body.reply_to).unwrap_or_default()
            }
            _ => return Err(RpcError::bad("MESSAGE_IDS_EMPTY")),
        };
        messages.push(match find(view, id) {
            Some(message) => view.message(&message),
            None => types::MessageEmpty { id, peer_id: None }.into(),
        });
    }
    Ok(messages)
}

pub fn get_messages(call: &Call<'_>, request: &f::GetMessages) -> Reply<enums::messages::Messages> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let mut view = View::new(&world, &cloud, me);
    let messages = by_ids(&mut view, &request.id, own_message)?;
    let (users, chats) = view.mentioned();
    Ok(types::messages::Messages { messages, topics: Vec::new(), chats, users }.into())
}

pub fn read_history(call: &Call<'_>, request: &f::ReadHistory) -> Reply<enums::messages::AffectedMessages> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let world = call.core.world.lock();
    let place = Place::seen_by(me, call.peer(&world, &request.peer)?);
    if is_channel(&world, place) {
        return Err(RpcError::bad("PEER_ID_INVALID"));
    }
    let read = cloud.mark_read(&world, me, place, request.max_id);
    let mut pts_count = 0;
    if let Some(read) = read {
        cloud.record(&world, me, Change::ReadInbox(place, read), Some(call.link.key_id));
        pts_count = 1;
        if let Place::Private(low, high) = place {
            let other = if me == low { high } else { low };
            if other != me {
                cloud.record(&world, other, Change::ReadOutbox(place, read), None);
            }
        }
    }
    let pts = cloud.accounts.get(&me).map_or(1, |account| account.mailbox.pts);
    Ok(types::messages::AffectedMessages { pts, pts_count }.into())
}
