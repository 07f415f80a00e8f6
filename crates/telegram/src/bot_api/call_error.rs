//! How a call that sends nothing fails.

use std::time::Duration;

/// Why a call was not answered with a result. Holds no token and no address with one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The server could not be reached, failed, or answered something else than the Bot API: try again later.
    #[error("the Bot API is not available: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
    },
    /// The server does not know the token: wrong, or revoked.
    #[error("the Bot API does not accept the bot's token: {description}")]
    Unauthorized {
        /// The server's words.
        description: String,
    },
    /// Too many calls: try again after this time.
    #[error("the Bot API asks to wait {} s", after.as_secs())]
    Wait {
        /// How long to wait.
        after: Duration,
    },
    /// The chat lives on under another id.
    #[error("the chat lives on as {chat_id}")]
    Migrated {
        /// The id from now on.
        chat_id: i64,
    },
    /// The call cannot be done like this.
    #[error("the Bot API refused the call: {description}")]
    Refused {
        /// Stable code, such as `chat_not_found`.
        code: &'static str,
        /// The HTTP status, 4xx.
        status: u16,
        /// The server's words.
        description: String,
    },
}

impl CallError {
    /// Stable code of the error: part of the public API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "telegram_unreachable",
            Self::Unauthorized { .. } => "token_revoked",
            Self::Wait { .. } => "flood_wait",
            Self::Migrated { .. } => "chat_migrated",
            Self::Refused { code, .. } => code,
        }
    }

    /// Whether the same call can succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Wait { .. })
    }
}
