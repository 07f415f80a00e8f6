//! A strict stand-in for Telegram: Bot API and MTProto. Never part of the release binary.
//!
//! Tests start it in their own process with [`Sim::start`]; the `telegram-sim` binary wraps the same. Both halves act
//! on one [`world`]. `docs/TELEGRAM-SIM.md` describes the control API.

pub mod bot_api;
mod control;
mod demo;
mod server;
mod sim;
pub mod mtproto;
pub mod world;

pub use demo::{DEMO, Demo};
pub use sim::{Sim, SimOptions};
