//! What tests and operators can change while the server runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Times and limits of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long each message of a client is held before it is looked at, in milliseconds: the round trip of a far
    /// network, all of it on the way in.
    pub latency_ms: u64,
    /// How long a login code is good, in seconds.
    pub code_ttl: i32,
    /// `timeout` of a sent code: when the next type may be asked for, in seconds.
    pub code_timeout: i32,
    /// How long a QR token is good, in seconds.
    pub token_ttl: i32,
    /// Whether the limits below are applied.
    pub limits: bool,
    /// Messages a second that an account may send on average, over all chats.
    pub account_rate: f64,
    /// Messages that an account may send at once before the rate counts.
    pub account_burst: f64,
    /// Messages a second that an account may send to one chat on average.
    pub chat_rate: f64,
    /// Messages that an account may send to one chat at once before the rate counts.
    pub chat_burst: f64,
    /// Login codes for one phone within ten minutes.
    pub codes_per_phone: f64,
    /// Wrong passwords for one account within ten minutes.
    pub password_attempts: f64,
}

impl Settings {
    /// The artificial round trip.
    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            code_ttl: 300,
            code_timeout: 60,
            token_ttl: 30,
            limits: true,
            account_rate: 10.0,
            account_burst: 60.0,
            chat_rate: 2.0,
            chat_burst: 30.0,
            codes_per_phone: 10.0,
            password_attempts: 20.0,
        }
    }
}
