//! Which key runs when. Knows no clock and starts nothing.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use crate::tasks::{
    TaskError,
    retry::{Retry, Then},
};

/// The periods of the wall clock, on the clock that timers use.
pub(super) struct Grid {
    period: Duration,
    origin: Instant,
    /// How far into its period the origin is.
    offset: Duration,
}

impl Grid {
    /// `now` in both clocks; the wall clock's as the time since 1970.
    pub fn new(period: Duration, now: Instant, wall: Duration) -> Self {
        let period = period.max(Duration::from_millis(1));
        let offset = nanos(wall.as_nanos() % period.as_nanos());
        Self { period, origin: now, offset }
    }

    /// How far into the period the key has its turn: a hash, spread over the period.
    fn phase(&self, key: Uuid) -> Duration {
        let hash = Sha256::digest(key.as_bytes());
        let (head, _) = hash.split_at(8);
        let hash = head.iter().fold(0_u128, |hash, byte| hash << 8 | u128::from(*byte));
        nanos((hash * self.period.as_nanos()) >> 64)
    }

    /// The first turn of the key after this moment.
    fn turn(&self, key: Uuid, after: Instant) -> Instant {
        let since = (self.offset + after.saturating_duration_since(self.origin)).as_nanos();
        let (phase, period) = (self.phase(key).as_nanos(), self.period.as_nanos());
        let turn = if since < phase { phase } else { phase + ((since - phase) / period + 1) * period };
        after + nanos(turn - since)
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

struct Entry {
    due: Instant,
    state: State,
    /// Failed attempts in a row.
    attempts: u32,
    /// Somebody else imposed a wait until then, which nothing shortens.
    not_before: Option<Instant>,
    /// It has used up its attempts, and nobody asked for it since.
    dead: bool,
    /// In every period, and not until it succeeds.
    repeats: bool,
    /// Its success was told.
    settled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waits,
    /// The run that is under way is this entry's.
    Runs,
    /// Likewise, and it was asked for meanwhile.
    RunsAndAgain,
}

impl Entry {
    /// Has all of its attempts again. Returns when it may run.
    fn begin_anew(&mut self, now: Instant) -> Instant {
        (self.attempts, self.dead) = (0, false);
        self.not_before.map_or(now, |imposed| imposed.max(now))
    }
}

/// What the outside is to be told of a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Nothing,
    /// The first success since the key is known, or since it was dead.
    FirstSuccess,
    /// It has used up its attempts: now, or before.
    Dead {
        attempts: u32,
        now: bool,
    },
}

/// The keys, ordered by when they are due.
pub(super) struct Schedule {
    retry: Retry,
    grid: Grid,
    entries: HashMap<Uuid, Entry>,
    due: BTreeSet<(Instant, Uuid)>,
    /// Also those of keys that were removed meanwhile.
    running: HashSet<Uuid>,
}

impl Schedule {
    pub fn new(retry: Retry, grid: Grid) -> Self {
        Self { retry, grid, entries: HashMap::new(), due: BTreeSet::new(), running: HashSet::new() }
    }

    pub fn add(&mut self, key: Uuid, now: Instant) {
        match self.entries.get_mut(&key) {
            Some(entry) => entry.repeats = true,
            None => self.insert(key, self.grid.turn(key, now), true),
        }
    }

    pub fn once(&mut self, key: Uuid, now: Instant) {
        match self.entries.get_mut(&key) {
            Some(entry) if entry.state != State::Waits => entry.state = State::RunsAndAgain,
            Some(entry) => {
                let due = entry.begin_anew(now);
                self.move_to(key, due);
            }
            None => self.insert(key, now, false),
        }
    }

    fn insert(&mut self, key: Uuid, due: Instant, repeats: bool) {
        let state = State::Waits;
        let entry = Entry { due, state, attempts: 0, not_before: None, dead: false, repeats, settled: false };
        self.entries.insert(key, entry);
        self.due.insert((due, key));
    }

    fn move_to(&mut self, key: Uuid, due: Instant) {
        if let Some(entry) = self.entries.get_mut(&key) {
            self.due.remove(&(entry.due, key));
            entry.due = due;
            self.due.insert((due, key));
        }
    }

