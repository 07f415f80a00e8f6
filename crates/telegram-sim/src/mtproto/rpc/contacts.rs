//! `contacts.*`.

use grammers_tl_types::{Identifiable, enums, functions::contacts as f, types};

use super::{Answer, Call, Reply, RpcError, run};
use crate::mtproto::cloud::accounts::digits;
use crate::mtproto::render::{View, peer_of};
use crate::world::UserId;

/// The most people that are taken into the address book at once.
const MAX_IMPORT: usize = 500;

pub fn call(call: &Call<'_>, id: u32, body: &[u8]) -> Answer {
    match id {
        f::ResolveUsername::CONSTRUCTOR_ID => run(body, |request| resolve_username(call, &request)),
        f::ResolvePhone::CONSTRUCTOR_ID => run(body, |request| resolve_phone(call, &request)),
        f::ImportContacts::CONSTRUCTOR_ID => run(body, |request| import(call, &request)),
        f::GetContacts::CONSTRUCTOR_ID => run(body, |_: f::GetContacts| get(call)),
        f::Block::CONSTRUCTOR_ID => run(body, |request: f::Block| set_blocked(call, &request.id, true)),
        f::Unblock::CONSTRUCTOR_ID => run(body, |request: f::Unblock| set_blocked(call, &request.id, false)),
        _ => Err(RpcError::METHOD_INVALID),
    }
}

fn resolved(call: &Call<'_>, id: i64) -> Reply<enums::contacts::ResolvedPeer> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let mut view = View::new(&world, &cloud, me);
    view.mention(id);
    let (users, chats) = view.mentioned();
    Ok(types::contacts::ResolvedPeer { peer: peer_of(&world, id), chats, users }.into())
}

fn resolve_username(call: &Call<'_>, request: &f::ResolveUsername) -> Reply<enums::contacts::ResolvedPeer> {
    let name = &request.username;
    let valid = (3..=32).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    if !valid {
        return Err(RpcError::bad("USERNAME_INVALID"));
    }
    let id = call.core.world.lock().by_username(name);
    resolved(call, id.ok_or(RpcError::bad("USERNAME_NOT_OCCUPIED"))?)
}

fn resolve_phone(call: &Call<'_>, request: &f::ResolvePhone) -> Reply<enums::contacts::ResolvedPeer> {
    let phone = digits(&request.phone).ok_or(RpcError::bad("PHONE_NOT_OCCUPIED"))?;
    let id = call.cloud().phones.get(&phone).copied();
    resolved(call, id.ok_or(RpcError::bad("PHONE_NOT_OCCUPIED"))?)
}

fn import(call: &Call<'_>, request: &f::ImportContacts) -> Reply<enums::contacts::ImportedContacts> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let mut imported = Vec::new();
    let mut people: Vec<UserId> = Vec::new();
    for contact in request.contacts.iter().take(MAX_IMPORT) {
        let enums::InputContact::InputPhoneContact(contact) = contact;
        let user = digits(&contact.phone).and_then(|phone| cloud.phones.get(&phone).copied());
        if let Some(user_id) = user {
            imported.push(types::ImportedContact { user_id, client_id: contact.client_id }.into());
            people.push(user_id);
        }
    }
    if let Some(account) = cloud.accounts.get_mut(&me) {
        account.contacts.extend(people.iter().copied());
    }
    let world = call.core.world.lock();
    let view = View::new(&world, &cloud, me);
    let users = people.into_iter().filter_map(|id| view.user(id)).collect();
    Ok(types::contacts::ImportedContacts { imported, popular_invites: Vec::new(), retry_contacts: Vec::new(), users }
        .into())
}

fn get(call: &Call<'_>) -> Reply<enums::contacts::Contacts> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let view = View::new(&world, &cloud, me);
    let ids: Vec<_> = view.account().into_iter().flat_map(|account| account.contacts.iter().copied()).collect();
    let contacts = ids.iter().map(|user_id| types::Contact { user_id: *user_id, mutual: false }.into()).collect();
    let users = ids.iter().filter_map(|id| view.user(*id)).collect();
    Ok(types::contacts::Contacts { contacts, saved_count: 0, users }.into())
}

fn set_blocked(call: &Call<'_>, peer: &enums::InputPeer, blocked: bool) -> Reply<bool> {
    let me = call.me()?;
    let mut world = call.core.world.lock();
    let other = call.peer(&world, peer)?;
    if other < 0 {
        return Err(RpcError::bad("PEER_ID_INVALID"));
    }
    if blocked {
        world.block(me, other);
    } else {
        world.unblock(me, other);
    }
    Ok(true)
}
