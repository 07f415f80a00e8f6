//! The simulator over real HTTP.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod acts;
mod albums;
mod binary;
mod chats;
mod client;
mod contents;
mod control;
mod errors;
mod faults;
mod files;
mod groups;
mod sending;
mod updates;
