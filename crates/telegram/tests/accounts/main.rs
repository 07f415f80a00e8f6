//! Accounts against a simulated Telegram, over the real protocol.

mod connecting;
mod password;
mod phone;
mod proxy;
mod qr;
mod receiving;
mod sending;
mod support;
