//! Pacing: at most so many sends in any window of so long.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::settings::TelegramSettings;

/// A sliding window: exact, unlike a bucket that lets twice its size through around a refill.
#[derive(Debug, Clone)]
pub struct Pace {
    limit: usize,
    window: Duration,
    sent: VecDeque<Instant>,
}

impl Pace {
    /// At most `limit` sends (at least 1) in any `window`.
    pub fn new(limit: u32, window: Duration) -> Self {
        Self { limit: limit.max(1) as usize, window, sent: VecDeque::new() }
    }

    /// When the next send is allowed; `now` or earlier means at once.
    pub fn next(&self, now: Instant) -> Instant {
        if self.sent.len() < self.limit {
            return now;
        }
        self.sent.front().map_or(now, |first| *first + self.window)
    }

    /// Records a send.
    pub fn record(&mut self, now: Instant) {
        if self.sent.len() >= self.limit {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }

    /// Nothing recorded matters any more.
    pub fn is_idle(&self, now: Instant) -> bool {
        self.sent.back().is_none_or(|last| *last + self.window <= now)
    }
}

/// The limits of one kind of sender.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Sends per second through the sender, to all chats.
    pub sender_per_second: u32,
    /// Sends per second to one private chat (id above zero).
    pub private_chat_per_second: u32,
    /// Sends per minute to one group (id below zero).
    pub group_per_minute: u32,
}

/// The limits of every kind of sender.
#[derive(Debug, Clone, Copy)]
pub struct AllLimits {
    /// Of bots.
    pub bot: Limits,
    /// Of accounts.
    pub account: Limits,
}

impl AllLimits {
    /// By the settings.
    pub fn new(settings: &TelegramSettings) -> Self {
        let bot = Limits {
            sender_per_second: settings.bot_per_second,
            private_chat_per_second: settings.private_chat_per_second,
            group_per_minute: settings.group_per_minute,
        };
        Self { bot, account: Limits { sender_per_second: settings.account_per_second, ..bot } }
    }

    /// Of a kind: `bot` or `account`.
    pub fn of(&self, kind: &str) -> Limits {
        if kind == "account" { self.account } else { self.bot }
    }
}

impl Limits {
    /// The pace of the sender itself.
    pub fn sender(&self) -> Pace {
        Pace::new(self.sender_per_second, Duration::from_secs(1))
    }

    /// The pace of one chat.
    pub fn chat(&self, chat_id: i64) -> Pace {
        if chat_id < 0 {
            Pace::new(self.group_per_minute, Duration::from_mins(1))
        } else {
            Pace::new(self.private_chat_per_second, Duration::from_secs(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_never_holds_more_than_its_limit() {
        let start = Instant::now();
        let mut pace = Pace::new(3, Duration::from_secs(1));
        let mut sent = Vec::new();
        let mut now = start;
        for _ in 0..50 {
            now = pace.next(now).max(now);
            pace.record(now);
            sent.push(now);
            now += Duration::from_millis(70);
        }
        for window in sent.windows(4) {
            assert!(window[3] - window[0] >= Duration::from_secs(1), "four sends within a second");
        }
    }

    #[test]
    fn a_burst_is_allowed_up_to_the_limit() {
        let now = Instant::now();
        let mut pace = Pace::new(28, Duration::from_secs(1));
        for _ in 0..28 {
            assert!(pace.next(now) <= now);
            pace.record(now);
        }
        assert_eq!(pace.next(now), now + Duration::from_secs(1));
        assert!(!pace.is_idle(now));
        assert!(pace.is_idle(now + Duration::from_secs(1)));
    }

    #[test]
    fn groups_and_private_chats_differ() {
        let limits = Limits { sender_per_second: 28, private_chat_per_second: 1, group_per_minute: 20 };
        assert_eq!(limits.chat(-5).window, Duration::from_mins(1));
        assert_eq!(limits.chat(-5).limit, 20);
        assert_eq!(limits.chat(5).window, Duration::from_secs(1));
    }
}
