//! Section `cache`: the cache of hot reads.

use std::time::Duration;

use super::reader::Reader;

/// How much is kept, and for how long.
#[derive(Debug, Clone)]
pub struct CacheSettings {
    /// Bytes in the memory of this process; `None` keeps nothing, also in Redis.
    pub memory_bytes: Option<u64>,
    /// How long an answer is kept at most.
    pub keep: Duration,
}

impl CacheSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        let bytes: u64 = from.integer("memory_bytes", 0..=1 << 40);
        Self {
            memory_bytes: (bytes > 0).then_some(bytes),
            keep: Duration::from_secs(from.integer("keep_seconds", 1..=3600)),
        }
    }
}
