//! Text with entities.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Plain text and the entities that format ranges of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Text {
    /// The text, without markup.
    pub text: String,
    /// Formatted ranges, ordered by offset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<Entity>,
}

impl Text {
    /// Text without formatting.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), entities: Vec::new() }
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// A formatted range of a text, in the shape of the Bot API's
/// [`MessageEntity`](https://core.telegram.org/bots/api#messageentity).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// What the range means.
    #[serde(rename = "type")]
    pub kind: EntityKind,
    /// Start of the range, in UTF-16 code units.
    pub offset: u32,
    /// Length of the range, in UTF-16 code units; at least 1.
    pub length: u32,
    /// Target of a `text_link`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The mentioned user of a `text_mention`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<MentionedUser>,
    /// Programming language of a `pre`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Identifier of a `custom_emoji`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_emoji_id: Option<String>,
}

impl Entity {
    /// An entity without attributes.
    pub fn new(kind: EntityKind, offset: u32, length: u32) -> Self {
        Self { kind, offset, length, url: None, user: None, language: None, custom_emoji_id: None }
    }
}

/// The user that a `text_mention` points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MentionedUser {
    /// The user's numeric id at the platform.
    pub id: i64,
}

/// Kinds of entities that a sender can set. Those that the platform finds by itself (plain links, hashtags, …) are
/// accepted too and sent as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
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
    Pre,
    TextLink,
    TextMention,
    CustomEmoji,
}
