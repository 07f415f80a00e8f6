//! Why a connection cannot go on.

use std::{fmt, io};

use grammers_mtproto::{mtp, transport};

/// Why a connection cannot go on.
#[derive(Debug)]
pub(super) enum Broken {
    /// The socket failed, or the other side closed it.
    Io(io::Error),
    /// What arrived is no frame, or the data centre refused the connection.
    Transport(transport::Error),
    /// What arrived in a frame cannot be read.
    Unreadable(mtp::DeserializeError),
    /// A frame that is longer than any of Telegram's.
    TooLarge(usize),
}

impl Broken {
    /// Does the data centre not know our key?
    pub(super) fn is_unknown_key(&self) -> bool {
        matches!(self, Self::Transport(transport::Error::BadStatus { status: 404 }))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Transport(error) => error.fmt(f),
            Self::Unreadable(error) => error.fmt(f),
            Self::TooLarge(length) => write!(f, "a frame of {length} bytes was announced"),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<transport::Error> for Broken {
    fn from(error: transport::Error) -> Self {
        Self::Transport(error)
    }
}

impl From<mtp::DeserializeError> for Broken {
    fn from(error: mtp::DeserializeError) -> Self {
        Self::Unreadable(error)
    }
}
