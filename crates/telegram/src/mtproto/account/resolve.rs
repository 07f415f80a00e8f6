//! Finding who a message is for.

use std::time::Duration;

use grammers_session::types::PeerKind;
use grammers_tl_types as tl;
use tokio::time::Instant;

use super::dialogs::peer_id;
use super::{Account, Chat};
use crate::mtproto::call::CallError;
use crate::mtproto::peer::PeerId;
use crate::mtproto::problem::Problem;

/// How often the dialogs are searched for peers that are not known.
const SEARCH: Duration = Duration::from_secs(5);

/// How many pages of dialogs are searched.
const PAGES: usize = 5;

impl Account {
    /// Finds who has this user name, with or without `@`; `None` when nobody has.
    pub async fn resolve_username(&self, username: &str) -> Result<Option<Chat>, Problem> {
        let username = username.trim().trim_start_matches('@').to_owned();
        let request = tl::functions::contacts::ResolveUsername { username, referer: None };
        let tl::enums::contacts::ResolvedPeer::Peer(found) = match self.call(&request).await {
            Ok(found) => found,
            Err(error) if error.is("USERNAME_NOT_OCCUPIED") || error.is("USERNAME_INVALID") => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        self.learn(&found.users, &found.chats);
        let users = found.users.iter().filter_map(Chat::from_user);
        let chats = found.chats.iter().filter_map(Chat::from_chat);
        let id = peer_id(&found.peer);
        Ok(users.chain(chats).find(|chat| Some(chat.id) == id))
    }

    /// Finds the peer that a number means: in the form of the Bot API (`-100…` for supergroups and channels), or a
    /// bare number of MTProto where only one peer that the account knows fits.
    pub async fn resolve_id(&self, id: i64) -> Result<PeerId, Problem> {
        let as_written = PeerId::try_from(id).ok();
        let bare = id.checked_abs().unwrap_or_default();
        let candidates = [as_written, PeerId::channel(bare), PeerId::group(bare)];
        let known = || candidates.iter().flatten().copied().find(|id| self.is_known(*id));
        // A basic group can be addressed without being known; whether it exists, Telegram says.
        let group = as_written.filter(|id| id.kind() == PeerKind::Chat);
        if let Some(id) = known().or(group) {
            return Ok(id);
        }
        self.search().await?;
        known().ok_or_else(|| not_found(id))
    }

    /// Asks Telegram what a chat is now, with its number of members and this account's rights.
    pub async fn chat(&self, id: PeerId) -> Result<Chat, Problem> {
        let chat = match self.find(id).await? {
            tl::enums::InputPeer::Channel(peer) => self.channel(peer.channel_id, peer.access_hash).await?,
            tl::enums::InputPeer::Chat(peer) => self.group(peer.chat_id).await?.as_ref().and_then(Chat::from_chat),
            tl::enums::InputPeer::User(peer) => {
                self.user_chat(tl::types::InputUser { user_id: peer.user_id, access_hash: peer.access_hash }.into())
                    .await?
            }
            tl::enums::InputPeer::PeerSelf => self.user_chat(tl::enums::InputUser::UserSelf).await?,
            _ => None,
        };
        chat.ok_or_else(|| not_found(id.get()))
    }

    async fn user_chat(&self, user: tl::enums::InputUser) -> Result<Option<Chat>, CallError> {
        let users = self.call(&tl::functions::users::GetUsers { id: vec![user] }).await?;
        self.learn(&users, &[]);
        Ok(users.first().and_then(Chat::from_user))
    }

    async fn channel(&self, channel_id: i64, access_hash: i64) -> Result<Option<Chat>, CallError> {
        let channel = tl::types::InputChannel { channel_id, access_hash }.into();
        let tl::enums::messages::ChatFull::Full(full) =
            self.call(&tl::functions::channels::GetFullChannel { channel }).await?;
        self.learn(&full.users, &full.chats);
        let id = PeerId::channel(channel_id);
        let chat = full.chats.iter().filter_map(Chat::from_chat).find(|chat| Some(chat.id) == id);
        Ok(chat.map(|chat| match full.full_chat {
            tl::enums::ChatFull::ChannelFull(full) => {
                Chat { members: full.participants_count.or(chat.members), ..chat }
            }
            _ => chat,
        }))
    }

    pub(super) async fn group(&self, chat_id: i64) -> Result<Option<tl::enums::Chat>, CallError> {
        let chats = match self.call(&tl::functions::messages::GetChats { id: vec![chat_id] }).await? {
            tl::enums::messages::Chats::Chats(all) => all.chats,
            tl::enums::messages::Chats::Slice(part) => part.chats,
        };
        self.learn(&[], &chats);
        Ok(chats.into_iter().find(|chat| chat.id() == chat_id))
    }

    fn is_known(&self, id: PeerId) -> bool {
        id.get() == self.user().id || self.session().known_peer(id).is_some()
    }

    /// How a peer is addressed; `None` when the session never learnt its access hash.
    pub(super) fn input_peer(&self, id: PeerId) -> Option<tl::enums::InputPeer> {
        if id.get() == self.user().id {
            return Some(tl::enums::InputPeer::PeerSelf);
        }
        let hash = || self.session().known_peer(id)?.access_hash();
        Some(match id.kind() {
            PeerKind::User => tl::types::InputPeerUser { user_id: id.bare(), access_hash: hash()? }.into(),
            PeerKind::Chat => tl::types::InputPeerChat { chat_id: id.bare() }.into(),
            PeerKind::Channel => tl::types::InputPeerChannel { channel_id: id.bare(), access_hash: hash()? }.into(),
        })
    }

    /// As [`Account::input_peer`], and searches the dialogs for who is not known.
    pub(super) async fn find(&self, id: PeerId) -> Result<tl::enums::InputPeer, Problem> {
        if let Some(peer) = self.input_peer(id) {
            return Ok(peer);
        }
        self.search().await?;
        self.input_peer(id).ok_or_else(|| not_found(id.get()))
    }

    /// Searches the dialogs, once for all who wait for it. An earlier search proves nothing: somebody may have written since then. So
    /// shortly after one, the next is waited for.
    async fn search(&self) -> Result<(), CallError> {
        let asked = Instant::now();
        let mut searched = self.searched.lock().await;
        if searched.is_some_and(|begun| begun >= asked) {
            return Ok(());
        }
        if let Some(before) = *searched {
            tokio::time::sleep_until(before + SEARCH).await;
        }
        let begun = Instant::now();
        self.walk_dialogs(PAGES).await?;
        *searched = Some(begun);
        Ok(())
    }
}

fn not_found(id: i64) -> Problem {
    Problem::refused("chat_not_found", format!("this account has no chat {id}: write to it once, or use its @name"))
}
