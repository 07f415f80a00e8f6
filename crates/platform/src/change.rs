//! What can be done with a message after it was sent.

use serde::{Deserialize, Serialize};

use crate::Message;

/// A change of a message that was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It says this from now on. Only the text or caption, the buttons and the link preview differ from what was sent.
    Edit(Box<Message>),
    /// It is taken back, for everybody.
    Delete,
    /// It is shown at the top of the chat.
    Pin {
        /// Nobody is told.
        silent: bool,
    },
    /// It is no longer shown at the top.
    Unpin,
}

/// Which message is changed, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeSent {
    /// Numeric id of the chat that it is in.
    pub chat_id: i64,
    /// Its ids there, in the order of its parts.
    pub message_ids: Vec<i64>,
    /// What is done.
    pub change: Change,
}
