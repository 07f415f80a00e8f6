//! Telegram's sending limits, for one bot: in all, per private chat and per group.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::world::{ChatId, UserId};

/// When more chats than this have a history, those that are idle are forgotten.
const PRUNE_AT: usize = 100_000;

/// The numbers; the defaults are Telegram's, as far as they are known. A number of 0 switches that limit off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// False switches all of them off.
    pub enabled: bool,
    /// Messages of one bot in a sliding second.
    pub bot_per_second: u32,
    /// Messages of one bot to one user that may come at once; after that one a second.
    pub private_burst: u32,
    /// Messages of one bot to one group or channel in a sliding minute.
    pub group_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { enabled: true, bot_per_second: 30, private_burst: 5, group_per_minute: 20 }
    }
}

/// Keeps count.
#[derive(Debug)]
pub struct Limiter {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    limits: Limits,
    windows: HashMap<Key, VecDeque<Instant>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Bot(UserId),
    Chat(UserId, ChatId),
}

impl Limiter {
    /// Counts by these limits.
    pub fn new(limits: Limits) -> Self {
        Self { inner: Mutex::new(Inner { limits, windows: HashMap::new() }) }
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.lock().limits
    }

    /// Changes the limits and forgets what was counted.
    pub fn set(&self, limits: Limits) {
        *self.lock() = Inner { limits, windows: HashMap::new() };
    }

    /// Counts one message, or says after how many seconds to try again. A refused message does not count.
    pub fn take(&self, bot: UserId, chat: ChatId) -> Result<(), u64> {
        self.lock().take(bot, chat, Instant::now())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn take(&mut self, bot: UserId, chat: ChatId, now: Instant) -> Result<(), u64> {
        if !self.limits.enabled {
            return Ok(());
        }
        let (count, window) = if chat > 0 {
            // One a second in the long run with bursts: at most `burst` within `burst` seconds.
            (self.limits.private_burst, Duration::from_secs(self.limits.private_burst.into()))
        } else {
            (self.limits.group_per_minute, Duration::from_mins(1))
        };
        let checks = [
            (Key::Bot(bot), self.limits.bot_per_second, Duration::from_secs(1)),
            (Key::Chat(bot, chat), count, window),
        ];
        let waits = checks.map(|(key, count, window)| self.wait(key, count, window, now));
        if let Some(wait) = waits.into_iter().flatten().max() {
            return Err(wait.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX));
        }
        for (key, count, _) in checks {
            if count > 0 {
                self.windows.entry(key).or_default().push_back(now);
            }
        }
        if self.windows.len() > PRUNE_AT {
            let minute = Duration::from_mins(1);
            self.windows.retain(|_, times| times.back().is_some_and(|last| now.duration_since(*last) < minute));
        }
        Ok(())
    }

    /// How long until there is room; `None` if there is now.
    fn wait(&mut self, key: Key, count: u32, window: Duration, now: Instant) -> Option<Duration> {
        let times = self.windows.get_mut(&key)?;
        while times.front().is_some_and(|first| now.duration_since(*first) >= window) {
            times.pop_front();
        }
        if count == 0 || times.len() < count as usize {
            return None;
        }
        times.front().map(|first| window.saturating_sub(now.duration_since(*first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(limits: Limits) -> Inner {
        Inner { limits, windows: HashMap::new() }
    }

    #[test]
    fn a_user_gets_a_burst_and_then_one_a_second() {
        let (mut inner, start) = (inner(Limits::default()), Instant::now());
        for _ in 0..5 {
            inner.take(1, 10, start).unwrap();
        }
        assert_eq!(inner.take(1, 10, start), Err(5));
        assert_eq!(inner.take(1, 10, start + Duration::from_millis(3500)), Err(2));
        inner.take(1, 11, start).unwrap();
        inner.take(2, 10, start).unwrap();
        inner.take(1, 10, start + Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn a_group_gets_twenty_a_minute() {
        let (mut inner, start) = (inner(Limits::default()), Instant::now());
        for second in 0..20 {
            inner.take(1, -10, start + Duration::from_secs(second)).unwrap();
        }
        assert_eq!(inner.take(1, -10, start + Duration::from_secs(20)), Err(40));
        inner.take(1, -10, start + Duration::from_mins(1)).unwrap();
        assert_eq!(inner.take(1, -10, start + Duration::from_mins(1)), Err(1));
    }

    #[test]
    fn a_bot_gets_thirty_a_second() {
        let (mut inner, start) = (inner(Limits::default()), Instant::now());
        for user in 1..=30 {
            inner.take(1, user, start).unwrap();
        }
        assert_eq!(inner.take(1, 31, start), Err(1));
        inner.take(2, 31, start).unwrap();
        inner.take(1, 31, start + Duration::from_secs(1)).unwrap();
    }

    #[test]
    fn limits_can_be_switched_off() {
        let (mut off, start) = (inner(Limits { enabled: false, ..Limits::default() }), Instant::now());
        let mut unlimited_bot = inner(Limits { bot_per_second: 0, ..Limits::default() });
        for user in 1..=100 {
            off.take(1, 7, start).unwrap();
            unlimited_bot.take(1, user, start).unwrap();
        }
    }
}
