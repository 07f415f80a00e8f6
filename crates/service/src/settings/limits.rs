//! Section `limits`: how much one user may ask for, and how much is measured.

use super::reader::Reader;

/// Limits per user.
#[derive(Debug, Clone)]
pub struct LimitsSettings {
    /// Requests per second; 0 is no limit.
    pub user_rps: u32,
    /// Requests that may come at once; 0 is no limit.
    pub user_burst: u32,
    /// Senders up to which each has a metric of its own.
    pub session_metrics: u32,
}

impl LimitsSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        Self {
            user_rps: from.integer("user_rps", 0..=1_000_000),
            user_burst: from.integer("user_burst", 0..=1_000_000),
            session_metrics: from.integer("session_metrics", 0..=1_000_000),
        }
    }
}
