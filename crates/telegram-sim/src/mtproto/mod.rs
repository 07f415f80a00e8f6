//! The MTProto half: the real protocol over TCP, for clients that sign in as people.
//!
//! From the wire up:
//! - `wire`: frames, encryption, envelopes, identifiers; `handshake`: the key exchange; `srp`: passwords.
//! - `server` accepts, `connection` reads and writes one socket, `session` numbers and remembers its messages,
//!   `service` answers the protocol's own messages.
//! - `rpc` has one file per namespace of the API; `render` turns the world's records into the API's objects.
//! - `cloud` is what this half knows beyond the world: keys, accounts, codes, QR tokens, update logs, files.
//! - `faults` are the errors, cuts and delays that tests ask for; `control` is what a test or a person's phone does;
//!   `snapshot` keeps keys and accounts in a file.

pub mod cloud;
mod connection;
mod control;
mod core;
pub mod faults;
pub mod handshake;
mod render;
mod rpc;
mod server;
mod service;
mod session;
mod snapshot;
pub mod srp;
pub mod wire;

pub use self::cloud::accounts::NewAccount;
pub use self::cloud::keys::{AuthorizationInfo, Revocation};
pub use self::cloud::settings::Settings;
pub use self::control::{AccountInfo, ControlError, Counters};
pub use self::server::{Mtproto, Options};
