//! Requests per user over all processes, counted in Redis. While that is away, each process counts for itself.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use redis::{
    Client, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Rate, Standing};

/// A request does not wait longer for the count.
const PATIENCE: Duration = Duration::from_millis(100);
/// After a failure Redis is left alone for so long, so that requests do not wait for it one after the other.
const REST: Duration = Duration::from_secs(1);

/// The generic cell rate algorithm, by Redis's clock, in microseconds. The key holds when the user's allowance will be whole again. Numbers
/// are written out: Lua would shorten them. Answers: allowed, how many may follow, microseconds until whole, microseconds to wait.
const CHECK: &str = r"
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local each, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local whole = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local next = whole + each
local opens = next - each * burst
if opens > now then
    return {0, 0, whole - now, opens - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1)
return {1, math.floor((now - opens) / each), next - now, 0}
";

/// Counts in Redis.
pub struct GlobalLimiter {
    redis: ConnectionManager,
    script: Script,
    prefix: String,
    rate: Rate,
    started: Instant,
    /// Milliseconds since `started` before which Redis is left alone.
    rests_until: AtomicU64,
}

/// Redis did not count.
#[derive(Debug, thiserror::Error)]
enum Uncounted {
    #[error("{0}")]
    Redis(#[from] redis::RedisError),
    #[error("no answer within {} ms", PATIENCE.as_millis())]
    Silent,
}

impl GlobalLimiter {
    /// Prepares a connection, which is made by the first request.
    ///
    /// # Errors
    /// The address cannot be one of Redis.
    pub fn new(url: &SecretString, prefix: &str, rate: Rate) -> Result<Self, redis::RedisError> {
        let client = Client::open(url.expose_secret())?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(2)))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        Ok(Self {
            redis: ConnectionManager::new_lazy_with_config(client, config)?,
            script: Script::new(CHECK),
            prefix: format!("{prefix}:rate:"),
            rate,
            started: Instant::now(),
            rests_until: AtomicU64::new(0),
        })
    }

    /// Counts one request of the user; `None` where Redis does not.
    pub async fn check(&self, user_id: i32) -> Option<Standing> {
        if self.is_away() {
            return None;
        }
        match self.count(user_id).await {
            Ok(standing) => Some(standing),
            Err(error) => {
                let until = self.now() + u64::try_from(REST.as_millis()).unwrap_or_default();
                // Once for each rest, whoever comes first.
                if self.rests_until.fetch_max(until, Ordering::Relaxed) <= self.now() {
                    tracing::warn!(%error, "Redis is away: each process limits its users alone");
                }
                None
            }
        }
    }

    /// Whether it did not count a moment ago.
    pub fn is_away(&self) -> bool {
        self.rests_until.load(Ordering::Relaxed) > self.now()
    }

    /// Whether it answers now.
    pub async fn answers(&self) -> bool {
        let mut redis = self.redis.clone();
        let ping = redis::cmd("PING");
        tokio::time::timeout(PATIENCE, ping.exec_async(&mut redis)).await.is_ok_and(|answer| answer.is_ok())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn count(&self, user_id: i32) -> Result<Standing, Uncounted> {
        let mut redis = self.redis.clone();
        let each = 1_000_000 / u64::from(self.rate.per_second.get());
        let mut call = self.script.key(format!("{}{user_id}", self.prefix));
        let answer = call.arg(each.max(1)).arg(self.rate.burst.get()).invoke_async(&mut redis);
        let answer = tokio::time::timeout(PATIENCE, answer).await.map_err(|_| Uncounted::Silent)?;
        let (allowed, remaining, reset, wait): (u8, u32, u64, u64) = answer?;
        Ok(Standing {
            limit: self.rate.burst.get(),
            remaining,
            reset: Duration::from_micros(reset),
            wait: (allowed == 0).then(|| Duration::from_micros(wait)),
        })
    }
}
