//! What a chat is, and what an account may do there.

use chrono::{DateTime, Utc};
use grammers_tl_types as tl;
use platform::{ChatInfo, ChatKind, ChatRef, Rights, SendKind, Standing};

use super::dialogs::peer_id;
use super::{Account, Chat};
use crate::mtproto::call::CallError;
use crate::mtproto::peer::{CachedPeer, PeerId};
use crate::mtproto::problem::Problem;

impl Account {
    /// What a chat is now, with its number of members and this account's rights. A group that became a supergroup is answered with the
    /// supergroup, whose `former_id` is the group's.
    pub async fn chat_info(&self, chat: &ChatRef) -> Result<ChatInfo, Problem> {
        match chat {
            ChatRef::Id(id) => self.info_of(as_peer(*id)?).await,
            ChatRef::AnyOf(ids) => self.first_of(ids).await,
            ChatRef::Name(name) => self.named(name).await,
            ChatRef::Invite(hash) => match self.invited(hash).await? {
                Some(id) => self.info_of(id).await,
                None => Err(Problem::refused("not_member", "the account is not in the chat of this invite link")),
            },
        }
    }

    async fn named(&self, name: &str) -> Result<ChatInfo, Problem> {
        let unknown = || Problem::refused("chat_not_found", format!("Telegram knows no @{name}"));
        let request = tl::functions::contacts::ResolveUsername { username: name.to_owned(), referer: None };
        let tl::enums::contacts::ResolvedPeer::Peer(found) = match self.call(&request).await {
            Err(error) if error.is("USERNAME_NOT_OCCUPIED") || error.is("USERNAME_INVALID") => return Err(unknown()),
            found => found?,
        };
        self.learn(&found.users, &found.chats);
        let id = peer_id(&found.peer).ok_or_else(unknown)?;
        let shut_out = found.chats.iter().find_map(|chat| match chat {
            tl::enums::Chat::ChannelForbidden(channel) if channel.id == id.bare() => forbidden(channel),
            _ => None,
        });
        match shut_out {
            Some(info) => Ok(info),
            None => self.info_of(id).await,
        }
    }

