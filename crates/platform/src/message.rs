//! What a message says, and how it is to be delivered.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Text;

/// The content of a message: stored as `messages.kind` and `messages.content`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// A text message.
    Text(TextMessage),
}

impl Content {
    /// The value of `messages.kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
        }
    }
}

/// A text message with its delivery options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TextMessage {
    /// The text, already parsed.
    #[serde(flatten)]
    pub text: Text,
    /// Platform id of the message that is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<i64>,
    /// Deliver without a sound.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
    /// Forbid forwarding and saving.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// How a link in the text is previewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_preview: Option<LinkPreview>,
    /// Rows of inline buttons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Vec<Button>>,
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
