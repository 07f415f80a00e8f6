//! Chats as an account sees them.

use grammers_tl_types as tl;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::mtproto::peer::PeerId;

/// A user, group or channel, and whether the account can post there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// Identifies it, in the form of the Bot API.
    pub id: PeerId,
    /// What it is.
    pub kind: ChatKind,
    /// Title of a group or channel, name of a user.
    pub title: String,
    /// User name without `@`, when there is one.
    pub username: Option<String>,
    /// Number of members, when Telegram tells it.
    pub members: Option<i32>,
    /// May this account post text there?
    pub can_post: bool,
    /// Does this account administer it?
    pub is_admin: bool,
}

/// What a chat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    /// A person.
    User,
    /// A bot.
    Bot,
    /// A basic group.
    Group,
    /// A supergroup.
    Supergroup,
    /// A channel.
    Channel,
}

impl Chat {
    pub(super) fn from_user(user: &tl::enums::User) -> Option<Self> {
        let tl::enums::User::User(user) = user else { return None };
        let names = [user.first_name.as_deref(), user.last_name.as_deref()];
        Some(Self {
            id: PeerId::user(user.id)?,
            kind: if user.bot { ChatKind::Bot } else { ChatKind::User },
            title: names.into_iter().flatten().collect::<Vec<_>>().join(" "),
            username: username(user.username.as_ref(), user.usernames.as_deref()),
            members: None,
            can_post: !user.deleted,
            is_admin: false,
        })
    }

    /// `None` for what the account is no longer in, and for kinds that take no messages.
    pub(super) fn from_chat(chat: &tl::enums::Chat) -> Option<Self> {
        match chat {
            tl::enums::Chat::Chat(group) => Self::from_group(group),
            tl::enums::Chat::Channel(channel) => Self::from_channel(channel),
            _ => None,
        }
    }

    fn from_group(group: &tl::types::Chat) -> Option<Self> {
        let is_admin = group.creator || group.admin_rights.is_some();
        let is_member = !group.left && !group.deactivated && group.migrated_to.is_none();
        Some(Self {
            id: PeerId::group(group.id)?,
            kind: ChatKind::Group,
            title: group.title.clone(),
            username: None,
            members: Some(group.participants_count),
            can_post: is_member && (is_admin || may_write(group.default_banned_rights.as_ref())),
            is_admin,
        })
    }

    fn from_channel(channel: &tl::types::Channel) -> Option<Self> {
        let is_admin = channel.creator || channel.admin_rights.is_some();
        let posts = channel.admin_rights.as_ref().is_some_and(|tl::enums::ChatAdminRights::Rights(r)| r.post_messages);
        let can_post = if channel.broadcast {
            channel.creator || posts
        } else {
            let closed = channel.gigagroup || (channel.left && channel.join_to_send);
            let everyone = !closed
                && may_write(channel.banned_rights.as_ref())
                && may_write(channel.default_banned_rights.as_ref());
            is_admin || everyone
        };
        Some(Self {
            id: PeerId::channel(channel.id)?,
            kind: if channel.broadcast { ChatKind::Channel } else { ChatKind::Supergroup },
            title: channel.title.clone(),
            username: username(channel.username.as_ref(), channel.usernames.as_deref()),
            members: channel.participants_count,
            can_post,
            is_admin,
        })
    }
}

pub(super) fn username(main: Option<&String>, others: Option<&[tl::enums::Username]>) -> Option<String> {
    let active = |tl::enums::Username::Username(name): &tl::enums::Username| name.active.then(|| name.username.clone());
    main.cloned().or_else(|| others.into_iter().flatten().find_map(active))
}

fn may_write(banned: Option<&tl::enums::ChatBannedRights>) -> bool {
    banned.is_none_or(|tl::enums::ChatBannedRights::Rights(rights)| {
        !rights.view_messages && !rights.send_messages && !rights.send_plain
    })
}
