//! The HTTP plumbing over real connections.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

mod bad_requests;
mod layers;
mod server;
mod support;
