//! How a single call to Telegram can fail, free of the library's types.

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
            InvocationError::Io(error) => Self::NoAnswer(format!("the connection broke: {error}")),
            InvocationError::Transport(error) => Self::NoAnswer(format!("the connection broke: {error}")),
            InvocationError::Deserialize(_) => Self::NoAnswer("the answer cannot be read".to_owned()),
            InvocationError::Dropped(_) | InvocationError::Session(_) => {
                Self::NoAnswer("the connection was closed".to_owned())
            }
        }
    }
}
