//! Groups, supergroups, channels and who is in them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ChatId, UserId};

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
    /// Whether plain members may write (groups and supergroups).
    pub members_may_send: bool,
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

    /// How many are inside.
    pub fn member_count(&self) -> usize {
        self.members.values().filter(|member| member.status.is_inside()).count()
    }
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
    /// A member that may not write.
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
    /// Unix seconds of the last change.
    pub since: i64,
    /// Unix seconds of the last own message, for slow mode.
    pub last_message: i64,
}

impl Member {
    /// A membership that begins now, with every right that administrators can have.
    pub fn new(status: MemberStatus) -> Self {
        Self { status, rights: Rights::default(), since: super::state::now(), last_message: 0 }
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

/// Rights of an administrator; all on by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent rights, as Telegram has them")]
pub struct Rights {
    /// Post in a channel.
    pub post: bool,
    /// Edit posts of others in a channel.
    pub edit: bool,
    /// Delete messages of others.
    pub delete: bool,
    /// Invite users.
    pub invite: bool,
    /// Restrict and ban members.
    pub restrict: bool,
    /// Pin messages.
    pub pin: bool,
    /// Add administrators.
    pub promote: bool,
    /// Change title and description.
    pub change_info: bool,
}

impl Default for Rights {
    fn default() -> Self {
        Self {
            post: true,
            edit: true,
            delete: true,
            invite: true,
            restrict: true,
            pin: true,
            promote: true,
            change_info: true,
        }
    }
}
