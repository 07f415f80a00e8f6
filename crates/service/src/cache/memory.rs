//! The carrier within the process.

use std::time::{Duration, Instant};

use bytes::Bytes;
use platform::BoxFuture;
use quick_cache::{Weighter, sync::Cache};

use super::{Carrier, Key};

/// What an answer takes beside its bytes and its key.
const OVERHEAD: u64 = 200;
/// For how many answers room is prepared.
const ANSWERS: usize = 1000;

struct Kept {
    generation: i64,
    until: Instant,
    answer: Bytes,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, std::sync::Arc<Kept>> for Weight {
    fn weight(&self, key: &Key, kept: &std::sync::Arc<Kept>) -> u64 {
        (key.target.len() + kept.answer.len()) as u64 + OVERHEAD
    }
}

/// Keeps answers up to a number of bytes; what is asked for seldom goes first.
pub struct Memory {
    kept: Cache<Key, std::sync::Arc<Kept>, Weight>,
    life: Duration,
}

impl Memory {
    /// With so many bytes; an answer is kept for `life` at most.
    pub fn new(bytes: u64, life: Duration) -> Self {
        Self { kept: Cache::with_weighter(ANSWERS, bytes, Weight), life }
    }
}

impl Carrier for Memory {
    fn name(&self) -> &'static str {
        "near"
    }

    fn find<'a>(&'a self, key: &'a Key, generation: i64) -> BoxFuture<'a, Option<Bytes>> {
        let kept = self.kept.get(key).filter(|kept| kept.generation == generation && kept.until > Instant::now());
        Box::pin(std::future::ready(kept.map(|kept| kept.answer.clone())))
    }

    fn keep<'a>(&'a self, key: &'a Key, generation: i64, answer: &'a Bytes) -> BoxFuture<'a, ()> {
        let kept = Kept { generation, until: Instant::now() + self.life, answer: answer.clone() };
        self.kept.insert(key.clone(), std::sync::Arc::new(kept));
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::ScopeSet;

    #[tokio::test]
    async fn it_stays_within_its_bytes() {
        let memory = Memory::new(100_000, Duration::from_mins(1));
        for user_id in 0..1000 {
            let key = Key { user_id, scopes: ScopeSet::default(), target: "/x".into() };
            memory.keep(&key, 1, &Bytes::from(vec![b'x'; 1000])).await;
        }
        assert!(memory.kept.weight() <= 100_000, "{}", memory.kept.weight());
        assert!(memory.kept.len() > 10, "{}", memory.kept.len());
    }
}
