//! Requests per user over all processes, counted in Redis. While that is away, each process counts for itself.

use std::{sync::Arc, time::Duration};

use redis::Script;

use super::{Rate, Standing};
use crate::redis_server::RedisServer;

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
    redis: Arc<RedisServer>,
    script: Script,
    rate: Rate,
}

impl GlobalLimiter {
    /// Counts there by this rate.
    pub fn new(redis: Arc<RedisServer>, rate: Rate) -> Self {
        Self { redis, script: Script::new(CHECK), rate }
    }

    /// Counts one request of the user; `None` where Redis does not.
    pub async fn check(&self, user_id: i32) -> Option<Standing> {
        let each = 1_000_000 / u64::from(self.rate.per_second.get());
        let mut call = self.script.key(self.redis.key(&format!("rate:{user_id}")));
        call.arg(each.max(1)).arg(self.rate.burst.get());
        let answer = self.redis.ask(async |mut redis| call.invoke_async(&mut redis).await).await;
        let (allowed, remaining, reset, wait): (u8, u32, u64, u64) = answer?;
        Some(Standing {
            limit: self.rate.burst.get(),
            remaining,
            reset: Duration::from_micros(reset),
            wait: (allowed == 0).then(|| Duration::from_micros(wait)),
        })
    }
}
