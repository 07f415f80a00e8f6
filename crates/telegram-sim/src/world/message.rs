//! Messages and what they carry.

use serde::{Deserialize, Serialize};

use super::{ContentKind, Forward, Location, Media, Place, Poll, Service, UserId};

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
    /// How often it was edited.
    pub edits: u32,
    /// Whether it is pinned in its chat.
    pub pinned: bool,
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
    /// Whether the caption stands above the file.
    pub caption_above: bool,
    /// A poll, which is all that the message is.
    pub poll: Option<Poll>,
    /// A point on the map, which is all that the message is.
    pub location: Option<Location>,
    /// Where it was forwarded from.
    pub forwarded: Option<Forward>,
    /// What the chat tells of itself, instead of anybody's words.
    pub service: Option<Service>,
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

impl Body {
    /// What it mainly is.
    pub fn content(&self) -> ContentKind {
        match (&self.media, &self.poll, &self.location) {
            (Some(media), ..) => ContentKind::File(media.kind),
            (_, Some(_), _) => ContentKind::Poll,
            (.., Some(_)) => ContentKind::Location,
            _ => ContentKind::Text,
        }
    }
}

/// The parts of an album become an album of their own, if there is more than one of them.
pub fn renew_albums(bodies: &mut [Body]) {
    let mut from = 0;
    while from < bodies.len() {
        let old = bodies[from].album;
        let count = bodies[from..].iter().take_while(|body| body.album == old).count();
        let new = old.filter(|_| count > 1).map(|_| rand::random_range(1..i64::MAX));
        for body in &mut bodies[from..from + count] {
            body.album = new;
        }
        from += count;
    }
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
