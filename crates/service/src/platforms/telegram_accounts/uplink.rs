//! Whether Telegram can be reached from here at all. When it cannot, other workers that do should have the accounts.
//!
//! Each second a few accounts are asked for a sign of life, with little patience, others each time; what comes of connecting counts as
//! well. One account that fails says nothing. Several in a row, all different, say that it is the way and not the account. The way is open
//! again when Telegram answers a question that needs no account: none has to be moved here to find out.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use telegram::mtproto::Server;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{LiveAccounts, live::Live};

/// How often accounts are asked.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long its answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// After so long without an answer, Telegram itself is asked.
const DOUBT_AFTER: Duration = Duration::from_secs(1);
/// So many different accounts have to fail in a row. So many are asked at the same time.
const SUSPICIOUS: usize = 3;
/// After being cut off, it is asked so much later whether the way is open again: the first and the longest.
const AWAY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(1));

/// The way to Telegram, as this process finds it.
#[derive(Default)]
pub struct Uplink {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failing: HashSet<Uuid>,
    way: Way,
    /// How often it was found closed since an account was reached.
    failures: u32,
}

#[derive(Default, Clone, Copy)]
enum Way {
    #[default]
    Open,
    /// Until it is asked then, at least.
    Closed(Instant),
}

impl Uplink {
    /// Whether the accounts should go to others.
    pub fn is_cut_off(&self) -> bool {
        matches!(self.lock().way, Way::Closed(_))
    }

    /// An account was reached, or was not.
    pub fn note(&self, id: Uuid, reached: bool) {
        let mut state = self.lock();
        if reached {
            *state = State::default();
            return;
        }
        // What still fails of a way that is known to be closed says nothing new.
        if matches!(state.way, Way::Open) {
            state.failing.insert(id);
            if state.failing.len() >= SUSPICIOUS {
                state.close();
            }
        }
    }

    /// Whether it is time to ask if the way is open again.
    fn is_to_ask(&self) -> bool {
        matches!(self.lock().way, Way::Closed(until) if until <= Instant::now())
    }

    /// Telegram answered a question without an account, or did not.
    fn asked(&self, answered: bool) {
        let mut state = self.lock();
        if answered {
            state.way = Way::Open;
            tracing::info!("Telegram can be reached from here again");
        } else {
            state.close();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self) {
        self.failing.clear();
        let away = AWAY.0.saturating_mul(1 << self.failures.min(8)).min(AWAY.1);
        self.way = Way::Closed(Instant::now() + away);
        self.failures += 1;
        tracing::warn!(
            away_seconds = away.as_secs(),
            "Telegram cannot be reached from here: its accounts go to other workers, if there are any"
        );
    }
}

/// Asks some accounts after others, and Telegram itself while it cannot be reached, until stopped.
pub async fn watch(uplink: Arc<Uplink>, live: LiveAccounts, server: Option<Server>, stop: CancellationToken) {
    let mut asked: HashSet<Uuid> = HashSet::new();
    while stop.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await.is_some() {
        if let Some(server) = server.as_ref().filter(|_| uplink.is_to_ask()) {
            uplink.asked(server.answers(PATIENCE).await);
        }
        let all = live.all();
        let next = all.iter().filter(|live| !live.has_proxy() && !asked.contains(&live.id())).take(SUSPICIOUS);
        let next: Vec<_> = next.cloned().collect();
        if next.is_empty() {
            asked.clear();
        }
        let (reached, telegram_answers) = ask(&next, server.as_ref()).await;
        for (live, reached) in next.iter().zip(reached) {
            // A machine that is too busy for its accounts would move them to the others, which are busier then.
            if reached || !telegram_answers {
                uplink.note(live.id(), reached);
            }
            asked.insert(live.id());
        }
    }
}

/// Asks accounts, each of which answers or not; when they take long, Telegram itself is asked too.
async fn ask(accounts: &[Arc<Live>], server: Option<&Server>) -> (Vec<bool>, bool) {
    let answers = join_all(accounts.iter().map(async |live| {
        let answered = tokio::time::timeout(PATIENCE, live.account().ping()).await;
        answered.is_ok_and(|answer| answer.is_ok())
    }));
    tokio::pin!(answers);
    let doubt = async {
        tokio::time::sleep(DOUBT_AFTER).await;
        match server {
            Some(server) => server.answers(PATIENCE.saturating_sub(DOUBT_AFTER)).await,
            None => false,
        }
    };
    tokio::select! {
        reached = &mut answers => (reached, false),
        answered = doubt => (answers.await, answered),
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
    async fn several_that_fail_close_it_until_telegram_answers() {
        let uplink = Uplink::default();
        for failures in 0..2_u32 {
            (1..=9).for_each(|number| uplink.note(id(number), false));
            assert!(uplink.is_cut_off());
            let away = AWAY.0 * 2_u32.pow(2 * failures);
            for asks in 0..=1 {
                tokio::time::advance(away * (1 + asks) / 2).await;
                assert!(uplink.is_cut_off() && !uplink.is_to_ask(), "asked too early");
                tokio::time::advance(away * (1 + asks) / 2).await;
                assert!(uplink.is_to_ask());
                uplink.asked(asks == 1);
            }
            assert!(!uplink.is_cut_off());
        }
        uplink.note(id(1), true);
        (1..=3).for_each(|number| uplink.note(id(number), false));
        tokio::time::advance(AWAY.0).await;
        assert!(uplink.is_to_ask(), "after a success it counts anew");
    }
}
