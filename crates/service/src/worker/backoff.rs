//! How long to wait before another try.

use std::time::Duration;

use rand::RngExt as _;

/// The first wait.
const FIRST: Duration = Duration::from_millis(500);
/// No wait is longer.
const LONGEST: Duration = Duration::from_mins(1);

/// The wait after so many attempts (1 after the first): doubled each time, capped, and spread over its upper half, so that what
/// failed together does not come back together.
pub fn backoff(attempts: u32) -> Duration {
    let full = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(LONGEST);
    full.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_is_capped_and_is_spread() {
        for (attempts, full) in [(0, 500), (1, 500), (2, 1000), (5, 8000), (8, 60_000), (40, 60_000)] {
            let full = Duration::from_millis(full);
            for _ in 0..100 {
                let wait = backoff(attempts);
                assert!(wait >= full / 2 && wait <= full, "{attempts}: {wait:?}");
            }
        }
        assert!((0..100).map(|_| backoff(5)).collect::<std::collections::HashSet<_>>().len() > 50, "no jitter");
    }
}
