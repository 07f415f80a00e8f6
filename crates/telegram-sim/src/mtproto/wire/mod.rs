//! The layers below the API: frames on TCP, encryption, message envelopes, containers and identifiers.
//!
//! Nothing here knows about accounts or methods, and nothing does I/O.

pub mod cipher;
pub mod envelope;
pub mod msg_id;
pub mod transport;
