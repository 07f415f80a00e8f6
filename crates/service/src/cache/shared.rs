//! The carrier that processes share: Redis.

use std::{sync::Arc, time::Duration};

use bytes::{Buf as _, BufMut as _, Bytes};
use platform::BoxFuture;
use redis::AsyncCommands as _;
use sha2::{Digest as _, Sha256};

use super::{Carrier, Key};
use crate::redis_server::RedisServer;

/// Keeps answers in Redis, each behind its generation. While that is away, it finds nothing.
pub struct Shared {
    redis: Arc<RedisServer>,
    life: Duration,
}

impl Shared {
    /// In this Redis; an answer is kept for `life` at most.
    pub fn new(redis: Arc<RedisServer>, life: Duration) -> Self {
        Self { redis, life }
    }

    /// By a hash: an address may be long.
    fn name_of(&self, key: &Key) -> String {
        let target = hex::encode(Sha256::digest(format!("{} {}", key.scopes, key.target)));
        self.redis.key(&format!("read:{}:{target}", key.user_id))
    }
}

impl Carrier for Shared {
    fn name(&self) -> &'static str {
        "far"
    }

    fn find<'a>(&'a self, key: &'a Key, generation: i64) -> BoxFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let name = self.name_of(key);
            let kept: Option<Vec<u8>> = self.redis.ask(async |mut redis| redis.get(name).await).await?;
            let mut kept = Bytes::from(kept?);
            (kept.try_get_i64().ok()? == generation).then_some(kept)
        })
    }

    fn keep<'a>(&'a self, key: &'a Key, generation: i64, answer: &'a Bytes) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let name = self.name_of(key);
            let mut kept = Vec::with_capacity(8 + answer.len());
            kept.put_i64(generation);
            kept.extend_from_slice(answer);
            let life = u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX);
            // Nobody waits for it.
            let redis = self.redis.clone();
            tokio::spawn(async move {
                redis.ask(async |mut redis| redis.pset_ex::<_, _, ()>(name, kept, life).await).await;
            });
        })
    }
}
