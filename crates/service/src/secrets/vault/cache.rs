//! Unwrapped data keys, in memory only and for a limited time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::super::keyring::KeyBytes;

/// So many keys are kept at most: some 30 MB.
const MOST: usize = 100_000;

/// Names a wrapped data key with its purpose.
pub(super) type Id = [u8; 32];

/// A data key with its wrapped form.
#[derive(Clone)]
pub(super) struct DataKey {
    /// The version of the wrapping key.
    pub version: u32,
    /// As Vault gave it.
    pub wrapped: Arc<str>,
    /// Erased when the last holder lets it go.
    pub bytes: Arc<KeyBytes>,
}

struct Kept {
    key: DataKey,
    until: Instant,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<Id, Kept>,
    /// The key that a record had last, by the record's purpose.
    last: HashMap<Id, Id>,
}

/// The keys.
pub(super) struct Cache {
    keys: Mutex<Keys>,
    time: Duration,
}

impl Cache {
    pub(super) fn new(time: Duration) -> Self {
        Self { keys: Mutex::default(), time }
    }

    /// What the key of a record is called here.
    pub(super) fn id(purpose: &str, wrapped: &str) -> Id {
        // Neither holds a line break.
        Sha256::digest(format!("{purpose}\n{wrapped}")).into()
    }

    pub(super) fn get(&self, id: &Id) -> Option<DataKey> {
        let keys = self.lock();
        keys.by_id.get(id).filter(|kept| kept.until > Instant::now()).map(|kept| kept.key.clone())
    }

    /// The key that this record had last.
    pub(super) fn last(&self, purpose: &str) -> Option<DataKey> {
        let id = *self.lock().last.get(&of(purpose))?;
        self.get(&id)
    }

    /// Keeps a key from now on; none more when there are too many.
    pub(super) fn keep(&self, purpose: &str, key: DataKey) {
        let mut keys = self.lock();
        if keys.by_id.len() >= MOST {
            return;
        }
        let id = Self::id(purpose, &key.wrapped);
        keys.by_id.insert(id, Kept { key, until: Instant::now() + self.time });
        keys.last.insert(of(purpose), id);
    }

    /// Erases what is over.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let keys = &mut *self.lock();
        keys.by_id.retain(|_, kept| kept.until > now);
        keys.last.retain(|_, id| keys.by_id.contains_key(id));
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        // A panic elsewhere leaves whole values behind.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of(purpose: &str) -> Id {
    Sha256::digest(purpose).into()
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn key(wrapped: &str) -> DataKey {
        DataKey { version: 1, wrapped: wrapped.into(), bytes: Arc::new(Zeroizing::new([7; 32])) }
    }

    #[test]
    fn a_key_is_found_by_its_record_and_for_its_time() {
        let cache = Cache::new(Duration::from_mins(5));
        cache.keep("a", key("one"));
        cache.keep("a", key("two"));
        assert!(cache.get(&Cache::id("a", "one")).is_some() && cache.get(&Cache::id("b", "one")).is_none());
        assert_eq!(&*cache.last("a").unwrap().wrapped, "two");
        assert!(cache.last("b").is_none());

        let cache = Cache::new(Duration::ZERO);
        cache.keep("a", key("one"));
        assert!(cache.get(&Cache::id("a", "one")).is_none() && cache.last("a").is_none());
        cache.sweep();
        assert!(cache.lock().by_id.is_empty() && cache.lock().last.is_empty());
    }
}
