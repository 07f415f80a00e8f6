//! A message as its caller describes it: the body of every send.

use chrono::{DateTime, Utc};
use platform::{Button, Entity, LinkPreview, Location, MediaKind, Priority};
use serde::{Deserialize, Serialize};
use telegram::text::ParseMode;
use utoipa::ToSchema;
use uuid::Uuid;

/// A message to send: exactly one of `text`, `photo`, `video`, `document`, `audio`, `voice`, `animation`, `album`, `poll`, `location` and
/// `forward`.
// The first fields keep their order, and those that came later are left out where they are not given: so a request that is repeated with
// its `Idempotency-Key` after an upgrade is known as the same one.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// Numeric id of the chat, or the `@name` of a public channel or group. Required, but for sends to a connected channel, which have
    /// none.
    pub chat_id: Option<ChatId>,
    /// The text: at most 4096 characters after its markup is parsed.
    pub text: Option<String>,
    /// How markup in the text or caption is written. Without it the text is plain, or formatted by `entities`.
    pub parse_mode: Option<ParseMode>,
    /// Formatting by ranges, instead of markup. Offsets and lengths count UTF-16 code units.
    pub entities: Option<Vec<Entity>>,
    /// Id of the message at Telegram that is answered.
    pub reply_to_message_id: Option<i64>,
    /// Deliver without a sound.
    pub silent: Option<bool>,
    /// Forbid forwarding and saving.
    pub protected: Option<bool>,
    /// How a link in the text is previewed.
    pub link_preview: Option<LinkPreview>,
    /// Rows of inline buttons. An account cannot send them.
    #[serde(default)]
    pub buttons: Vec<Vec<Button>>,
    /// Which of the sender's queues the message waits in.
    #[serde(default)]
    pub priority: Priority,
    /// Not before this time (RFC 3339), at most 365 days ahead.
    pub scheduled_at: Option<DateTime<Utc>>,
    /// Send a text that is too long as several messages, cut where it disturbs least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<bool>,
    /// A picture of at most 10 MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub photo: Option<Medium>,
    /// A film.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<Medium>,
    /// Any file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<Medium>,
    /// Music.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<Medium>,
    /// A voice message: OGG with Opus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<Medium>,
    /// A silent, looping film: GIF or H.264 without sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub animation: Option<Medium>,
    /// Two to ten media that are shown together: photos and videos, or documents only, or audio only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 2, max_items = 10)]
    pub album: Option<Vec<AlbumMedium>>,
    /// A poll or a quiz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll: Option<PollDraft>,
    /// A point on the map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Messages that are elsewhere already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward: Option<ForwardDraft>,
    /// What is written below the one medium: at most 1024 characters after its markup is parsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// The topic of a forum that the message goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<i64>,
}

impl SendMessage {
    /// Whether something has to be fetched for it.
    pub fn fetches(&self) -> bool {
        let media = [&self.photo, &self.video, &self.document, &self.audio, &self.voice, &self.animation];
        media.into_iter().flatten().any(|medium| medium.url.is_some())
            || self.album.iter().flatten().any(|item| item.url.is_some())
    }
}

/// A chat: its numeric id, or `@name`.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(untagged, expecting = "a numeric chat id or an `@name`")]
pub enum ChatId {
    /// Negative for groups and channels.
    Id(i64),
    /// Public name with `@`.
    Name(String),
}

/// A file with what is said of it. The file is named by exactly one of `file_id`, `url` and `attach`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Medium {
    /// Id of a file that was stored before.
    pub file_id: Option<Uuid>,
    /// Address that the file is fetched from, `http` or `https`.
    pub url: Option<String>,
    /// Name of the part of this request that holds the file, where the request is a form.
    pub attach: Option<String>,
    /// The name that it is shown with, instead of its own.
    pub name: Option<String>,
    /// Cover it until it is touched (photo, video, animation).
    pub spoiler: Option<bool>,
    /// Show the caption above (photo, video, animation).
    pub caption_above: Option<bool>,
    /// Width in pixels (video, animation).
    pub width: Option<u32>,
    /// Height in pixels (video, animation).
    pub height: Option<u32>,
    /// Length in seconds (video, animation, audio, voice).
    pub duration: Option<u32>,
    /// Title (audio).
    pub title: Option<String>,
    /// Performer (audio).
    pub performer: Option<String>,
}

