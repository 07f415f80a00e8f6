//! Section `channels`: how channels and groups are looked after.

use std::time::Duration;

use super::reader::Reader;

/// Channels and groups.
#[derive(Debug, Clone)]
pub struct ChannelsSettings {
    /// How often Telegram is asked what each is, and what its senders may do there.
    pub refresh: Duration,
    /// A sender that Telegram holds back for longer is stood in for by the next one.
    pub failover: Duration,
}

impl ChannelsSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        Self {
            refresh: from.seconds("refresh_seconds", 1..=2_592_000),
            failover: from.seconds("failover_after_seconds", 1..=86_400),
        }
    }
}
