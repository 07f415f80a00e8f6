//! Section `keys`: what credentials are sealed by, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;

/// The keys.
#[derive(Debug, Clone)]
pub struct KeysSettings {
    /// The keyring; `None` is the one in the data folder.
    pub file: Option<PathBuf>,
    /// How old the current version may become before another one is made; `None` leaves that to people.
    pub rotate_after: Option<Duration>,
}

impl KeysSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        let days: u32 = from.integer("rotate_days", 0..=3650);
        Self {
            file: from.optional("file", "a file", |path| !path.ends_with('/')).map(PathBuf::from),
            rotate_after: (days > 0).then(|| Duration::from_hours(24) * days),
        }
    }
}
