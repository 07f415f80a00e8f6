//! Requests per user, by the generic cell rate algorithm: within this process, or over all of them (`global`).

mod global;

use std::num::NonZeroU32;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderName};

use crate::error::problem::seconds_rounded_up;
use crate::error::{Code, Error};

/// States that say nothing any more are dropped once in so many requests.
const CLEAN_EVERY: u64 = 10_000;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

type Limiter<C> = RateLimiter<i32, DashMapStateStore<i32>, C, StateInformationMiddleware>;

pub use global::GlobalLimiter;

/// How many requests are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: NonZeroU32,
    /// At once; at least `per_second`.
    pub burst: NonZeroU32,
}

impl Rate {
    /// `None` when `per_second` is 0, which is no limit.
    pub fn new(per_second: u32, burst: u32) -> Option<Self> {
        let per_second = NonZeroU32::new(per_second)?;
        let burst = NonZeroU32::new(burst).map_or(per_second, |burst| burst.max(per_second));
        Some(Self { per_second, burst })
    }
}

/// Limits the requests of each user.
pub struct UserLimiter<C: Clock = DefaultClock> {
    limiter: Limiter<C>,
    clock: C,
    rate: Rate,
    checks: AtomicU64,
    global: Option<Arc<GlobalLimiter>>,
}

/// Where a user stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The largest burst.
    pub limit: u32,
    /// How many requests may follow at once.
    pub remaining: u32,
    /// Until the full burst is there again.
    pub reset: Duration,
    /// Set when the request is refused: until the next one is accepted.
    pub wait: Option<Duration>,
}

impl UserLimiter {
    /// Counts in `global`, and in this process where that does not count.
    pub fn new(rate: Rate, global: Option<Arc<GlobalLimiter>>) -> Self {
        Self { global, ..Self::with_clock(rate, DefaultClock::default()) }
    }

    /// Counts one request of the user.
    pub async fn check(&self, user_id: i32) -> Standing {
        if let Some(global) = &self.global
            && let Some(standing) = global.check(user_id).await
        {
            return standing;
        }
        self.check_here(user_id)
    }
}

impl<C: Clock + Clone> UserLimiter<C> {
    fn with_clock(rate: Rate, clock: C) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        let limiter = Limiter::new(quota, DashMapStateStore::default(), clock.clone());
        Self { limiter, clock, rate, checks: AtomicU64::new(0), global: None }
    }

    /// Counts one request of the user in this process.
    pub fn check_here(&self, user_id: i32) -> Standing {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CLEAN_EVERY == CLEAN_EVERY - 1 {
            self.limiter.retain_recent();
        }
        let limit = self.rate.burst.get();
        match self.limiter.check_key(&user_id) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                Standing { limit, remaining, reset: self.time_for(limit.saturating_sub(remaining)), wait: None }
            }
            Err(until) => {
                let wait = until.wait_time_from(self.clock.now());
                Standing { limit, remaining: 0, reset: self.time_for(limit), wait: Some(wait) }
            }
        }
    }

    fn time_for(&self, requests: u32) -> Duration {
        Duration::from_secs_f64(f64::from(requests) / f64::from(self.rate.per_second.get()))
    }
}

impl Standing {
    /// Writes the `RateLimit-*` headers.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, self.limit.into());
        headers.insert(REMAINING, self.remaining.into());
        headers.insert(RESET, seconds_rounded_up(self.reset).into());
    }

    /// The error of a request that is refused.
    pub fn refusal(&self) -> Option<Error> {
        let wait = self.wait?;
        let detail = format!("The user may send bursts of at most {} requests. Wait before the next one.", self.limit);
        Some(Error::new(Code::RateLimited, detail).with_retry_after(wait))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_burst_is_allowed_then_the_rate_and_each_user_counts_alone() {
        let clock = FakeRelativeClock::default();
        let limiter = UserLimiter::with_clock(Rate::new(2, 4).unwrap(), clock.clone());
        let remaining: Vec<u32> = (0..4).map(|_| limiter.check_here(1).remaining).collect();
        assert_eq!(remaining, [3, 2, 1, 0]);
        let refused = limiter.check_here(1);
        assert_eq!(refused.wait, Some(Duration::from_millis(500)));
        assert_eq!(refused.refusal().unwrap().code, Code::RateLimited);
        assert_eq!(limiter.check_here(2).wait, None);
        clock.advance(Duration::from_millis(500));
        assert_eq!(limiter.check_here(1).wait, None);
        assert!(limiter.check_here(1).wait.is_some());
    }

    #[test]
    fn the_headers_tell_the_standing() {
        let limiter = UserLimiter::with_clock(Rate::new(2, 4).unwrap(), FakeRelativeClock::default());
        let mut headers = HeaderMap::new();
        limiter.check_here(1).write(&mut headers);
        assert_eq!(headers["ratelimit-limit"], "4");
        assert_eq!(headers["ratelimit-remaining"], "3");
        assert_eq!(headers["ratelimit-reset"], "1");
    }

    #[test]
    fn a_rate_of_zero_is_no_limit_and_a_burst_below_the_rate_is_the_rate() {
        assert_eq!(Rate::new(0, 5), None);
        assert_eq!(Rate::new(10, 0), Rate::new(10, 10));
    }

    #[test]
    fn states_of_idle_users_are_dropped() {
        let clock = FakeRelativeClock::default();
        let limiter = UserLimiter::with_clock(Rate::new(100, 100).unwrap(), clock.clone());
        for user in 0..5000 {
            limiter.check_here(user);
        }
        clock.advance(Duration::from_secs(10));
        for user in 5000..10_000 {
            limiter.check_here(user);
        }
        assert!(limiter.limiter.len() <= 5001, "{}", limiter.limiter.len());
    }
}
