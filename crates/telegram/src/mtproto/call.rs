//! How a single call to Telegram can fail, free of the library's types.

use std::io::ErrorKind;

use grammers_mtsender::{InvocationError, RpcError};

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallError {
    /// Telegram answered with an error.
    Rpc {
        /// Like a status of HTTP.
        code: i32,
        /// The name, without the number that it carried.
        name: String,
        /// That number.
        value: Option<u32>,
    },
    /// There was no connection to send it on.
    Unreachable(String),
    /// There was none because the proxy does not let us in.
    ProxyRefused(String),
    /// It was sent, or may have been, and no answer came.
    NoAnswer(String),
}

impl CallError {
    /// Is it this error of Telegram?
    pub(super) fn is(&self, error: &str) -> bool {
        matches!(self, Self::Rpc { name, .. } if name == error)
    }

    /// The data centre to go on at, when that is what the error says.
    pub(super) fn migrate_to(&self) -> Option<i32> {
        match self {
            Self::Rpc { code: 303, value, .. } => value.and_then(|dc| i32::try_from(dc).ok()),
            _ => None,
        }
    }
}

impl From<InvocationError> for CallError {
    fn from(error: InvocationError) -> Self {
        match error {
            InvocationError::Rpc(RpcError { code, name, value, .. }) => Self::Rpc { code, name, value },
            InvocationError::Authentication(_) => {
                Self::Unreachable("the exchange of keys with the data centre failed".to_owned())
            }
            InvocationError::InvalidDc => Self::Unreachable("there is no such data centre".to_owned()),
            // The library says this of a proxy only, before anything is sent.
            InvocationError::Io(error) if error.kind() == ErrorKind::ConnectionAborted => proxy(&error.to_string()),
            InvocationError::Io(error) => Self::NoAnswer(format!("the connection broke: {error}")),
            InvocationError::Transport(error) => Self::NoAnswer(format!("the connection broke: {error}")),
            InvocationError::Deserialize(_) => Self::NoAnswer("the answer cannot be read".to_owned()),
            InvocationError::Dropped(_) | InvocationError::Session(_) => {
                Self::NoAnswer("the connection was closed".to_owned())
            }
        }
    }
}

/// Why the proxy made no connection. That it refuses us is known by the words only.
fn proxy(words: &str) -> CallError {
    let refused = ["auth", "Auth", "ruleset"].iter().any(|word| words.contains(word));
    if refused {
        CallError::ProxyRefused(format!("the proxy refused: {words}"))
    } else {
        CallError::Unreachable(format!("there is no connection through the proxy: {words}"))
    }
}
