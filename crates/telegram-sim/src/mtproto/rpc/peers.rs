//! Peers as clients name them: with an access hash that proves that they have met.

use grammers_tl_types::enums;

use super::{Call, Reply, RpcError};
use crate::world::{Chat, ChatId, ChatKind, MemberStatus, State, UserId, channel_chat_id, group_chat_id};

fn user(world: &State, me: UserId, id: UserId, access_hash: i64, error: &'static str) -> Reply<UserId> {
    let known = world.user(id).filter(|known| id == me || known.access_hash == access_hash);
    known.map(|known| known.id).ok_or(RpcError::bad(error))
}

/// A channel or supergroup that the client has met and can see.
fn channel(world: &State, me: UserId, bare: i64, access_hash: i64) -> Reply<&Chat> {
    let known = world.chat(channel_chat_id(bare)).filter(|chat| chat.access_hash == access_hash);
    let chat = known.ok_or(RpcError::bad("CHANNEL_INVALID"))?;
    let own = chat.members.get(&me).map(|member| member.status);
    let hidden = match own {
        _ if chat.deleted => true,
        Some(MemberStatus::Kicked) => true,
        Some(status) => !status.is_inside() && chat.username.is_none(),
        None => chat.username.is_none(),
    };
    if hidden { Err(RpcError::bad("CHANNEL_PRIVATE")) } else { Ok(chat) }
}

impl Call<'_> {
    /// The world's id of a peer (positive: a user).
    pub fn peer(&self, world: &State, peer: &enums::InputPeer) -> Reply<i64> {
        let me = self.me()?;
        let invalid = "PEER_ID_INVALID";
        match peer {
            enums::InputPeer::Empty => Err(RpcError::bad(invalid)),
            enums::InputPeer::PeerSelf => Ok(me),
            enums::InputPeer::User(peer) => user(world, me, peer.user_id, peer.access_hash, invalid),
            enums::InputPeer::Chat(peer) => group(world, me, peer.chat_id, invalid),
            enums::InputPeer::Channel(peer) => Ok(channel(world, me, peer.channel_id, peer.access_hash)?.id),
            enums::InputPeer::UserFromMessage(peer) => {
                self.peer(world, &peer.peer)?;
                world.user(peer.user_id).map(|user| user.id).ok_or(RpcError::bad(invalid))
            }
            enums::InputPeer::ChannelFromMessage(peer) => {
                self.peer(world, &peer.peer)?;
                let id = channel_chat_id(peer.channel_id);
                world.chat(id).map(|chat| chat.id).ok_or(RpcError::bad("CHANNEL_INVALID"))
            }
        }
    }

    /// A user that the client names.
    pub fn user(&self, world: &State, named: &enums::InputUser) -> Reply<UserId> {
        let me = self.me()?;
        match named {
            enums::InputUser::Empty => Err(RpcError::bad("USER_ID_INVALID")),
            enums::InputUser::UserSelf => Ok(me),
            enums::InputUser::User(named) => user(world, me, named.user_id, named.access_hash, "USER_ID_INVALID"),
            enums::InputUser::FromMessage(named) => {
                self.peer(world, &named.peer)?;
                world.user(named.user_id).map(|user| user.id).ok_or(RpcError::bad("USER_ID_INVALID"))
            }
        }
    }

    /// A supergroup or channel that the client names.
    pub fn channel<'w>(&self, world: &'w State, named: &enums::InputChannel) -> Reply<&'w Chat> {
        let me = self.me()?;
        match named {
            enums::InputChannel::Empty => Err(RpcError::bad("CHANNEL_INVALID")),
            enums::InputChannel::Channel(named) => channel(world, me, named.channel_id, named.access_hash),
            enums::InputChannel::FromMessage(named) => {
                self.peer(world, &named.peer)?;
                let chat = world.chat(channel_chat_id(named.channel_id));
                chat.ok_or(RpcError::bad("CHANNEL_INVALID"))
            }
        }
    }
}

/// A basic group that the caller is or was in; it has no access hash.
pub fn group(world: &State, me: UserId, bare: i64, error: &'static str) -> Reply<ChatId> {
    let known = world.chat(group_chat_id(bare)).filter(|chat| chat.kind == ChatKind::Group);
    known.filter(|chat| chat.members.contains_key(&me)).map(|chat| chat.id).ok_or(RpcError::bad(error))
}
