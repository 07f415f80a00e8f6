//! Section `keys`: the life of the wrapping keys.

use std::time::Duration;

use super::reader::Reader;

/// The wrapping keys.
#[derive(Debug, Clone)]
pub struct KeysSettings {
    /// How old the current version may become before another one is made; `None` leaves that to people.
    pub rotate_after: Option<Duration>,
}

impl KeysSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        let days: u32 = from.integer("rotate_days", 0..=3650);
        Self { rotate_after: (days > 0).then(|| Duration::from_hours(24) * days) }
    }
}
