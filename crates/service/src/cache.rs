//! The cache of hot reads: what lists and single bots, accounts and channels were last answered with.
//!
//! An answer is kept with the user's [generation](store::generations), which was read from the database before the answer was, and is given
//! only while the database says that the generation is still the same. That is asked with each read, for all reads of a moment in one
//! statement. So no read is older than what was committed when it came, whichever process wrote it and whichever kept the answer.
//!
//! - [`layer`]: the middleware;
//! - [`memory`], [`shared`]: the carriers: this process, and Redis.

pub mod layer;
mod memory;
mod shared;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use platform::BoxFuture;
use sqlx::PgPool;
use store::{
    generations::{self, Generations},
    group::Group,
};

use crate::{auth::ScopeSet, metrics::name, redis_server::RedisServer, settings::CacheSettings};

pub use memory::Memory;
pub use shared::Shared;

/// How many reads ask for their generations in one statement.
const GROUP: usize = 500;
/// A read does not wait longer to learn its generation.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whose answer, and to what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The user whose rows it shows.
    pub user_id: i32,
    /// What the token permits: some see less.
    pub scopes: ScopeSet,
    /// The path with its query, as it was asked for.
    pub target: String,
}

/// What carries kept answers.
pub trait Carrier: Send + Sync {
    /// Its name in the metrics.
    fn name(&self) -> &'static str;

    /// The answer that was kept under this key for this generation.
    fn find<'a>(&'a self, key: &'a Key, generation: i64) -> BoxFuture<'a, Option<Bytes>>;

    /// Keeps an answer, in place of that for any other generation. May forget it at any time.
    fn keep<'a>(&'a self, key: &'a Key, generation: i64, answer: &'a Bytes) -> BoxFuture<'a, ()>;
}

/// See the module.
pub struct HotReads {
    pool: PgPool,
    generations: Group<Generations>,
    /// The nearest first.
    carriers: Vec<Arc<dyn Carrier>>,
}

impl HotReads {
    /// As it is configured; `None` keeps nothing.
    pub fn configured(settings: &CacheSettings, redis: Option<Arc<RedisServer>>, pool: &PgPool) -> Option<Arc<Self>> {
        let bytes = settings.memory_bytes?;
        let mut carriers: Vec<Arc<dyn Carrier>> = vec![Arc::new(Memory::new(bytes, settings.keep))];
        if let Some(redis) = redis {
            carriers.push(Arc::new(Shared::new(redis, settings.keep)));
        }
        Some(Self::new(carriers, pool))
    }

    /// With these carriers.
    pub fn new(carriers: Vec<Arc<dyn Carrier>>, pool: &PgPool) -> Arc<Self> {
        let generations = Group::spawn(Generations { pool: store::db::hot(pool, 1) }, GROUP);
        Arc::new(Self { pool: pool.clone(), generations, carriers })
    }

    /// The state that the user sees now; `None` when the database does not say.
    async fn generation(&self, user_id: i32) -> Option<i64> {
        let generation = tokio::time::timeout(PATIENCE, self.generations.submit(user_id)).await.ok()?.ok()?;
        if generation.rows > generations::MANY {
            let pool = self.pool.clone();
            tokio::spawn(async move {
                if let Err(error) = generations::compact(&pool, user_id).await {
                    tracing::debug!(%error, "the changes of a user stay as many as they are");
                }
            });
        }
        Some(generation.id)
    }

    async fn find(&self, key: &Key, generation: i64) -> Option<Bytes> {
        for (distance, carrier) in self.carriers.iter().enumerate() {
            if let Some(answer) = carrier.find(key, generation).await {
                metrics::counter!(name::HOT_READS, "result" => carrier.name()).increment(1);
                for nearer in &self.carriers[..distance] {
                    nearer.keep(key, generation, &answer).await;
                }
                return Some(answer);
            }
        }
        metrics::counter!(name::HOT_READS, "result" => "miss").increment(1);
        None
    }

    async fn keep(&self, key: &Key, generation: i64, answer: &Bytes) {
        for carrier in &self.carriers {
            carrier.keep(key, generation, answer).await;
        }
    }
}
