//! `channels.*`: supergroups and channels.

use grammers_tl_types::{Identifiable, enums, functions::channels as f, types};

use super::history::by_ids;
use super::{Answer, Call, Reply, RpcError, run};
use crate::mtproto::render::View;
use crate::world::{Chat, ChatKind, Member, MemberStatus, Place, State, UserId};

/// The most members in one answer.
const MAX_MEMBERS: usize = 200;

pub fn call(call: &Call<'_>, id: u32, body: &[u8]) -> Answer {
    match id {
        f::GetChannels::CONSTRUCTOR_ID => run(body, |request| get_channels(call, &request)),
        f::GetFullChannel::CONSTRUCTOR_ID => run(body, |request| get_full(call, &request)),
        f::GetParticipants::CONSTRUCTOR_ID => run(body, |request| get_participants(call, &request)),
        f::GetParticipant::CONSTRUCTOR_ID => run(body, |request| get_participant(call, &request)),
        f::GetMessages::CONSTRUCTOR_ID => run(body, |request| get_messages(call, &request)),
        f::ReadHistory::CONSTRUCTOR_ID => run(body, |request| read_history(call, &request)),
        f::DeleteMessages::CONSTRUCTOR_ID => run(body, |request| delete_messages(call, &request)),
        f::JoinChannel::CONSTRUCTOR_ID => run(body, |request| join(call, &request)),
        f::LeaveChannel::CONSTRUCTOR_ID => run(body, |request| leave(call, &request)),
        _ => Err(RpcError::METHOD_INVALID),
    }
}

fn get_channels(call: &Call<'_>, request: &f::GetChannels) -> Reply<enums::messages::Chats> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let mut chats = Vec::new();
    for named in &request.id {
        let id = call.channel(&world, named)?.id;
        chats.extend(View::new(&world, &cloud, me).chat(id));
    }
    Ok(types::messages::Chats { chats }.into())
}

fn get_full(call: &Call<'_>, request: &f::GetFullChannel) -> Reply<enums::messages::ChatFull> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let id = call.channel(&world, &request.channel)?.id;
    let mut view = View::new(&world, &cloud, me);
    let full_chat = view.full_channel(id).ok_or(RpcError::bad("CHANNEL_INVALID"))?.into();
    let (users, chats) = view.mentioned();
    Ok(types::messages::ChatFull { full_chat, chats, users }.into())
}

fn owner(chat: &Chat) -> UserId {
    let owner = chat.members.iter().find(|(_, member)| member.status == MemberStatus::Creator);
    owner.map_or(0, |(id, _)| *id)
}

fn is_admin(chat: &Chat, user: UserId) -> bool {
    chat.member(user).is_some_and(|member| member.status.is_admin())
}

/// Whether a filter wants a member.
fn wants(filter: &enums::ChannelParticipantsFilter, world: &State, id: UserId, member: &Member) -> bool {
    use enums::ChannelParticipantsFilter as F;
    let named = |query: &str| {
        let query = query.to_lowercase();
        world.user(id).is_some_and(|user| {
            user.full_name().to_lowercase().contains(&query)
                || user.username.as_ref().is_some_and(|name| name.to_lowercase().contains(&query))
        })
    };
    match filter {
        F::ChannelParticipantsAdmins => member.status.is_admin(),
        F::ChannelParticipantsKicked(filter) => member.status == MemberStatus::Kicked && named(&filter.q),
        F::ChannelParticipantsBanned(filter) => member.status == MemberStatus::Restricted && named(&filter.q),
        F::ChannelParticipantsBots => member.status.is_inside() && world.user(id).is_some_and(|user| user.is_bot),
        F::ChannelParticipantsSearch(filter) => member.status.is_inside() && named(&filter.q),
        F::ChannelParticipantsContacts(filter) => member.status.is_inside() && named(&filter.q),
        F::ChannelParticipantsRecent | F::ChannelParticipantsMentions(_) => member.status.is_inside(),
    }
}

fn get_participants(call: &Call<'_>, request: &f::GetParticipants) -> Reply<enums::channels::ChannelParticipants> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let chat = call.channel(&world, &request.channel)?;
    if chat.kind == ChatKind::Channel && !is_admin(chat, me) {
        return Err(RpcError::bad("CHAT_ADMIN_REQUIRED"));
    }
    let mut view = View::new(&world, &cloud, me);
    let owner = owner(chat);
    let matching: Vec<_> =
        chat.members.iter().filter(|(id, member)| wants(&request.filter, &world, **id, member)).collect();
    let offset = usize::try_from(request.offset).unwrap_or(0);
    let limit = usize::try_from(request.limit).unwrap_or(0).min(MAX_MEMBERS);
    let page = matching.iter().skip(offset).take(limit);
    let participants = page.map(|(id, member)| view.channel_participant(**id, member, owner)).collect();
    let count = i32::try_from(matching.len()).unwrap_or(i32::MAX);
    let (users, chats) = view.mentioned();
    Ok(types::channels::ChannelParticipants { count, participants, chats, users }.into())
}

