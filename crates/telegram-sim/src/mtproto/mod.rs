//! The MTProto half.

pub mod handshake;
pub mod srp;
pub mod wire;
