//! What a message says, and how it is to be delivered.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Text;

/// A message: its content and how it is delivered. Stored as `messages.kind` and `messages.content`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// What it says.
    #[serde(flatten)]
    pub content: Content,
    /// How it is delivered.
    #[serde(flatten)]
    pub options: Options,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// A text.
    Text(TextContent),
    /// A picture.
    Photo(Media),
    /// A film.
    Video(Media),
    /// Any file.
    Document(Media),
    /// Music.
    Audio(Media),
    /// A voice message: OGG with Opus.
    Voice(Media),
    /// A silent, looping film: GIF or H.264 without sound.
    Animation(Media),
    /// Two to ten media that are shown together.
    Album(Album),
    /// A poll or a quiz.
    Poll(Poll),
    /// A point on the map.
    Location(Location),
    /// A message that is elsewhere already.
    Forward(Forward),
}

impl Content {
    /// The value of `messages.kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Photo(_) => "photo",
            Self::Video(_) => "video",
            Self::Document(_) => "document",
            Self::Audio(_) => "audio",
            Self::Voice(_) => "voice",
            Self::Animation(_) => "animation",
            Self::Album(_) => "album",
            Self::Poll(_) => "poll",
            Self::Location(_) => "location",
            Self::Forward(_) => "forward",
        }
    }

    /// The one medium that it is, with its kind.
    pub fn as_media(&self) -> Option<(MediaKind, &Media)> {
        Some(match self {
            Self::Photo(media) => (MediaKind::Photo, media),
            Self::Video(media) => (MediaKind::Video, media),
            Self::Document(media) => (MediaKind::Document, media),
            Self::Audio(media) => (MediaKind::Audio, media),
            Self::Voice(media) => (MediaKind::Voice, media),
            Self::Animation(media) => (MediaKind::Animation, media),
            _ => return None,
        })
    }
}

/// How a message is delivered, whatever it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Options {
    /// Platform id of the message that is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<i64>,
    /// The topic of a forum that it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<i64>,
    /// Deliver without a sound.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
    /// Forbid forwarding and saving.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// Rows of inline buttons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Vec<Button>>,
}

/// A text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TextContent {
    /// The text, already parsed.
    #[serde(flatten)]
    pub text: Text,
    /// How a link in the text is previewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_preview: Option<LinkPreview>,
}

/// The kinds of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are described with the content of the same name")]
pub enum MediaKind {
    Photo,
    Video,
    Document,
    Audio,
    Voice,
    Animation,
}

/// A file with what is said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Media {
    /// The file.
    pub file: FileRef,
    /// What is written below (or above) it.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub caption: Text,
    /// Show the caption above.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub caption_above: bool,
    /// Cover it until it is touched (photo, video, animation).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spoiler: bool,
    /// Width in pixels (video, animation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels (video, animation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Length in seconds (video, animation, audio, voice).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u32>,
    /// Title (audio).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Performer (audio).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performer: Option<String>,
}

/// A stored file: the row of `files`, as it was when the message was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileRef {
    /// Its id.
    pub id: Uuid,
    /// The name that it is shown with.
    pub name: String,
    /// Its media type, such as `image/jpeg`.
    pub media_type: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// Media that are shown together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Album {
    /// Two to ten.
    pub items: Vec<AlbumItem>,
}

/// One of an album.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlbumItem {
    /// Photos and videos go together; documents and audio only with their like.
    #[serde(rename = "type")]
    pub kind: MediaKind,
    /// The medium.
    #[serde(flatten)]
    pub media: Media,
}

/// A poll or a quiz.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Poll {
    /// What is asked: 1 to 300 code points.
    pub question: String,
    /// Two to twelve answers of 1 to 100 code points.
    pub answers: Vec<String>,
    /// Show who voted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
    /// Several answers may be chosen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub multiple: bool,
    /// The right answer, counted from 0: that makes it a quiz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<u8>,
    /// What is shown after a wrong answer of a quiz.
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    pub explanation: Text,
    /// It closes after so many seconds, 5 to 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_seconds: Option<u32>,
}

/// A point on the map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Location {
    /// Degrees, -90 to 90.
    pub latitude: f64,
    /// Degrees, -180 to 180.
    pub longitude: f64,
    /// The radius of uncertainty in metres, up to 1500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// A message that is elsewhere already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Forward {
    /// The numeric id of the chat that it is in.
    pub from_chat_id: i64,
    /// Its id there; for an album, those of all its parts.
    pub message_ids: Vec<i64>,
    /// Without saying where it comes from.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_copy: bool,
}

/// Link preview options, as the Bot API's `LinkPreviewOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkPreview {
    /// No preview at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_disabled: Option<bool>,
    /// Address to preview instead of the first link of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Shrink the media of the preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer_small_media: Option<bool>,
    /// Enlarge the media of the preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer_large_media: Option<bool>,
    /// Show the preview above the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub show_above_text: Option<bool>,
}

/// One inline button: exactly one of `url` and `callback_data` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Button {
    /// The label, 1 to 64 code points.
    pub text: String,
    /// Address that the button opens: `http`, `https` or `tg`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Data that the button sends back, 1 to 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_data: Option<String>,
}

/// Which of a sender's queues a message waits in; background tasks have the same three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before all others.
    High,
    /// The usual one.
    #[default]
    Mid,
    /// After all others.
    Low,
}

impl Priority {
    /// Every queue, the highest first.
    pub const ALL: [Self; 3] = [Self::High, Self::Mid, Self::Low];

    /// The column value: 0 high, 1 mid, 2 low; a smaller value goes first.
    pub fn rank(self) -> i16 {
        self as i16
    }

    /// The inverse of [`Priority::rank`]; anything unknown is low.
    pub fn from_rank(rank: i16) -> Self {
        match rank {
            0 => Self::High,
            1 => Self::Mid,
            _ => Self::Low,
        }
    }

    /// The name used in the API and as metric label.
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Mid => "mid",
            Self::Low => "low",
        }
    }
}
