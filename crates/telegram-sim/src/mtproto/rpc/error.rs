//! Errors in Telegram's words: <https://core.telegram.org/api/errors>.

use std::borrow::Cow;

use grammers_tl_types::{Serializable, enums, types};

use crate::world::{ChatKind, ContentKind, MediaKind, SendError};

/// An error that a method answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcError {
    code: i32,
    message: Cow<'static, str>,
}

impl RpcError {
    /// The key is not signed in.
    pub const UNREGISTERED: Self = Self { code: 401, message: Cow::Borrowed("AUTH_KEY_UNREGISTERED") };
    /// The password is missing.
    pub const PASSWORD_NEEDED: Self = Self { code: 401, message: Cow::Borrowed("SESSION_PASSWORD_NEEDED") };

    /// A method of the API that this simulator does not have.
    pub const METHOD_INVALID: Self = Self { code: 400, message: Cow::Borrowed("METHOD_INVALID") };

    /// Any error.
    pub fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// The request is wrong.
    pub fn bad(message: &'static str) -> Self {
        Self::new(400, message)
    }

    /// It is not allowed.
    pub fn forbidden(message: &'static str) -> Self {
        Self::new(403, message)
    }

    /// Another data centre is responsible.
    pub fn migrate(what: &str, dc: i32) -> Self {
        Self::new(303, format!("{what}_MIGRATE_{dc}"))
    }

    /// Too many requests.
    pub fn flood(seconds: i32) -> Self {
        Self::new(420, format!("FLOOD_WAIT_{seconds}"))
    }

    /// The same, of one item of an album: errors about references say of which.
    pub fn of_item(self, index: usize) -> Self {
        match self.message.strip_prefix("FILE_REFERENCE_") {
            Some(what) => Self::new(self.code, format!("FILE_REFERENCE_{index}_{what}")),
            None => self,
        }
    }

    /// As the answer to a request.
    pub fn to_bytes(&self) -> Vec<u8> {
        let error = types::RpcError { error_code: self.code, error_message: self.message.clone().into_owned() };
        enums::RpcError::Error(error).to_bytes()
    }
}

impl From<SendError> for RpcError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::ChatNotFound | SendError::NotStarted => Self::bad("PEER_ID_INVALID"),
            SendError::Blocked => Self::bad("USER_IS_BLOCKED"),
            SendError::Deactivated => Self::bad("INPUT_USER_DEACTIVATED"),
            SendError::BotToBot => Self::bad("USER_IS_BOT"),
            SendError::Kicked(ChatKind::Group) => Self::forbidden("CHAT_FORBIDDEN"),
            SendError::Deleted(ChatKind::Group) | SendError::Migrated(_) => Self::bad("CHAT_ID_INVALID"),
            SendError::Kicked(_) | SendError::Deleted(_) => Self::bad("CHANNEL_PRIVATE"),
            SendError::NotMember(_) | SendError::NoRights(..) => Self::forbidden("CHAT_WRITE_FORBIDDEN"),
            SendError::NoContent(content) => Self::forbidden(match content {
                ContentKind::Text | ContentKind::Location => "CHAT_SEND_PLAIN_FORBIDDEN",
                ContentKind::Poll => "CHAT_SEND_POLL_FORBIDDEN",
                ContentKind::File(MediaKind::Photo) => "CHAT_SEND_PHOTOS_FORBIDDEN",
                ContentKind::File(MediaKind::Video) => "CHAT_SEND_VIDEOS_FORBIDDEN",
                ContentKind::File(MediaKind::Document) => "CHAT_SEND_DOCS_FORBIDDEN",
                ContentKind::File(MediaKind::Audio) => "CHAT_SEND_AUDIOS_FORBIDDEN",
                ContentKind::File(MediaKind::Voice) => "CHAT_SEND_VOICES_FORBIDDEN",
                ContentKind::File(MediaKind::Animation) => "CHAT_SEND_GIFS_FORBIDDEN",
            }),
            SendError::TopicNotFound => Self::bad("TOPIC_DELETED"),
            SendError::TopicClosed => Self::bad("TOPIC_CLOSED"),
            SendError::ReplyNotFound => Self::bad("REPLY_MESSAGE_ID_INVALID"),
            SendError::SlowMode(seconds) => Self::new(420, format!("SLOWMODE_WAIT_{seconds}")),
        }
    }
}
