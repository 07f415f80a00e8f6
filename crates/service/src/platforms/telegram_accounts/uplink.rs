//! Whether Telegram can be reached from here at all. When it cannot, other workers that do should have the accounts.
//!
//! Each second one account after another is asked for a sign of life, with little patience; what comes of connecting counts as well.
//! One account that fails says nothing. Several in a row, all different, say that it is the way and not the account.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::LiveAccounts;

/// How often an account is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long its answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many different accounts have to fail in a row.
const SUSPICIOUS: usize = 3;
/// After being cut off, accounts are taken again after so long: the first and the longest.
const AWAY: (Duration, Duration) = (Duration::from_secs(15), Duration::from_mins(5));

/// The way to Telegram, as this process finds it.
#[derive(Default)]
pub struct Uplink {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failing: HashSet<Uuid>,
    /// Cut off until then at least, and how often in a row.
    away: Option<(Instant, u32)>,
}

impl Uplink {
    /// Whether the accounts should go to others. False again after a while: only accounts show that the way is open again.
    pub fn is_cut_off(&self) -> bool {
        self.lock().away.is_some_and(|(until, _)| until > Instant::now())
    }

    /// An account was reached, or was not.
    pub fn note(&self, id: Uuid, reached: bool) {
        let mut state = self.lock();
        if reached {
            *state = State::default();
            return;
        }
        state.failing.insert(id);
        if state.failing.len() < SUSPICIOUS {
            return;
        }
        state.failing.clear();
        let times = state.away.map_or(0, |(_, times)| times);
        let away = AWAY.0.saturating_mul(1 << times.min(8)).min(AWAY.1);
        state.away = Some((Instant::now() + away, times + 1));
        tracing::warn!(
            away_seconds = away.as_secs(),
            "Telegram cannot be reached from here: its accounts go to other workers, if there are any"
        );
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks one account after another, until stopped.
pub async fn watch(uplink: Arc<Uplink>, live: LiveAccounts, stop: CancellationToken) {
    let mut asked: HashSet<Uuid> = HashSet::new();
    while stop.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await.is_some() {
        let all = live.all();
        let next = all.iter().find(|live| !live.has_proxy() && !asked.contains(&live.id())).cloned();
        let Some(next) = next else {
            asked.clear();
            continue;
        };
        asked.insert(next.id());
        let answered = tokio::time::timeout(PATIENCE, next.account().ping()).await;
        uplink.note(next.id(), answered.is_ok_and(|answer| answer.is_ok()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[tokio::test(start_paused = true)]
    async fn one_account_that_fails_says_nothing() {
        let uplink = Uplink::default();
        for _ in 0..10 {
            uplink.note(id(1), false);
        }
        uplink.note(id(2), false);
        assert!(!uplink.is_cut_off());
        uplink.note(id(3), true);
        uplink.note(id(4), false);
        assert!(!uplink.is_cut_off(), "one that was reached shows the way to be open");
    }

    #[tokio::test(start_paused = true)]
    async fn several_that_fail_cut_it_off_for_longer_each_time() {
        let uplink = Uplink::default();
        for times in 0..3_u32 {
            (1..=3).for_each(|number| uplink.note(id(number), false));
            let away = AWAY.0 * 2_u32.pow(times);
            tokio::time::advance(away / 2).await;
            assert!(uplink.is_cut_off());
            tokio::time::advance(away / 2).await;
            assert!(!uplink.is_cut_off());
        }
        uplink.note(id(1), true);
        (1..=3).for_each(|number| uplink.note(id(number), false));
        tokio::time::advance(AWAY.0 + Duration::from_secs(1)).await;
        assert!(!uplink.is_cut_off(), "after a success it counts anew");
    }
}
