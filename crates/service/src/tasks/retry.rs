//! When a task that failed runs again.

use std::time::Duration;

use rand::RngExt as _;

use super::TaskError;

/// A retry policy: waits that grow up to a cap, each spread over its whole length, so that what failed together does not come
/// back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The longest wait after the first failure.
    pub first: Duration,
    /// It grows by this factor with each failure.
    pub factor: u32,
    /// No wait is longer.
    pub cap: Duration,
    /// After so many failed attempts the task is dead.
    pub attempts: u32,
}

/// What follows from a failure.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It runs again after this wait.
    Again(Duration),
    /// It is dead.
    Dead,
}

impl Retry {
    /// The longest wait after so many failed attempts (1 after the first).
    pub fn longest(&self, attempts: u32) -> Duration {
        let factor = self.factor.saturating_pow(attempts.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.cap)
    }

    /// The wait after so many failed attempts: anything up to the longest.
    pub fn wait(&self, attempts: u32) -> Duration {
        self.longest(attempts).mul_f64(rand::rng().random_range(0.0..=1.0))
    }

    /// What follows from a failure, the last of so many attempts.
    pub(super) fn after(&self, error: &TaskError, attempts: u32) -> Then {
        match error {
            TaskError::Dead(_) => Then::Dead,
            _ if attempts >= self.attempts => Then::Dead,
            TaskError::Retry(_) => Then::Again(self.wait(attempts)),
            // What was imposed on many together ends together as well.
            TaskError::RetryAfter { wait, .. } => Then::Again(*wait + self.wait(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry { first: Duration::from_secs(1), factor: 3, cap: Duration::from_secs(20), attempts: 5 };

    #[test]
    fn waits_grow_are_capped_and_are_spread() {
        for (attempts, longest) in [(0, 1), (1, 1), (2, 3), (3, 9), (4, 20), (400, 20)] {
            assert_eq!(RETRY.longest(attempts), Duration::from_secs(longest));
            let waits: Vec<Duration> = (0..200).map(|_| RETRY.wait(attempts)).collect();
            assert!(waits.iter().all(|wait| *wait <= RETRY.longest(attempts)));
            assert!(waits.iter().any(|wait| *wait < RETRY.longest(attempts) / 2), "spread over the whole length");
            assert!(waits.iter().any(|wait| *wait > RETRY.longest(attempts) / 2));
        }
    }

    #[test]
    fn the_last_attempt_and_what_cannot_succeed_are_dead() {
        let again = TaskError::Retry("away".into());
        let limited = TaskError::RetryAfter { wait: Duration::from_mins(1), reason: "limited".into() };
        assert!(matches!(RETRY.after(&again, 4), Then::Again(_)));
        assert!(matches!(RETRY.after(&limited, 4), Then::Again(wait) if wait >= Duration::from_mins(1)));
        for (error, attempts) in [(&again, 5), (&limited, 5), (&TaskError::Dead("gone".into()), 1)] {
            assert_eq!(RETRY.after(error, attempts), Then::Dead);
        }
    }
}
