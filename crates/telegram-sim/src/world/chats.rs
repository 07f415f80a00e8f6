//! Groups, supergroups, channels and who is in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ChatId, FileId, Permissions, Rights, UserId};

/// What kind of chat it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    /// A basic group.
    Group,
    /// A supergroup.
    Supergroup,
    /// A channel: only administrators post.
    Channel,
}

impl ChatKind {
    /// The Bot API's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Supergroup => "supergroup",
            Self::Channel => "channel",
        }
    }
}

/// A group, supergroup or channel.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties, as Telegram has them")]
pub struct Chat {
    /// Negative id, as [`ChatId`] says.
    pub id: ChatId,
    /// MTProto access hash; unused by basic groups.
    pub access_hash: i64,
    /// What it is.
    pub kind: ChatKind,
    /// Never empty.
    pub title: String,
    /// Without `@`; public chats only.
    pub username: Option<String>,
    /// Description.
    pub about: Option<String>,
    /// Everyone who is or was in it.
    pub members: BTreeMap<UserId, Member>,
    /// The supergroup that this basic group became.
    pub migrated_to: Option<ChatId>,
    /// The basic group that this supergroup was.
    pub migrated_from: Option<ChatId>,
    /// Seconds that a plain member waits between two messages; 0 is off.
    pub slow_mode: u32,
    /// Whether plain members may write (groups and supergroups); off, it wins over `permissions`.
    pub members_may_send: bool,
    /// What plain members may do (groups and supergroups).
    pub permissions: Permissions,
    /// Its messages can be neither forwarded nor saved.
    pub protected: bool,
    /// Whether messages belong to topics (supergroups).
    pub is_forum: bool,
    /// The topics of a forum by id; the general one is not among them.
    pub topics: BTreeMap<i32, Topic>,
    /// The discussion group of a channel, or the channel of such a group.
    pub linked: Option<ChatId>,
    /// Its picture.
    pub photo: Option<FileId>,
    /// The part of its invite link that tells it apart.
    pub invite: Option<String>,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Unix seconds.
    pub created: i64,
    /// The id of its latest message (supergroups and channels number their own).
    pub last_message_id: i32,
}

impl Chat {
    /// The membership, unless the user left, was removed or never came.
    pub fn member(&self, user: UserId) -> Option<&Member> {
        self.members.get(&user).filter(|member| member.status.is_inside())
    }

    /// Who owns it.
    pub fn creator(&self) -> Option<UserId> {
        let creator = self.members.iter().find(|(_, member)| member.status == MemberStatus::Creator);
        creator.map(|(id, _)| *id)
    }

    /// What a user who is no administrator may do.
    pub fn permissions_of(&self, user: UserId) -> Permissions {
        let own = match self.members.get(&user) {
            Some(member) if member.status == MemberStatus::Restricted => member.permissions,
            Some(member) if member.status.is_inside() => Permissions::ALL,
            _ => Permissions::NONE,
        };
        own.and(if self.members_may_send { self.permissions } else { Permissions::NONE })
    }

    /// Whether a user may pin messages.
    pub fn may_pin(&self, user: UserId) -> bool {
        self.member(user).is_some_and(|member| match (member.status, self.kind) {
            (MemberStatus::Creator, _) => true,
            (MemberStatus::Administrator, ChatKind::Channel) => member.rights.edit,
            (MemberStatus::Administrator, _) => member.rights.pin,
            (_, ChatKind::Channel) => false,
            _ => self.permissions_of(user).pin,
        })
    }

    /// Whether a user may make invite links.
    pub fn may_invite(&self, user: UserId) -> bool {
        self.member(user).is_some_and(|member| {
            member.status == MemberStatus::Creator
                || (member.status == MemberStatus::Administrator && member.rights.invite)
        })
    }

    /// Whether there is a topic with this id. The general one has none: what is sent there is in no topic.
    pub fn has_topic(&self, id: i32) -> bool {
        self.is_forum && self.topics.contains_key(&id)
    }

    /// Its invite link.
    pub fn invite_link(&self) -> Option<String> {
        self.invite.as_ref().map(|hash| format!("https://t.me/+{hash}"))
    }

    /// How many are inside.
    pub fn member_count(&self) -> usize {
        self.members.values().filter(|member| member.status.is_inside()).count()
    }
}

/// A topic of a forum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topic {
    /// Never empty.
    pub title: String,
    /// Only administrators write to a closed topic.
    pub closed: bool,
}

/// A user's standing in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberStatus {
    /// Owns the chat.
    Creator,
    /// Has some of [`Rights`].
    Administrator,
    /// A plain member.
    Member,
    /// A member that may do only what its [`Permissions`] say.
    Restricted,
    /// Left by itself, or never came.
    Left,
    /// Removed and banned.
    Kicked,
}

impl MemberStatus {
    /// Whether someone with this status is in the chat.
    pub fn is_inside(self) -> bool {
        !matches!(self, Self::Left | Self::Kicked)
    }

    /// Whether someone with this status manages the chat.
    pub fn is_admin(self) -> bool {
        matches!(self, Self::Creator | Self::Administrator)
    }

    /// The Bot API's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creator => "creator",
            Self::Administrator => "administrator",
            Self::Member => "member",
            Self::Restricted => "restricted",
            Self::Left => "left",
            Self::Kicked => "kicked",
        }
    }
}

/// One membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Standing.
    pub status: MemberStatus,
    /// What an administrator may do; the creator may do everything.
    pub rights: Rights,
    /// What a restricted member may do.
    pub permissions: Permissions,
    /// Unix seconds of the last change.
    pub since: i64,
    /// Unix seconds of the last own message, for slow mode.
    pub last_message: i64,
}

impl Member {
    /// A membership that begins now, with every right that administrators can have; who is restricted may do nothing.
    pub fn new(status: MemberStatus) -> Self {
        Self {
            status,
            rights: Rights::default(),
            permissions: Permissions::NONE,
            since: super::state::now(),
            last_message: 0,
        }
    }

    /// Whether somebody with this standing may do the same as somebody with the other.
    pub fn is_like(&self, other: &Self) -> bool {
        self.status == other.status
            && (self.status != MemberStatus::Administrator || self.rights == other.rights)
            && (self.status != MemberStatus::Restricted || self.permissions == other.permissions)
    }

    /// Whether this member may post in a channel.
    pub fn may_post(&self) -> bool {
        self.status == MemberStatus::Creator || (self.status == MemberStatus::Administrator && self.rights.post)
    }

    /// Whether this member may delete messages of others.
    pub fn may_delete(&self) -> bool {
        self.status == MemberStatus::Creator || (self.status == MemberStatus::Administrator && self.rights.delete)
    }

    /// Whether this member may edit posts of others in a channel.
    pub fn may_edit(&self) -> bool {
        self.status == MemberStatus::Creator || (self.status == MemberStatus::Administrator && self.rights.edit)
    }
}
