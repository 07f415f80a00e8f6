//! The contract of a platform: what a message is, and how an attempt to send one can end. No I/O.
//!
//! - [`sender`]: what can send; [`chat`]: where to, and what it may do there;
//! - [`text`]: text with entities, as it is stored and sent;
//! - [`message`]: the content of a message and its delivery options;
//! - [`change`]: what is done with a message afterwards;
//! - [`outcome`]: the end of one attempt, and what follows from it.

pub mod change;
pub mod chat;
pub mod message;
pub mod outcome;
pub mod sender;
pub mod text;

pub use change::{Change, ChangeSent};
pub use chat::{ChatInfo, ChatKind, ChatRef, Rights, SendKind, Standing};
pub use message::{
    Album, AlbumItem, Button, Content, FileRef, Forward, LinkPreview, Location, Media, MediaKind, Message, Options,
    Poll, Priority, TextContent,
};
pub use outcome::{Hold, Outcome, Refusal, Verdict};
pub use sender::{BoxFuture, Delivery, Sender};
pub use text::{Entity, EntityKind, Text};
