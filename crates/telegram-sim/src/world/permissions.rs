//! What administrators and plain members may do.

use serde::{Deserialize, Serialize};

use super::{ContentKind, MediaKind};

/// Rights of an administrator; all on by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent rights, as Telegram has them")]
pub struct Rights {
    /// Post in a channel.
    pub post: bool,
    /// Edit posts of others in a channel, and pin there.
    pub edit: bool,
    /// Delete messages of others.
    pub delete: bool,
    /// Invite users.
    pub invite: bool,
    /// Restrict and ban members.
    pub restrict: bool,
    /// Pin messages in a group.
    pub pin: bool,
    /// Add administrators.
    pub promote: bool,
    /// Change title and description.
    pub change_info: bool,
    /// Make and change topics of a forum.
    pub topics: bool,
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
            topics: true,
        }
    }
}

/// What a plain or restricted member of a group may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent permissions, as Telegram has them")]
#[expect(missing_docs, reason = "each says what may be sent or done")]
pub struct Permissions {
    pub messages: bool,
    pub audios: bool,
    pub documents: bool,
    pub photos: bool,
    pub videos: bool,
    pub voices: bool,
    pub polls: bool,
    /// Animations and stickers.
    pub other: bool,
    /// Previews of links.
    pub previews: bool,
    pub change_info: bool,
    pub invite: bool,
    pub pin: bool,
    pub topics: bool,
}

impl Default for Permissions {
    /// Those of a new group: everything can be sent.
    fn default() -> Self {
        Self { change_info: false, pin: false, topics: false, ..Self::ALL }
    }
}

impl Permissions {
    /// Nothing at all.
    pub const NONE: Self = Self::all(false);
    /// Everything.
    pub const ALL: Self = Self::all(true);

    const fn all(on: bool) -> Self {
        Self {
            messages: on,
            audios: on,
            documents: on,
            photos: on,
            videos: on,
            voices: on,
            polls: on,
            other: on,
            previews: on,
            change_info: on,
            invite: on,
            pin: on,
            topics: on,
        }
    }

    /// What both allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            messages: self.messages && other.messages,
            audios: self.audios && other.audios,
            documents: self.documents && other.documents,
            photos: self.photos && other.photos,
            videos: self.videos && other.videos,
            voices: self.voices && other.voices,
            polls: self.polls && other.polls,
            other: self.other && other.other,
            previews: self.previews && other.previews,
            change_info: self.change_info && other.change_info,
            invite: self.invite && other.invite,
            pin: self.pin && other.pin,
            topics: self.topics && other.topics,
        }
    }

    /// Whether this content may be sent.
    pub fn allows(&self, content: ContentKind) -> bool {
        match content {
            ContentKind::Text | ContentKind::Location => self.messages,
            ContentKind::Poll => self.polls,
            ContentKind::File(MediaKind::Photo) => self.photos,
            ContentKind::File(MediaKind::Video) => self.videos,
            ContentKind::File(MediaKind::Document) => self.documents,
            ContentKind::File(MediaKind::Audio) => self.audios,
            ContentKind::File(MediaKind::Voice) => self.voices,
            ContentKind::File(MediaKind::Animation) => self.other,
        }
    }

    /// Whether anything may be sent.
    pub fn allow_something(&self) -> bool {
        self.messages
            || self.audios
            || self.documents
            || self.photos
            || self.videos
            || self.voices
            || self.polls
            || self.other
    }
}