/// One medium of an album.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlbumMedium {
    /// What it is: `photo`, `video`, `document` or `audio`.
    #[serde(rename = "type")]
    pub kind: MediaKind,
    /// Id of a file that was stored before.
    pub file_id: Option<Uuid>,
    /// Address that the file is fetched from, `http` or `https`.
    pub url: Option<String>,
    /// Name of the part of this request that holds the file, where the request is a form.
    pub attach: Option<String>,
    /// The name that it is shown with, instead of its own.
    pub name: Option<String>,
    /// Cover it until it is touched (photo, video).
    pub spoiler: Option<bool>,
    /// Show the caption above (photo, video).
    pub caption_above: Option<bool>,
    /// Width in pixels (video).
    pub width: Option<u32>,
    /// Height in pixels (video).
    pub height: Option<u32>,
    /// Length in seconds (video, audio).
    pub duration: Option<u32>,
    /// Title (audio).
    pub title: Option<String>,
    /// Performer (audio).
    pub performer: Option<String>,
    /// What is written below it: at most 1024 characters after its markup is parsed.
    pub caption: Option<String>,
    /// How markup in the caption is written.
    pub parse_mode: Option<ParseMode>,
    /// Formatting of the caption by ranges, instead of markup.
    pub entities: Option<Vec<Entity>>,
}

/// A poll or a quiz.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PollDraft {
    /// What is asked: 1 to 300 characters.
    pub question: String,
    /// Two to twelve answers of 1 to 100 characters.
    pub answers: Vec<String>,
    /// Show who voted.
    #[serde(default)]
    pub public: bool,
    /// Several answers may be chosen.
    #[serde(default)]
    pub multiple: bool,
    /// The right answer, counted from 0: that makes it a quiz.
    pub correct: Option<u8>,
    /// What is shown after a wrong answer of a quiz: at most 200 characters.
    pub explanation: Option<String>,
    /// How markup in the explanation is written.
    pub explanation_parse_mode: Option<ParseMode>,
    /// It closes after so many seconds, 5 to 600.
    pub open_seconds: Option<u32>,
}

/// Messages that are elsewhere already.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardDraft {
    /// The numeric id of the chat that they are in. The sender has to see it.
    pub from_chat_id: i64,
    /// Their ids there, in rising order: at most 100. For an album, those of all its parts.
    #[schema(min_items = 1, max_items = 100)]
    pub message_ids: Vec<i64>,
    /// Without saying where they come from.
    #[serde(default)]
    pub as_copy: bool,
}

impl AlbumMedium {
    /// The medium, and what is written below it.
    pub fn into_parts(self) -> (MediaKind, Medium, TextDraft) {
        let Self { kind, file_id, url, attach, name, spoiler, caption_above, width, height, duration, .. } = self;
        let (title, performer) = (self.title, self.performer);
        let caption = TextDraft { text: self.caption, parse_mode: self.parse_mode, entities: self.entities };
        let medium =
            Medium { file_id, url, attach, name, spoiler, caption_above, width, height, duration, title, performer };
        (kind, medium, caption)
    }
}

/// A text, and how its formatting is given.
#[derive(Debug, Clone, Default)]
pub struct TextDraft {
    /// The text.
    pub text: Option<String>,
    /// How markup is written.
    pub parse_mode: Option<ParseMode>,
    /// Formatting, instead of markup.
    pub entities: Option<Vec<Entity>>,
}