    pub fn remove(&mut self, key: Uuid) {
        if let Some(entry) = self.entries.remove(&key) {
            self.due.remove(&(entry.due, key));
        }
    }

    pub fn holds(&self, key: Uuid) -> bool {
        self.entries.contains_key(&key)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes the key that has been due for longest; or tells when the next one is due.
    pub fn start_due(&mut self, now: Instant) -> Result<Uuid, Option<Instant>> {
        loop {
            let Some((due, key)) = self.due.first().copied() else { return Err(None) };
            if due > now {
                return Err(Some(due));
            }
            self.due.remove(&(due, key));
            if !self.running.insert(key) {
                // It was removed and came back while its former run goes on; that run's end is looked for again soon.
                self.move_to(key, now + Duration::from_millis(100));
                continue;
            }
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.state = State::Runs;
            }
            return Ok(key);
        }
    }

    /// Notes the end of a run, and when the key runs next.
    pub fn finish(&mut self, key: Uuid, result: &Result<(), TaskError>, now: Instant) -> End {
        self.running.remove(&key);
        let turn = self.grid.turn(key, now);
        let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.state != State::Waits) else {
            return End::Nothing;
        };
        let again = std::mem::replace(&mut entry.state, State::Waits) == State::RunsAndAgain;
        entry.not_before = None;
        let (end, next) = match result {
            Ok(()) => {
                let first = !std::mem::replace(&mut entry.settled, true);
                (entry.attempts, entry.dead) = (0, false);
                let next = if again { Some(now) } else { entry.repeats.then_some(turn) };
                (if first { End::FirstSuccess } else { End::Nothing }, next)
            }
            Err(error) => {
                if let TaskError::RetryAfter { wait, .. } = error {
                    entry.not_before = Some(now + *wait);
                }
                entry.attempts = entry.attempts.saturating_add(1);
                match self.retry.after(error, entry.attempts) {
                    _ if again => (End::Nothing, Some(entry.begin_anew(now))),
                    Then::Again(wait) if !entry.dead => (End::Nothing, Some(now + wait)),
                    Then::Again(_) | Then::Dead => {
                        entry.settled = false;
                        let end =
                            End::Dead { attempts: entry.attempts, now: !std::mem::replace(&mut entry.dead, true) };
                        (end, Some(entry.not_before.map_or(turn, |imposed| turn.max(imposed))))
                    }
                }
            }
        };
        match next {
            Some(next) => self.move_to(key, next),
            None => self.remove(key),
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(50);

    #[test]
    fn phases_are_spread_evenly_and_outlive_the_process() {
        let keys: Vec<Uuid> = (0..5000).map(Uuid::from_u128).collect();
        let now = Instant::now();
        let grid = Grid::new(PERIOD, now, Duration::from_secs(1_700_000_017));
        let mut per_second = [0_u32; 50];
        for key in &keys {
            let wait = grid.turn(*key, now) - now;
            assert!(wait > Duration::ZERO && wait <= PERIOD);
            per_second[usize::try_from(wait.as_secs()).unwrap().min(49)] += 1;
        }
        // 100 on average; five standard deviations are 50.
        assert!(per_second.iter().all(|count| (50..150).contains(count)), "{per_second:?}");
        // Another process, 333 s later, in which the clock of timers began anew.
        let later = now + Duration::from_secs(1000);
        let other = Grid::new(PERIOD, later, Duration::from_secs(1_700_000_350));
        for key in &keys {
            let (here, there) = (grid.turn(*key, now) - now, other.turn(*key, later) - later);
            let apart = (here.as_nanos() + PERIOD.as_nanos() * 10 - there.as_nanos()) % PERIOD.as_nanos();
            assert_eq!(apart, Duration::from_secs(333).as_nanos() % PERIOD.as_nanos());
        }
    }

    #[test]
    fn turns_are_a_period_apart() {
        let now = Instant::now();
        let grid = Grid::new(PERIOD, now, Duration::from_nanos(123_456_789_012_345));
        let key = Uuid::now_v7();
        let mut turn = grid.turn(key, now);
        for _ in 0..1000 {
            assert_eq!(grid.turn(key, turn - Duration::from_nanos(1)), turn);
            assert_eq!(grid.turn(key, turn), turn + PERIOD);
            turn += PERIOD;
        }
    }
}
