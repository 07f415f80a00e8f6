//! `messages.*`. Sending, editing, forwarding, reading (`history`) and invite links have files of their own.

use grammers_tl_types::{Identifiable, enums, functions::messages as f, types};

use super::peers::group;
use super::{Answer, Call, Reply, RpcError, editing, forwarding, history, invites, run, sending};
use crate::mtproto::cloud::delivery::short;
use crate::mtproto::render::View;
use crate::world::{ChatKind, Place, bare_chat_id};

pub fn call(call: &Call<'_>, id: u32, body: &[u8]) -> Answer {
    match id {
        f::SendMessage::CONSTRUCTOR_ID => run(body, |request| sending::send_message(call, request)),
        f::SendMedia::CONSTRUCTOR_ID => run(body, |request| sending::send_media(call, request)),
        f::SendMultiMedia::CONSTRUCTOR_ID => run(body, |request| sending::send_multi_media(call, request)),
        f::UploadMedia::CONSTRUCTOR_ID => run(body, |request| sending::upload_media(call, &request)),
        f::EditMessage::CONSTRUCTOR_ID => run(body, |request| editing::edit_message(call, &request)),
        f::DeleteMessages::CONSTRUCTOR_ID => run(body, |request| editing::delete_messages(call, &request)),
        f::UpdatePinnedMessage::CONSTRUCTOR_ID => run(body, |request| editing::update_pinned(call, &request)),
        f::UnpinAllMessages::CONSTRUCTOR_ID => run(body, |request| editing::unpin_all(call, &request)),
        f::ForwardMessages::CONSTRUCTOR_ID => run(body, |request| forwarding::forward_messages(call, &request)),
        f::CheckChatInvite::CONSTRUCTOR_ID => run(body, |request| invites::check(call, &request)),
        f::ImportChatInvite::CONSTRUCTOR_ID => run(body, |request| invites::import(call, &request)),
        f::ExportChatInvite::CONSTRUCTOR_ID => run(body, |request| invites::export(call, &request)),
        f::GetDialogs::CONSTRUCTOR_ID => run(body, |request| history::get_dialogs(call, &request)),
        f::GetPeerDialogs::CONSTRUCTOR_ID => run(body, |request| history::get_peer_dialogs(call, &request)),
        f::GetHistory::CONSTRUCTOR_ID => run(body, |request| history::get_history(call, &request)),
        f::GetMessages::CONSTRUCTOR_ID => run(body, |request| history::get_messages(call, &request)),
        f::ReadHistory::CONSTRUCTOR_ID => run(body, |request| history::read_history(call, &request)),
        f::GetChats::CONSTRUCTOR_ID => run(body, |request| get_chats(call, &request)),
        f::GetFullChat::CONSTRUCTOR_ID => run(body, |request| get_full_chat(call, &request)),
        f::SetTyping::CONSTRUCTOR_ID => run(body, |request| set_typing(call, request)),
        _ => Err(RpcError::METHOD_INVALID),
    }
}

fn get_chats(call: &Call<'_>, request: &f::GetChats) -> Reply<enums::messages::Chats> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let ids = request.id.iter().map(|bare| group(&world, me, *bare, "CHAT_ID_INVALID"));
    let ids = ids.collect::<Reply<Vec<_>>>()?;
    let view = View::new(&world, &cloud, me);
    Ok(types::messages::Chats { chats: ids.into_iter().filter_map(|id| view.chat(id)).collect() }.into())
}

fn get_full_chat(call: &Call<'_>, request: &f::GetFullChat) -> Reply<enums::messages::ChatFull> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let id = group(&world, me, request.chat_id, "CHAT_ID_INVALID")?;
    let mut view = View::new(&world, &cloud, me);
    let full_chat = view.full_group(id).ok_or(RpcError::bad("CHAT_ID_INVALID"))?.into();
    let (users, chats) = view.mentioned();
    Ok(types::messages::ChatFull { full_chat, chats, users }.into())
}

/// Tells everybody in the chat; nothing is kept of it.
fn set_typing(call: &Call<'_>, request: f::SetTyping) -> Reply<bool> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    let chat = call.peer(&world, &request.peer)?;
    world.may_send(me, chat)?;
    let action = request.action;
    let from_id: enums::Peer = types::PeerUser { user_id: me }.into();
    let (others, update): (Vec<_>, enums::Update) = match (Place::seen_by(me, chat), world.chat(chat)) {
        (Place::Chat(id), Some(known)) => {
            let members = known.members.iter().filter(|(user, member)| **user != me && member.status.is_inside());
            let others = members.map(|(user, _)| *user).collect();
            let bare = bare_chat_id(id);
            let update = if known.kind == ChatKind::Group {
                types::UpdateChatUserTyping { chat_id: bare, from_id, action }.into()
            } else {
                types::UpdateChannelUserTyping { channel_id: bare, top_msg_id: None, from_id, action }.into()
            };
            (others, update)
        }
        _ => (vec![chat], types::UpdateUserTyping { user_id: me, top_msg_id: None, action }.into()),
    };
    let push = short(update);
    for user in others {
        cloud.push_to(&cloud.listening(user, None), &push);
    }
    Ok(true)
}