fn get_participant(call: &Call<'_>, request: &f::GetParticipant) -> Reply<enums::channels::ChannelParticipant> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let chat = call.channel(&world, &request.channel)?;
    let id = call.peer(&world, &request.participant)?;
    if chat.kind == ChatKind::Channel && id != me && !is_admin(chat, me) {
        return Err(RpcError::bad("CHAT_ADMIN_REQUIRED"));
    }
    let member = chat.members.get(&id).filter(|member| member.status != MemberStatus::Left);
    let member = member.ok_or(RpcError::bad("USER_NOT_PARTICIPANT"))?;
    let mut view = View::new(&world, &cloud, me);
    let participant = view.channel_participant(id, member, owner(chat));
    let (users, chats) = view.mentioned();
    Ok(types::channels::ChannelParticipant { participant, chats, users }.into())
}

fn get_messages(call: &Call<'_>, request: &f::GetMessages) -> Reply<enums::messages::Messages> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let id = call.channel(&world, &request.channel)?.id;
    let mut view = View::new(&world, &cloud, me);
    view.mention(id);
    let messages = by_ids(&mut view, &request.id, |view, message| view.known(Place::Chat(id), message))?;
    let (users, chats) = view.mentioned();
    Ok(types::messages::ChannelMessages {
        inexact: false,
        pts: cloud.channels.get(&id).map_or(1, |log| log.pts),
        count: i32::try_from(messages.len()).unwrap_or(i32::MAX),
        offset_id_offset: None,
        messages,
        topics: Vec::new(),
        chats,
        users,
    }
    .into())
}

fn read_history(call: &Call<'_>, request: &f::ReadHistory) -> Reply<bool> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let world = call.core.world.lock();
    let id = call.channel(&world, &request.channel)?.id;
    Ok(cloud.mark_read(&world, me, Place::Chat(id), request.max_id).is_some())
}

fn delete_messages(call: &Call<'_>, request: &f::DeleteMessages) -> Reply<enums::messages::AffectedMessages> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let mut world = call.core.world.lock();
    let chat = call.channel(&world, &request.channel)?;
    let (id, own) = (chat.id, chat.member(me));
    let may_delete_all = own.is_some_and(Member::may_delete);
    let may_delete_own = chat.kind != ChatKind::Channel || own.is_some_and(Member::may_post);
    let place = Place::Chat(id);
    let kept =
        |message: &i32| world.messages().get(place, *message).is_some_and(|known| known.from != me || !may_delete_own);
    if !may_delete_all && request.id.iter().any(kept) {
        return Err(RpcError::forbidden("MESSAGE_DELETE_FORBIDDEN"));
    }
    cloud.sync(&world, None);
    let deleted = request.id.iter().filter(|message| world.delete(place, **message).is_some()).count();
    cloud.sync(&world, Some(call.link.key_id));
    let pts = cloud.channels.get(&id).map_or(1, |log| log.pts);
    Ok(types::messages::AffectedMessages { pts, pts_count: i32::try_from(deleted).unwrap_or(i32::MAX) }.into())
}

fn join(call: &Call<'_>, request: &f::JoinChannel) -> Reply<enums::messages::ChatInviteJoinResult> {
    let updates = set_own(call, &request.channel, |own| match own {
        Some(member) if member.status.is_inside() => Err(RpcError::bad("USER_ALREADY_PARTICIPANT")),
        _ => Ok(MemberStatus::Member),
    })?;
    Ok(types::messages::ChatInviteJoinResultOk { updates }.into())
}

fn leave(call: &Call<'_>, request: &f::LeaveChannel) -> Reply<enums::Updates> {
    set_own(call, &request.channel, |own| match own {
        Some(member) if member.status == MemberStatus::Creator => Err(RpcError::bad("USER_CREATOR")),
        Some(member) if member.status.is_inside() => Ok(MemberStatus::Left),
        _ => Err(RpcError::bad("USER_NOT_PARTICIPANT")),
    })
}

/// Changes the caller's own membership.
fn set_own(
    call: &Call<'_>,
    channel: &enums::InputChannel,
    next: impl FnOnce(Option<&Member>) -> Reply<MemberStatus>,
) -> Reply<enums::Updates> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let mut world = call.core.world.lock();
    let chat = call.channel(&world, channel)?;
    let id = chat.id;
    let status = next(chat.members.get(&me))?;
    cloud.sync(&world, None);
    world.set_member(id, me, Member::new(status), me);
    cloud.sync(&world, Some(call.link.key_id));
    let mut view = View::new(&world, &cloud, me);
    view.mention(id);
    let update = types::UpdateChannel { channel_id: crate::world::bare_chat_id(id) };
    Ok(view.wrap(vec![update.into()]))
}
