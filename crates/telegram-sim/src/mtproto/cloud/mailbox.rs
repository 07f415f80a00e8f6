//! Numbered logs of updates: one for each account, one for each supergroup or channel.
//!
//! <https://core.telegram.org/api/updates>: each change raises `pts`; a client that has a `pts` asks for what is newer.

use std::collections::VecDeque;

use crate::mtproto::wire::msg_id::unix_time;
use crate::world::Place;

/// How many changes are kept; a client that is further behind starts anew.
const KEPT: usize = 10_000;

/// Something that changed for the owner of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A message arrived.
    New(Place, i32),
    /// A message was edited.
    Edited(Place, i32),
    /// A message was deleted.
    Deleted(Place, i32),
    /// A message was pinned, or is pinned no more.
    Pinned(Place, i32, bool),
    /// The owner read a place up to this message.
    ReadInbox(Place, i32),
    /// Others read a place up to this message.
    ReadOutbox(Place, i32),
}

/// One change with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `pts` after the change; each change counts one.
    pub pts: i32,
    /// What changed.
    pub change: Change,
}

/// A log.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// The number of the last change.
    pub pts: i32,
    /// When that was, in unix seconds.
    pub changed: i32,
    log: VecDeque<Entry>,
}

/// The log of a supergroup or channel.
pub type ChannelLog = Mailbox;

impl Default for Mailbox {
    fn default() -> Self {
        // Clients take 0 for "unknown", so a new log stands at 1.
        Self { pts: 1, changed: 0, log: VecDeque::new() }
    }
}

impl Mailbox {
    /// Appends a change.
    pub fn push(&mut self, change: Change) -> Entry {
        self.pts += 1;
        self.changed = unix_time();
        let entry = Entry { pts: self.pts, change };
        if self.log.len() >= KEPT {
            self.log.pop_front();
        }
        self.log.push_back(entry.clone());
        entry
    }

    /// The changes after `pts`, at most `limit`; `None` if some of them are gone.
    pub fn since(&self, pts: i32, limit: usize) -> Option<Vec<Entry>> {
        let oldest = self.log.front().map_or(self.pts, |entry| entry.pts - 1);
        if pts < oldest {
            return None;
        }
        let skip = usize::try_from(pts - oldest).unwrap_or(usize::MAX);
        Some(self.log.iter().skip(skip).take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_what_is_newer() {
        let mut mailbox = Mailbox::default();
        let place = Place::Private(1, 2);
        for id in 1..=3 {
            mailbox.push(Change::New(place, id));
        }
        let ids = |pts, limit| -> Option<Vec<i32>> {
            Some(mailbox.since(pts, limit)?.iter().map(|entry| entry.pts).collect())
        };
        assert_eq!(mailbox.pts, 4);
        assert_eq!(ids(1, 10), Some(vec![2, 3, 4]));
        assert_eq!(ids(2, 1), Some(vec![3]));
        assert_eq!(ids(4, 10), Some(vec![]));
        assert_eq!(ids(9, 10), Some(vec![]));
        assert_eq!(ids(0, 10), None);
    }

    #[test]
    fn old_changes_are_forgotten() {
        let mut mailbox = Mailbox::default();
        for _ in 0..KEPT + 5 {
            mailbox.push(Change::New(Place::Chat(-1), 1));
        }
        assert_eq!(mailbox.since(5, 10), None);
        assert_eq!(mailbox.since(6, 10).map(|entries| entries[0].pts), Some(7));
    }
}
