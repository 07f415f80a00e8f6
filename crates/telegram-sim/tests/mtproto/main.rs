//! The MTProto half, as clients see it: grammers, and a raw connection. Telethon has a test of its own.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod control;
mod device;
mod faults;
mod invites;
mod media;
mod messages;
mod permissions;
mod posts;
mod protocol;
mod qr;
mod rights;
mod sign_in;
mod snapshot;
mod updates;
mod uploads;
mod wire;
