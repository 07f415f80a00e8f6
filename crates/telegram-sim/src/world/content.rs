//! What a message can carry beside text.

use serde::{Deserialize, Serialize};

use super::{ChatId, Entity, FileId, UserId};

/// How an attached file is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the Bot API")]
pub enum MediaKind {
    Photo,
    Video,
    #[default]
    Document,
    Audio,
    Voice,
    Animation,
}

impl MediaKind {
    /// The Bot API's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Photo => "photo",
            Self::Video => "video",
            Self::Document => "document",
            Self::Audio => "audio",
            Self::Voice => "voice",
            Self::Animation => "animation",
        }
    }
}

impl MediaKind {
    /// Whether files of both kinds can be in one album, or one take the place of the other there.
    pub fn goes_with(self, other: Self) -> bool {
        let visual = |kind| matches!(kind, Self::Photo | Self::Video);
        match self {
            Self::Photo | Self::Video => visual(other),
            Self::Document | Self::Audio => self == other,
            Self::Voice | Self::Animation => false,
        }
    }
}

/// An attached file with what is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// How it is shown.
    pub kind: MediaKind,
    /// Number of the file.
    pub file_id: FileId,
    /// File name.
    pub name: String,
    /// MIME type.
    pub mime_type: String,
    /// Bytes.
    pub size: u64,
    /// Hash of the content, in hex digits.
    pub sha256: String,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u32>,
    /// Of a piece of music.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Of a piece of music.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performer: Option<String>,
    /// The file with the preview picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<FileId>,
    /// Hidden until it is touched.
    pub spoiler: bool,
    /// Can be watched while it is loaded.
    pub streaming: bool,
}

/// A poll or quiz.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties, as Telegram has them")]
pub struct Poll {
    /// Number of the poll.
    pub id: i64,
    /// What is asked.
    pub question: String,
    /// Formatted ranges of the question.
    pub question_entities: Vec<Entity>,
    /// What can be answered.
    pub options: Vec<String>,
    /// Nobody sees who voted for what.
    pub anonymous: bool,
    /// More than one answer may be chosen.
    pub multiple: bool,
    /// It has right answers.
    pub quiz: bool,
    /// The right answers of a quiz.
    pub correct: Vec<usize>,
    /// Whether a vote can be changed.
    pub revoting: bool,
    /// What is shown after a wrong answer.
    pub explanation: Option<String>,
    /// Seconds that it is open.
    pub open_period: Option<i32>,
    /// Unix seconds at which it closes.
    pub close_date: Option<i32>,
    /// Nobody can vote any more.
    pub closed: bool,
}

/// A point on the map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Degrees.
    pub latitude: f64,
    /// Degrees.
    pub longitude: f64,
    /// Metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// Where a forwarded message comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The channel that it was posted in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChatId>,
    /// Its id there.
    pub message_id: i32,
    /// Unix seconds.
    pub date: i64,
}

/// Something that a chat tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// It has a new title.
    NewTitle(String),
    /// It has a new picture.
    NewPhoto(FileId),
    /// It has no picture any more.
    DeletedPhoto,
    /// A message was pinned.
    Pinned(i32),
    /// A forum has a new topic.
    TopicCreated(String),
}

/// What a message mainly is, as far as permissions tell contents apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentKind {
    /// Text only.
    Text,
    /// A file of this kind.
    File(MediaKind),
    /// A poll.
    Poll,
    /// A point on the map.
    Location,
}
