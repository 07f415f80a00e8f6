//! The simulator over real HTTP.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod binary;
mod client;
mod control;
mod errors;
mod faults;
mod sending;
mod updates;
