//! Broadcasts: one message to many chats.
//!
//! - [`template`]: the message with its variables, rendered for each target;
//! - [`feeder`]: gives each sender its next messages, a few ahead of what it can send;
//! - [`follow_up`]: corrects or recalls what was sent.

pub mod feeder;
pub mod follow_up;
pub mod template;
