//! The MTProto half, as clients see it: grammers, Telethon, and a raw connection.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod conformance;
mod device;
mod faults;
mod messages;
mod protocol;
mod qr;
mod rights;
mod sign_in;
mod updates;
mod wire;
