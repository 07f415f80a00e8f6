//! Messages and what they carry.

use serde::{Deserialize, Serialize};

use super::{Place, UserId};

/// A message that arrived.
#[derive(Debug, Clone)]
pub struct Message {
    /// Number of arrival in this world: unique and growing.
    pub uid: u64,
    /// Id within its chat; private chats and basic groups share one sequence.
    pub id: i32,
    /// Where it lives.
    pub place: Place,
    /// Who wrote it. Posts of channels show the channel instead.
    pub from: UserId,
    /// Unix seconds.
    pub date: i64,
    /// Unix milliseconds at which it was taken.
    pub arrived_ms: i64,
    /// Unix seconds of the last edit.
    pub edited: Option<i64>,
    /// Deleted messages stay for the record.
    pub deleted: bool,
    /// What it says.
    pub body: Body,
}

/// What a message says and how it is delivered.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Body {
    /// Text or caption, without markup.
    pub text: String,
    /// Formatted ranges, ordered by offset.
    pub entities: Vec<Entity>,
    /// Attached file.
    pub media: Option<Media>,
    /// Id of the message in the same chat that it answers.
    pub reply_to: Option<i32>,
    /// Topic of a forum.
    pub thread: Option<i32>,
    /// Delivered without a sound.
    pub silent: bool,
    /// Cannot be forwarded or saved.
    pub protected: bool,
    /// How a link is previewed.
    pub link_preview: Option<LinkPreview>,
    /// Rows of inline buttons.
    pub buttons: Vec<Vec<Button>>,
    /// Album that it belongs to.
    pub album: Option<i64>,
    /// MTProto's deduplication key.
    pub random_id: Option<i64>,
    /// Which way it came.
    pub via: Via,
}

/// Which way a message came into the world.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Bot API.
    #[default]
    BotApi,
    /// MTProto.
    Mtproto,
    /// Control API: a person at the page, or a test.
    Control,
}

/// A formatted range, in the shape of the Bot API's `MessageEntity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Start, in UTF-16 code units.
    pub offset: u32,
    /// Length, in UTF-16 code units.
    pub length: u32,
    /// What it means.
    #[serde(flatten)]
    pub kind: EntityKind,
}

/// Kinds of entities, with their attributes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the Bot API")]
pub enum EntityKind {
    Mention,
    Hashtag,
    Cashtag,
    BotCommand,
    Url,
    Email,
    PhoneNumber,
    Bold,
    Italic,
    Underline,
    Strikethrough,
    Spoiler,
    Blockquote,
    ExpandableBlockquote,
    Code,
    Pre {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        language: Option<String>,
    },
    TextLink {
        url: String,
    },
    TextMention {
        user_id: UserId,
    },
    CustomEmoji {
        custom_emoji_id: String,
    },
}

/// How a link is previewed, as the Bot API's `LinkPreviewOptions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the Bot API")]
pub struct LinkPreview {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_disabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefer_small_media: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefer_large_media: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show_above_text: Option<bool>,
}

/// An inline button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    /// Label.
    pub text: String,
    /// What pressing it does.
    #[serde(flatten)]
    pub action: ButtonAction,
}

/// What pressing an inline button does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonAction {
    /// Opens an address.
    Url(String),
    /// Sends data back to the bot.
    CallbackData(String),
}

/// An attached file, by its place among the uploads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Id of the file.
    pub file_id: i64,
    /// Whether it is shown as a photo.
    pub is_photo: bool,
    /// File name.
    pub name: String,
    /// MIME type.
    pub mime_type: String,
    /// Bytes.
    pub size: u64,
}