    /// Comes into a chat by its name, its invite link, or an id that the account knows.
    pub async fn join(&self, chat: &ChatRef) -> Result<(), Problem> {
        let id = match chat {
            ChatRef::Invite(hash) => return self.join_by_invite(hash).await,
            ChatRef::Name(name) => {
                let found = self.resolve_username(name).await?;
                found
                    .map(|chat| chat.id)
                    .ok_or_else(|| Problem::refused("chat_not_found", format!("Telegram knows no @{name}")))?
            }
            ChatRef::Id(_) | ChatRef::AnyOf(_) => as_peer(self.chat_info(chat).await?.id)?,
        };
        let tl::enums::InputPeer::Channel(peer) = self.find(id).await? else {
            // Into a basic group one comes by an invite link, or is added by others.
            return Ok(());
        };
        let channel = tl::types::InputChannel { channel_id: peer.channel_id, access_hash: peer.access_hash }.into();
        match self.call(&tl::functions::channels::JoinChannel { channel }).await {
            Ok(joined) => self.learn_joined(&joined),
            Err(error) if error.is("USER_ALREADY_PARTICIPANT") => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn join_by_invite(&self, hash: &str) -> Result<(), Problem> {
        match self.call(&tl::functions::messages::ImportChatInvite { hash: hash.to_owned() }).await {
            Ok(joined) => self.learn_joined(&joined),
            Err(error) if error.is("USER_ALREADY_PARTICIPANT") => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn learn_joined(&self, joined: &tl::enums::messages::ChatInviteJoinResult) {
        use tl::enums::{Updates, messages::ChatInviteJoinResult};
        let ChatInviteJoinResult::Ok(joined) = joined else { return };
        match &joined.updates {
            Updates::Updates(updates) => self.learn(&updates.users, &updates.chats),
            Updates::Combined(updates) => self.learn(&updates.users, &updates.chats),
            _ => {}
        }
    }

    /// The chat of an invite link, if the account is in it.
    async fn invited(&self, hash: &str) -> Result<Option<PeerId>, Problem> {
        let invite = self.call(&tl::functions::messages::CheckChatInvite { hash: hash.to_owned() }).await?;
        let tl::enums::ChatInvite::Already(already) = invite else { return Ok(None) };
        let chats = [already.chat];
        self.learn(&[], &chats);
        let [chat] = chats;
        Ok(match chat {
            tl::enums::Chat::Chat(group) => PeerId::group(group.id),
            tl::enums::Chat::Channel(channel) => PeerId::channel(channel.id),
            _ => None,
        })
    }

    async fn first_of(&self, ids: &[i64]) -> Result<ChatInfo, Problem> {
        let mut problem = Problem::refused("chat_not_found", "this account has no such chat");
        for id in ids {
            match self.info_of(as_peer(*id)?).await {
                Err(other) if other.code == "chat_not_found" => problem = other,
                found => return found,
            }
        }
        Err(problem)
    }

    async fn info_of(&self, id: PeerId) -> Result<ChatInfo, Problem> {
        match self.find(id).await? {
            tl::enums::InputPeer::Channel(peer) => self.channel_info(peer.channel_id, peer.access_hash).await,
            tl::enums::InputPeer::Chat(peer) => self.group_info(peer.chat_id).await,
            _ => self.chat(id).await.map(|chat| person(&chat)),
        }
    }

    async fn channel_info(&self, channel_id: i64, access_hash: i64) -> Result<ChatInfo, Problem> {
        let channel = tl::types::InputChannel { channel_id, access_hash }.into();
        let tl::enums::messages::ChatFull::Full(answer) =
            self.call(&tl::functions::channels::GetFullChannel { channel }).await?;
        self.learn(&answer.users, &answer.chats);
        let chat = answer.chats.iter().find_map(|chat| match chat {
            tl::enums::Chat::Channel(channel) if channel.id == channel_id => Some(channel_of(channel)),
            tl::enums::Chat::ChannelForbidden(channel) if channel.id == channel_id => Some(forbidden(channel)),
            _ => None,
        });
        let mut info = chat.flatten().ok_or_else(|| not_there("channel"))?;
        if let tl::enums::ChatFull::ChannelFull(full) = answer.full_chat {
            info.members = full.participants_count.or(info.members);
            info.slow_mode_seconds = full.slowmode_seconds.and_then(|s| u32::try_from(s).ok()).unwrap_or_default();
            info.former_id = full.migrated_from_chat_id.and_then(PeerId::group).map(PeerId::get);
        }
        Ok(info)
    }

    async fn group_info(&self, chat_id: i64) -> Result<ChatInfo, Problem> {
        // The short form says everything that is needed here, and is told of a group that shut the account out, too.
        let chat = match self.group(chat_id).await {
            Err(error) if error.is("CHAT_ID_INVALID") || error.is("PEER_ID_INVALID") => return Err(not_there("group")),
            other => other.map_err(Problem::from)?,
        };
        match chat {
            Some(tl::enums::Chat::Chat(group)) => match &group.migrated_to {
                Some(tl::enums::InputChannel::Channel(to)) => self.migrated(chat_id, to).await,
                _ if group.deactivated => Err(not_there("group")),
                _ => group_of(&group).ok_or_else(|| not_there("group")),
            },
            Some(tl::enums::Chat::Forbidden(_)) => {
                Err(CallError::Rpc { code: 403, name: "CHAT_FORBIDDEN".to_owned(), value: None }.into())
            }
            _ => Err(not_there("group")),
        }
    }

    async fn migrated(&self, from: i64, to: &tl::types::InputChannel) -> Result<ChatInfo, Problem> {
        if let Some(id) = PeerId::channel(to.channel_id)
            && self.session().known_peer(id).is_none()
        {
            self.session().learn([CachedPeer::with_hash(id, to.access_hash)]);
        }
        let info = Box::pin(self.channel_info(to.channel_id, to.access_hash)).await?;
        Ok(ChatInfo { former_id: PeerId::group(from).map(PeerId::get), ..info })
    }
}

fn as_peer(id: i64) -> Result<PeerId, Problem> {
    PeerId::try_from(id).map_err(|error| Problem::refused("chat_not_found", error.to_string()))
}

fn not_there(what: &str) -> Problem {
    Problem::refused("chat_not_found", format!("Telegram shows this account no such {what}"))
}

fn person(chat: &Chat) -> ChatInfo {
    ChatInfo {
        id: chat.id.get(),
        kind: ChatKind::Person,
        title: chat.title.clone(),
        username: chat.username.clone(),
        members: None,
        photo: None,
        is_forum: false,
        slow_mode_seconds: 0,
        former_id: None,
        standing: Standing::Member,
        rights: if chat.can_post { Rights { edit: false, ..Rights::all() } } else { Rights::default() },
    }
}

fn channel_of(channel: &tl::types::Channel) -> Option<ChatInfo> {
    let admin = channel.admin_rights.as_ref().map(|tl::enums::ChatAdminRights::Rights(rights)| rights);
    let (own, common) = (banned(channel.banned_rights.as_ref()), banned(channel.default_banned_rights.as_ref()));
    let standing = standing(channel.creator, admin.is_some(), channel.left, own);
    let rights = match standing {
        Standing::Creator => Rights::all(),
        Standing::Administrator => administrator(channel.broadcast, admin?),
        // Only administrators write there.
        _ if channel.broadcast || channel.gigagroup => Rights::default(),
        Standing::Member | Standing::Restricted => member(own, common),
        Standing::Left | Standing::Banned => Rights::default(),
    };
    Some(ChatInfo {
        id: PeerId::channel(channel.id)?.get(),
        kind: if channel.broadcast { ChatKind::Channel } else { ChatKind::Group },
        title: channel.title.clone(),
        username: super::chat::username(channel.username.as_ref(), channel.usernames.as_deref()),
        members: channel.participants_count,
        photo: photo(&channel.photo),
        is_forum: channel.forum,
        slow_mode_seconds: 0,
        former_id: None,
        standing,
        rights,
    })
}

fn group_of(group: &tl::types::Chat) -> Option<ChatInfo> {
    let standing = standing(group.creator, group.admin_rights.is_some(), group.left, None);
    let rights = match (standing, &group.admin_rights) {
        (Standing::Creator, _) => Rights::all(),
        (Standing::Administrator, Some(tl::enums::ChatAdminRights::Rights(rights))) => administrator(false, rights),
        (Standing::Member, _) => member(None, banned(group.default_banned_rights.as_ref())),
        _ => Rights::default(),
    };
    Some(ChatInfo {
        id: PeerId::group(group.id)?.get(),
        kind: ChatKind::Group,
        title: group.title.clone(),
        username: None,
        members: Some(group.participants_count),
        photo: photo(&group.photo),
        is_forum: false,
        slow_mode_seconds: 0,
        former_id: None,
        standing,
        rights,
    })
}

/// The account was removed; of the chat it is told the title only.
fn forbidden(channel: &tl::types::ChannelForbidden) -> Option<ChatInfo> {
    Some(ChatInfo {
        id: PeerId::channel(channel.id)?.get(),
        kind: if channel.broadcast { ChatKind::Channel } else { ChatKind::Group },
        title: channel.title.clone(),
        username: None,
        members: None,
        photo: None,
        is_forum: false,
        slow_mode_seconds: 0,
        former_id: None,
        standing: Standing::Banned,
        rights: Rights { until: channel.until_date.and_then(moment), ..Rights::default() },
    })
}

fn photo(photo: &tl::enums::ChatPhoto) -> Option<String> {
    match photo {
        tl::enums::ChatPhoto::Photo(photo) => Some(photo.photo_id.to_string()),
        tl::enums::ChatPhoto::Empty => None,
    }
}

fn standing(creator: bool, admin: bool, left: bool, own: Option<&tl::types::ChatBannedRights>) -> Standing {
    match own {
        _ if creator => Standing::Creator,
        Some(own) if own.view_messages => Standing::Banned,
        _ if left => Standing::Left,
        _ if admin => Standing::Administrator,
        Some(_) => Standing::Restricted,
        None => Standing::Member,
    }
}

fn administrator(is_channel: bool, rights: &tl::types::ChatAdminRights) -> Rights {
    Rights {
        send: if !is_channel || rights.post_messages { SendKind::ALL.to_vec() } else { Vec::new() },
        edit: is_channel && rights.edit_messages,
        delete: rights.delete_messages,
        // In channels, whoever may edit may pin.
        pin: if is_channel { rights.edit_messages } else { rights.pin_messages },
        until: None,
    }
}

type Banned<'a> = Option<&'a tl::types::ChatBannedRights>;

fn banned(rights: Option<&tl::enums::ChatBannedRights>) -> Banned<'_> {
    rights.map(|tl::enums::ChatBannedRights::Rights(rights)| rights)
}

fn member(own: Banned<'_>, common: Banned<'_>) -> Rights {
    let free = |kind: SendKind| [own, common].into_iter().flatten().all(|banned| !forbids(banned, kind));
    Rights {
        send: SendKind::ALL.into_iter().filter(|kind| free(*kind)).collect(),
        pin: [own, common].into_iter().flatten().all(|banned| !banned.pin_messages),
        until: own.and_then(|own| moment(own.until_date)),
        ..Rights::default()
    }
}

fn forbids(banned: &tl::types::ChatBannedRights, kind: SendKind) -> bool {
    let apart = match kind {
        SendKind::Text => banned.send_plain,
        SendKind::Location => false,
        SendKind::Photo => banned.send_photos,
        SendKind::Video => banned.send_videos,
        SendKind::Document => banned.send_docs,
        SendKind::Audio => banned.send_audios,
        SendKind::Voice => banned.send_voices,
        SendKind::Animation => banned.send_gifs,
        SendKind::Poll => banned.send_polls,
    };
    apart || banned.view_messages || banned.send_messages || (SendKind::MEDIA.contains(&kind) && banned.send_media)
}

/// The largest number, and 0, are for ever.
fn moment(seconds: i32) -> Option<DateTime<Utc>> {
    (seconds > 0 && seconds < i32::MAX).then(|| DateTime::from_timestamp(seconds.into(), 0)).flatten()
}

#[cfg(test)]
mod tests {
    use grammers_tl_types::Deserializable as _;

    use super::*;

    /// Nothing is set.
    fn no_bans() -> tl::types::ChatBannedRights {
        tl::types::ChatBannedRights::from_bytes(&[0; 8]).unwrap()
    }

    fn no_rights() -> tl::types::ChatAdminRights {
        tl::types::ChatAdminRights::from_bytes(&[0; 4]).unwrap()
    }

    #[test]
    fn members_may_what_neither_the_chat_nor_a_restriction_forbids() {
        assert_eq!(member(None, Some(&no_bans())).send, SendKind::ALL);
        let common = tl::types::ChatBannedRights { send_media: true, ..no_bans() };
        assert_eq!(member(None, Some(&common)).send, [SendKind::Text, SendKind::Poll, SendKind::Location]);
        let own = tl::types::ChatBannedRights { send_plain: true, until_date: 4, ..no_bans() };
        let both = member(Some(&own), Some(&common));
        assert_eq!((both.send.as_slice(), both.pin), ([SendKind::Poll, SendKind::Location].as_slice(), true));
        assert_eq!(both.until.map(|until| until.timestamp()), Some(4));
        let silent = tl::types::ChatBannedRights { send_messages: true, until_date: i32::MAX, ..no_bans() };
        assert_eq!(member(Some(&silent), None), Rights { pin: true, ..Rights::default() });
    }

    #[test]
    fn administrators_of_channels_need_the_right_to_post() {
        assert!(!administrator(true, &no_rights()).may_post());
        assert!(administrator(false, &no_rights()).may_post());
        let poster = tl::types::ChatAdminRights { post_messages: true, edit_messages: true, ..no_rights() };
        let rights = administrator(true, &poster);
        assert!(rights.may_post() && rights.edit && rights.pin && !rights.delete);
    }

    #[test]
    fn a_restriction_that_hides_everything_is_a_ban() {
        let hidden = tl::types::ChatBannedRights { view_messages: true, ..no_bans() };
        assert_eq!(standing(false, false, true, Some(&hidden)), Standing::Banned);
        assert_eq!(standing(false, false, true, None), Standing::Left);
        assert_eq!(standing(false, true, false, None), Standing::Administrator);
        assert_eq!(standing(false, false, false, Some(&no_bans())), Standing::Restricted);
        assert_eq!(standing(true, true, false, None), Standing::Creator);
    }
}
