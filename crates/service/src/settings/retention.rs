//! Section `retention`: how long what is final is kept.

use std::time::Duration;

use super::reader::Reader;

const HOUR: Duration = Duration::from_hours(1);

/// How long what is final is kept.
#[derive(Debug, Clone)]
pub struct RetentionSettings {
    /// Messages.
    pub messages: Duration,
    /// Events.
    pub events: Duration,
    /// The integration log.
    pub logs: Duration,
    /// Logins that have ended.
    pub logins: Duration,
    /// Background tasks that are done.
    pub done_tasks: Duration,
    /// Background tasks that failed for good.
    pub dead_tasks: Duration,
    /// Statistics.
    pub statistics: Duration,
}

impl RetentionSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        Self {
            messages: HOUR * 24 * from.integer("messages_days", 1..=36_500),
            // A client may ask for the events of the last 24 hours.
            events: HOUR * from.integer("events_hours", 24..=8760),
            logs: HOUR * 24 * from.integer("logs_days", 1..=36_500),
            logins: HOUR * 24 * from.integer("logins_days", 1..=36_500),
            done_tasks: HOUR * from.integer("done_tasks_hours", 1..=876_000),
            dead_tasks: HOUR * 24 * from.integer("dead_tasks_days", 1..=36_500),
            statistics: HOUR * 24 * from.integer("statistics_days", 1..=36_500),
        }
    }
}
