//! The dialogs of an account.

use std::collections::HashMap;

use grammers_tl_types as tl;
use tl::enums::messages::Dialogs;

use super::{Account, Chat};
use crate::mtproto::call::CallError;
use crate::mtproto::peer::PeerId;
use crate::mtproto::problem::Problem;

/// Dialogs of one answer; Telegram gives no more.
const PAGE: i32 = 100;

/// Most pages that are asked for.
const PAGES: usize = 20;

impl Account {
    /// The chats of the account, the latest first, up to `limit` of at most 2,000.
    pub async fn dialogs(&self, limit: usize) -> Result<Vec<Chat>, Problem> {
        Ok(self.walk_dialogs(limit.div_ceil(100).min(PAGES)).await?.into_iter().take(limit).collect())
    }

    /// Walks through so many pages of dialogs. The session learns everyone in them.
    pub(super) async fn walk_dialogs(&self, pages: usize) -> Result<Vec<Chat>, CallError> {
        let mut found = Vec::new();
        let mut request = tl::functions::messages::GetDialogs {
            exclude_pinned: false,
            folder_id: None,
            offset_date: 0,
            offset_id: 0,
            offset_peer: tl::enums::InputPeer::Empty,
            limit: PAGE,
            hash: 0,
        };
        for _ in 0..pages {
            let (page, is_last) = match self.call(&request).await? {
                Dialogs::Dialogs(all) => (Page::new(all.dialogs, all.messages, all.users, all.chats), true),
                Dialogs::Slice(part) => {
                    let is_last = part.dialogs.len() < PAGE as usize;
                    (Page::new(part.dialogs, part.messages, part.users, part.chats), is_last)
                }
                Dialogs::NotModified(_) => break,
            };
            self.learn(&page.users, &page.chats);
            found.extend(page.list());
            let Some(next) = page.end().filter(|_| !is_last) else { break };
            let Some(peer) = self.input_peer(next.peer) else { break };
            request.exclude_pinned = true;
            request.offset_date = next.date;
            request.offset_id = next.message_id;
            request.offset_peer = peer;
        }
        Ok(found)
    }
}

struct Page {
    dialogs: Vec<tl::types::Dialog>,
    messages: Vec<tl::enums::Message>,
    users: Vec<tl::enums::User>,
    chats: Vec<tl::enums::Chat>,
}

/// Where the next page begins.
struct Offset {
    peer: PeerId,
    message_id: i32,
    date: i32,
}

impl Page {
    fn new(
        dialogs: Vec<tl::enums::Dialog>,
        messages: Vec<tl::enums::Message>,
        users: Vec<tl::enums::User>,
        chats: Vec<tl::enums::Chat>,
    ) -> Self {
        let dialogs = dialogs.into_iter().filter_map(|dialog| match dialog {
            tl::enums::Dialog::Dialog(dialog) => Some(dialog),
            tl::enums::Dialog::Folder(_) | tl::enums::Dialog::Community(_) => None,
        });
        Self { dialogs: dialogs.collect(), messages, users, chats }
    }

    fn list(&self) -> Vec<Chat> {
        let users = self.users.iter().filter_map(Chat::from_user);
        let chats = self.chats.iter().filter_map(Chat::from_chat);
        let mut by_id: HashMap<PeerId, Chat> = users.chain(chats).map(|chat| (chat.id, chat)).collect();
        self.dialogs.iter().filter_map(|dialog| by_id.remove(&peer_id(&dialog.peer)?)).collect()
    }

    fn end(&self) -> Option<Offset> {
        self.dialogs.iter().rev().find_map(|dialog| {
            let peer = peer_id(&dialog.peer)?;
            let date = self.messages.iter().find_map(|message| match message {
                tl::enums::Message::Message(m) if m.id == dialog.top_message && m.peer_id == dialog.peer => {
                    Some(m.date)
                }
                tl::enums::Message::Service(m) if m.id == dialog.top_message && m.peer_id == dialog.peer => {
                    Some(m.date)
                }
                _ => None,
            })?;
            Some(Offset { peer, message_id: dialog.top_message, date })
        })
    }
}

pub(super) fn peer_id(peer: &tl::enums::Peer) -> Option<PeerId> {
    match peer {
        tl::enums::Peer::User(user) => PeerId::user(user.user_id),
        tl::enums::Peer::Chat(chat) => PeerId::group(chat.chat_id),
        tl::enums::Peer::Channel(channel) => PeerId::channel(channel.channel_id),
    }
}
