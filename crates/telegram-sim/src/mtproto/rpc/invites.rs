//! Invite links.

use grammers_tl_types::{Serializable, enums, functions::messages as f, types};

use super::{Call, Reply, RpcError};
use crate::mtproto::render::View;
use crate::world::{Chat, ChatKind, Member, MemberStatus, State, UserId, bare_chat_id};

/// The chat that a link opens for somebody; to who was banned it says what it says when it is too old.
fn find<'w>(world: &'w State, me: UserId, hash: &str) -> Reply<&'w Chat> {
    if hash.is_empty() {
        return Err(RpcError::bad("INVITE_HASH_EMPTY"));
    }
    let valid = hash.len() <= 64 && hash.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !valid {
        return Err(RpcError::bad("INVITE_HASH_INVALID"));
    }
    let banned = |chat: &&Chat| chat.members.get(&me).is_some_and(|member| member.status == MemberStatus::Kicked);
    world.by_invite(hash).filter(|chat| !banned(chat)).ok_or(RpcError::bad("INVITE_HASH_EXPIRED"))
}

pub fn check(call: &Call<'_>, request: &f::CheckChatInvite) -> Reply<enums::ChatInvite> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let chat = find(&world, me, &request.hash)?;
    let view = View::new(&world, &cloud, me);
    if chat.member(me).is_some() {
        let chat = view.chat(chat.id).ok_or(RpcError::bad("INVITE_HASH_EXPIRED"))?;
        return Ok(types::ChatInviteAlready { chat }.into());
    }
    let count = i32::try_from(chat.member_count()).unwrap_or(i32::MAX);
    let flags = 0i32.to_bytes();
    let required = [flags, chat.title.to_bytes(), view.full_photo(chat).to_bytes(), count.to_bytes(), 0i32.to_bytes()];
    let mut invite: types::ChatInvite = crate::mtproto::render::sparse(&required);
    invite.channel = chat.kind != ChatKind::Group;
    invite.broadcast = chat.kind == ChatKind::Channel;
    invite.megagroup = chat.kind == ChatKind::Supergroup;
    invite.public = chat.username.is_some();
    invite.about.clone_from(&chat.about);
    Ok(invite.into())
}

pub fn import(call: &Call<'_>, request: &f::ImportChatInvite) -> Reply<enums::messages::ChatInviteJoinResult> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let mut world = call.core.world.lock();
    let chat = find(&world, me, &request.hash)?;
    if chat.member(me).is_some() {
        return Err(RpcError::bad("USER_ALREADY_PARTICIPANT"));
    }
    let (id, is_group) = (chat.id, chat.kind == ChatKind::Group);
    cloud.sync(&world, None);
    world.set_member(id, me, Member::new(MemberStatus::Member), me);
    cloud.sync(&world, Some(call.link.key_id));
    let mut view = View::new(&world, &cloud, me);
    view.mention(id);
    let update: enums::Update = if is_group {
        types::UpdateChat { chat_id: bare_chat_id(id) }.into()
    } else {
        types::UpdateChannel { channel_id: bare_chat_id(id) }.into()
    };
    Ok(types::messages::ChatInviteJoinResultOk { updates: view.wrap(vec![update]) }.into())
}

pub fn export(call: &Call<'_>, request: &f::ExportChatInvite) -> Reply<enums::ExportedChatInvite> {
    let me = call.me()?;
    let cloud = call.cloud();
    let mut world = call.core.world.lock();
    let id = call.peer(&world, &request.peer)?;
    let chat = world.chat(id).ok_or(RpcError::bad("PEER_ID_INVALID"))?;
    if !chat.may_invite(me) {
        return Err(RpcError::bad("CHAT_ADMIN_REQUIRED"));
    }
    world.new_invite(id);
    let chat = world.chat(id).ok_or(RpcError::bad("PEER_ID_INVALID"))?;
    View::new(&world, &cloud, me).invite(chat).ok_or(RpcError::bad("CHAT_ADMIN_REQUIRED"))
}
