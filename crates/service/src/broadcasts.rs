//! Broadcasts: one message to many chats.
//!
//! - [`template`]: the message with its variables, rendered for each target;
//! - [`feeder`]: gives each sender its next messages, a few ahead of what it can send.

pub mod feeder;
pub mod template;
