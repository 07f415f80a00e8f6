//! Flood waits: token buckets, as strict as the settings say.

use std::collections::HashMap;
use std::time::Instant;

use crate::world::UserId;

/// From how many buckets on the full ones are forgotten.
const SWEEP_FROM: usize = 50_000;

/// What is limited.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Messages of an account.
    Account(UserId),
    /// Messages of an account to one chat.
    Chat(UserId, i64),
    /// Login codes for a phone.
    Codes(String),
    /// Wrong passwords for an account.
    Passwords(UserId),
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    since: Instant,
}

/// All buckets.
#[derive(Debug, Default)]
pub struct Limiter {
    buckets: HashMap<Subject, Bucket>,
}

impl Limiter {
    /// Takes one from a bucket that holds `burst` and is filled at `rate` a second. The error is the time to wait, in
    /// whole seconds.
    pub fn take(&mut self, subject: Subject, rate: f64, burst: f64, now: Instant) -> Result<(), i32> {
        if self.buckets.len() > SWEEP_FROM {
            self.buckets.retain(|_, bucket| {
                bucket.left + now.saturating_duration_since(bucket.since).as_secs_f64() * rate < burst
            });
        }
        let bucket = self.buckets.entry(subject).or_insert(Bucket { left: burst, since: now });
        let elapsed = now.saturating_duration_since(bucket.since).as_secs_f64();
        bucket.left = (bucket.left + elapsed * rate).min(burst);
        bucket.since = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        let wait = ((1.0 - bucket.left) / rate).ceil().clamp(1.0, 86_400.0);
        #[expect(clippy::cast_possible_truncation, reason = "clamped to a day")]
        Err(wait as i32)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.buckets.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_followed_by_a_wait() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        let mut take = |at: Duration| limiter.take(Subject::Account(1), 0.5, 2.0, start + at);
        assert_eq!(take(Duration::ZERO), Ok(()));
        assert_eq!(take(Duration::ZERO), Ok(()));
        assert_eq!(take(Duration::ZERO), Err(2));
        assert_eq!(take(Duration::from_secs(1)), Err(1));
        assert_eq!(take(Duration::from_secs(2)), Ok(()));
        assert_eq!(take(Duration::from_secs(2)), Err(2));
    }
}
