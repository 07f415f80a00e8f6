//! Parameters and results of calls, in the shape of the [Bot API](https://core.telegram.org/bots/api).

use platform::MediaKind;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// A bot, as `getMe` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Bot {
    /// The bot's numeric id, the same for each of its tokens.
    pub id: i64,
    /// The display name.
    pub first_name: String,
    /// The public name, without `@`.
    pub username: String,
    /// Whether it can be added to groups.
    #[serde(default)]
    pub can_join_groups: bool,
    /// Whether it sees all messages of its groups.
    #[serde(default)]
    pub can_read_all_group_messages: bool,
}

/// A chat by id or by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum ChatRef {
    /// The numeric id; negative for groups and channels.
    Id(i64),
    /// The public name, with `@`.
    Username(String),
}

/// A chat, as `getChat` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Chat {
    /// The numeric id.
    pub id: i64,
    /// `private`, `group`, `supergroup` or `channel`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The title of a group or channel.
    pub title: Option<String>,
    /// The public name, without `@`.
    pub username: Option<String>,
    /// The first name of the person in a private chat.
    pub first_name: Option<String>,
    /// The last name of the person in a private chat.
    pub last_name: Option<String>,
}

/// Where a bot's updates go, as `getWebhookInfo` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WebhookInfo {
    /// The address; empty when no webhook is set.
    pub url: String,
    /// Updates that wait for delivery.
    #[serde(default)]
    pub pending_update_count: u64,
    /// When a delivery failed last, in seconds since 1970.
    pub last_error_date: Option<i64>,
    /// Why it failed.
    pub last_error_message: Option<String>,
    /// The kinds of updates that are delivered; empty for Telegram's default.
    #[serde(default)]
    pub allowed_updates: Vec<String>,
}

/// A webhook to set.
#[derive(Debug, Clone, Serialize)]
pub struct SetWebhook {
    /// The `https` address that takes the updates.
    pub url: String,
    /// What Telegram sends back in the header `X-Telegram-Bot-Api-Secret-Token`: 1 to 256 of `A-Z a-z 0-9 _ -`.
    #[serde(serialize_with = "exposed")]
    pub secret_token: SecretString,
    /// Simultaneous deliveries, 1 to 100.
    pub max_connections: u8,
    /// Kinds of updates to deliver; empty for Telegram's default.
    pub allowed_updates: &'static [&'static str],
    /// Forget the updates that wait for delivery.
    pub drop_pending_updates: bool,
}

/// The secret goes into the request and nowhere else.
fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

#[derive(Serialize)]
pub(super) struct NoParameters {}

#[derive(Serialize)]
pub(super) struct GetChat<'a> {
    pub chat_id: &'a ChatRef,
}

#[derive(Serialize)]
pub(super) struct GetUpdates<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    pub limit: u8,
    pub timeout: u64,
    pub allowed_updates: &'a [&'a str],
}

#[derive(Serialize)]
pub(super) struct DeleteWebhook {
    pub drop_pending_updates: bool,
}

/// What a call that sends answers: a message, or several; copies have an id only.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Sent {
    One(Box<SentMessage>),
    Several(Vec<SentMessage>),
}

impl Sent {
    pub(super) fn messages(self) -> Vec<SentMessage> {
        match self {
            Self::One(message) => vec![*message],
            Self::Several(messages) => messages,
        }
    }
}

/// A message that was sent, as far as it matters: its id, and the server's ids of its files.
#[derive(Deserialize)]
pub(super) struct SentMessage {
    pub message_id: i64,
    #[serde(default)]
    photo: Vec<SentFile>,
    video: Option<SentFile>,
    document: Option<SentFile>,
    audio: Option<SentFile>,
    voice: Option<SentFile>,
    animation: Option<SentFile>,
}

#[derive(Deserialize)]
struct SentFile {
    file_id: String,
}

impl SentMessage {
    /// The server's id of the medium; `None` when it made something else of the file.
    pub(super) fn file_id(self, kind: MediaKind) -> Option<String> {
        let file = match kind {
            MediaKind::Photo => self.photo.into_iter().last(),
            MediaKind::Video => self.video,
            // An animation is told as a document, too.
            MediaKind::Document => self.document.filter(|_| self.animation.is_none()),
            MediaKind::Audio => self.audio,
            MediaKind::Voice => self.voice,
            MediaKind::Animation => self.animation,
        };
        file.map(|file| file.file_id)
    }
}
