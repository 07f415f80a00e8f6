//! `updates.*`: <https://core.telegram.org/api/updates>.

use grammers_tl_types::{Identifiable, enums, functions::updates as f, types};

use super::{Answer, Call, Reply, RpcError, run};
use crate::mtproto::cloud::mailbox::{Change, Entry};
use crate::mtproto::render::View;
use crate::mtproto::wire::msg_id::unix_time;
use crate::world::{ChatKind, Place, bare_chat_id};

/// The most changes that one answer holds.
const MAX_CHANGES: usize = 100;
/// The sequence number of updates without `pts`, none of which are numbered here.
const SEQ: i32 = 1;

pub fn call(call: &Call<'_>, id: u32, body: &[u8]) -> Answer {
    match id {
        f::GetState::CONSTRUCTOR_ID => run(body, |_: f::GetState| get_state(call)),
        f::GetDifference::CONSTRUCTOR_ID => run(body, |request| difference(call, &request)),
        f::GetChannelDifference::CONSTRUCTOR_ID => run(body, |request| channel_difference(call, &request)),
        _ => Err(RpcError::METHOD_INVALID),
    }
}

/// A state of updates at this `pts`.
pub fn state(pts: i32) -> enums::updates::State {
    types::updates::State { pts, qts: 0, date: unix_time(), seq: SEQ, unread_count: 0 }.into()
}

fn get_state(call: &Call<'_>) -> Reply<enums::updates::State> {
    let me = call.me()?;
    let pts = call.cloud().accounts.get(&me).map_or(1, |account| account.mailbox.pts);
    Ok(state(pts))
}

/// New messages and other updates of some changes.
fn split(view: &mut View<'_>, entries: &[Entry]) -> (Vec<enums::Message>, Vec<enums::Update>) {
    let mut messages = Vec::new();
    let mut others = Vec::new();
    for entry in entries {
        if let Change::New(place, id) = entry.change {
            if let Some(message) = view.known(place, id) {
                messages.push(view.message(&message));
            }
        } else if let Some(update) = view.update(entry) {
            others.push(update);
        }
    }
    (messages, others)
}

fn difference(call: &Call<'_>, request: &f::GetDifference) -> Reply<enums::updates::Difference> {
    let me = call.me()?;
    if request.pts < 1 {
        return Err(RpcError::bad("PERSISTENT_TIMESTAMP_EMPTY"));
    }
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let mailbox = cloud.accounts.get(&me).map(|account| account.mailbox.clone()).unwrap_or_default();
    let limit = request.pts_total_limit.or(request.pts_limit).and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.map_or(MAX_CHANGES, |limit| limit.clamp(1, MAX_CHANGES));
    let Some(entries) = mailbox.since(request.pts, limit) else {
        return Ok(types::updates::DifferenceTooLong { pts: mailbox.pts }.into());
    };
    let mut view = View::new(&world, &cloud, me);
    let (new_messages, mut other_updates) = split(&mut view, &entries);
    let reached = entries.last().map_or(mailbox.pts, |entry| entry.pts);
    other_updates.extend(changed_channels(&mut view, request.date));
    if new_messages.is_empty() && other_updates.is_empty() && reached == mailbox.pts && entries.is_empty() {
        return Ok(types::updates::DifferenceEmpty { date: unix_time(), seq: SEQ }.into());
    }
    let (users, chats) = view.mentioned();
    Ok(if reached < mailbox.pts {
        types::updates::DifferenceSlice {
            new_messages,
            new_encrypted_messages: Vec::new(),
            other_updates,
            chats,
            users,
            intermediate_state: state(reached),
        }
        .into()
    } else {
        types::updates::Difference {
            new_messages,
            new_encrypted_messages: Vec::new(),
            other_updates,
            chats,
            users,
            state: state(reached),
        }
        .into()
    })
}

/// Supergroups and channels that changed while the client was away have numbers of their own; it asks for each.
fn changed_channels(view: &mut View<'_>, since: i32) -> Vec<enums::Update> {
    let own = view.world.chats().filter(|chat| chat.kind != ChatKind::Group && chat.member(view.viewer).is_some());
    let changed: Vec<_> = own
        .filter_map(|chat| {
            let log = view.cloud.channels.get(&chat.id).filter(|log| log.changed >= since)?;
            Some((chat.id, log.pts))
        })
        .collect();
    let tell = |(id, pts): (i64, i32)| {
        view.mention(id);
        types::UpdateChannelTooLong { channel_id: bare_chat_id(id), pts: Some(pts) }.into()
    };
    changed.into_iter().map(tell).collect()
}

fn channel_difference(call: &Call<'_>, request: &f::GetChannelDifference) -> Reply<enums::updates::ChannelDifference> {
    let me = call.me()?;
    if request.pts < 1 {
        return Err(RpcError::bad("PERSISTENT_TIMESTAMP_EMPTY"));
    }
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let id = call.channel(&world, &request.channel)?.id;
    let log = cloud.channels.get(&id).cloned().unwrap_or_default();
    let limit = usize::try_from(request.limit).unwrap_or(0).clamp(1, MAX_CHANGES);
    let mut view = View::new(&world, &cloud, me);
    let Some(entries) = log.since(request.pts, limit) else {
        return Ok(too_long(&mut view, id));
    };
    if entries.is_empty() {
        return Ok(types::updates::ChannelDifferenceEmpty { r#final: true, pts: log.pts, timeout: None }.into());
    }
    let (new_messages, other_updates) = split(&mut view, &entries);
    let reached = entries.last().map_or(log.pts, |entry| entry.pts);
    let (users, chats) = view.mentioned();
    Ok(types::updates::ChannelDifference {
        r#final: reached == log.pts,
        pts: reached,
        timeout: None,
        new_messages,
        other_updates,
        chats,
        users,
    }
    .into())
}

/// The client is so far behind that it starts anew from the chat's present state.
fn too_long(view: &mut View<'_>, id: i64) -> enums::updates::ChannelDifference {
    let place = Place::Chat(id);
    let dialog = view.dialog(place);
    let recent: Vec<_> = view.world.messages().history(place).take(MAX_CHANGES).cloned().collect();
    let messages = recent.iter().map(|message| view.message(message)).collect();
    let (users, chats) = view.mentioned();
    types::updates::ChannelDifferenceTooLong { r#final: true, timeout: None, dialog, messages, chats, users }.into()
}
