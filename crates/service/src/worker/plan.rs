//! What an actor knows of its due messages and of its chats.

use std::collections::{HashMap, HashSet};

use store::delivery::DueRow;
use tokio::time::Instant;
use uuid::Uuid;

use super::pace::{Limits, Pace};

/// Messages planned with at once.
pub const WINDOW: usize = 64;
/// Of these, at most so many to one chat: the others must not wait behind it.
pub const PER_CHAT: usize = 4;

/// One chat that the sender writes to.
pub struct Chat {
    pace: Pace,
    /// Nothing goes to it before this time: a retry, or a wait that the platform imposed.
    pub held_until: Option<Instant>,
    /// A message to it is on its way; the next one has to wait for its outcome.
    pub busy: bool,
}

impl Chat {
    /// When the next message may go, or `None` while one is on its way.
    fn next(&self, now: Instant) -> Option<Instant> {
        if self.busy {
            return None;
        }
        let paced = self.pace.next(now);
        Some(self.held_until.map_or(paced, |held| paced.max(held)))
    }
}

/// The plan of one sender.
pub struct Plan {
    /// Due messages in (priority, seq) order.
    due: Vec<DueRow>,
    chats: HashMap<i64, Chat>,
    pace: Pace,
    limits: Limits,
    /// Nothing goes out before this time.
    pub held_until: Option<Instant>,
    /// The last time and chat that were told to wait: two chats within a second hold the sender.
    last_wait: Option<(Instant, i64)>,
    /// The database holds more than the plan.
    pub left_behind: bool,
    /// Chats that have their share and maybe more: it is looked again when what the plan has of them is used up.
    cut: HashSet<i64>,
}

/// What to do next.
pub enum Next {
    /// Send this now.
    Send(DueRow),
    /// Nothing before this time.
    At(Instant),
    /// Nothing until something happens.
    Idle,
}

impl Plan {
    /// An empty plan.
    pub fn new(limits: Limits) -> Self {
        Self {
            due: Vec::new(),
            chats: HashMap::new(),
            pace: limits.sender(),
            limits,
            held_until: None,
            last_wait: None,
            left_behind: false,
            cut: HashSet::new(),
        }
    }

    /// The sender was opened anew, maybe with other limits.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Chats that are held: not worth reading messages for.
    pub fn held_chats(&self, now: Instant) -> Vec<i64> {
        let held = |chat: &Chat| chat.held_until.is_some_and(|held| held > now);
        self.chats.iter().filter(|(_, chat)| held(chat)).map(|(id, _)| *id).collect()
    }

    /// When the first held chat opens: its messages have to be read then.
    pub fn next_release(&self, now: Instant) -> Option<Instant> {
        self.chats.values().filter_map(|chat| chat.held_until).filter(|held| *held > now).min()
    }

    /// Starts planning anew.
    pub fn clear(&mut self) {
        self.due.clear();
        self.left_behind = false;
        self.cut.clear();
    }

    /// Adds rows that were read, at most [`PER_CHAT`] of each chat. Returns the chats that have their share.
    pub fn add(&mut self, rows: Vec<DueRow>, now: Instant) -> HashSet<i64> {
        let mut per_chat: HashMap<i64, usize> = HashMap::new();
        for row in self.due.iter().filter_map(|row| row.chat_id) {
            *per_chat.entry(row).or_default() += 1;
        }
        for row in rows {
            if let Some(chat_id) = row.chat_id {
                let count = per_chat.entry(chat_id).or_default();
                if *count >= PER_CHAT {
                    continue;
                }
                *count += 1;
                if let Some(wait) = row.wait_seconds.filter(|wait| *wait > 0.0) {
                    self.hold_chat(chat_id, now + std::time::Duration::from_secs_f64(wait.min(1e6)));
                }
            }
            self.due.push(row);
        }
        let full: HashSet<i64> =
            per_chat.into_iter().filter(|(_, count)| *count >= PER_CHAT).map(|(id, _)| id).collect();
        // They may have more, here or behind what was read.
        self.cut.extend(&full);
        full
    }

    /// The messages it holds.
    pub fn ids(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.due.iter().map(|row| row.id)
    }

    /// How many messages it holds.
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Whether to read again: the plan runs short, or a chat has used up its share. A busy chat with a long queue is not a reason
    /// before that: reading again would find the same.
    pub fn runs_short(&self) -> bool {
        let used_up = |chat: &i64| !self.due.iter().any(|row| row.chat_id == Some(*chat));
        (self.left_behind && self.due.len() <= WINDOW / 2) || self.cut.iter().any(used_up)
    }

    /// Names that have to be resolved first, each with its messages.
    pub fn unresolved(&self) -> HashMap<String, Vec<Uuid>> {
        let mut names: HashMap<String, Vec<Uuid>> = HashMap::new();
        for row in self.due.iter().filter(|row| row.chat_id.is_none()) {
            if let Some(name) = &row.chat_name {
                names.entry(name.clone()).or_default().push(row.id);
            }
        }
        names
    }

    /// When the sender as a whole may send again; `now` or earlier means at once.
    pub fn opens_at(&self, now: Instant) -> Instant {
        let paced = self.pace.next(now);
        self.held_until.map_or(paced, |held| paced.max(held))
    }

    /// Picks the first message that may go now. `asking` are names whose resolution runs: what stands behind a message to one of
    /// them, at its priority, waits, since it may turn out to be for the same chat.
    pub fn next(&mut self, now: Instant, asking: &HashSet<String>) -> Next {
        if self.due.is_empty() {
            return Next::Idle;
        }
        let sender_at = self.opens_at(now);
        if sender_at > now {
            return Next::At(sender_at);
        }
        let mut earliest: Option<Instant> = None;
        let mut seen: HashSet<i64> = HashSet::new();
        let mut barrier: Option<i16> = None;
        let mut found = None;
        for (index, row) in self.due.iter().enumerate() {
            let Some(chat_id) = row.chat_id else {
                if row.chat_name.as_ref().is_some_and(|name| asking.contains(name)) {
                    barrier = Some(row.priority);
                }
                continue;
            };
            if barrier == Some(row.priority) || !seen.insert(chat_id) {
                continue;
            }
            match self.chats.get(&chat_id).map_or(Some(now), |chat| chat.next(now)) {
                Some(at) if at <= now => {
                    found = Some(index);
                    break;
                }
                Some(at) => earliest = Some(earliest.map_or(at, |earliest| earliest.min(at))),
                None => {}
            }
        }
        let Some(index) = found else {
            return earliest.map_or(Next::Idle, Next::At);
        };
        let row = self.due.remove(index);
        if let Some(chat_id) = row.chat_id {
            let chat = self.chat(chat_id);
            chat.pace.record(now);
            chat.busy = true;
            self.pace.record(now);
        }
        Next::Send(row)
    }

    /// Whether a message to a chat is on its way.
    pub fn is_busy(&self, chat_id: i64) -> bool {
        self.chats.get(&chat_id).is_some_and(|chat| chat.busy)
    }

    /// The outcome of a message to a chat is known: the next one may go.
    pub fn free_chat(&mut self, chat_id: i64) {
        self.chat(chat_id).busy = false;
    }

    /// A message to this chat is queued again: what stands behind it must not go before it is read again.
    pub fn read_again(&mut self, chat_id: i64) {
        self.due.retain(|row| row.chat_id != Some(chat_id));
        self.left_behind = true;
    }

    /// Holds one chat.
    pub fn hold_chat(&mut self, chat_id: i64, until: Instant) {
        let chat = self.chat(chat_id);
        chat.held_until = Some(chat.held_until.map_or(until, |held| held.max(until)));
    }

    /// The platform told one chat to wait. Two chats within a second mean that the whole sender is meant.
    pub fn wait_imposed(&mut self, chat_id: i64, now: Instant, until: Instant) {
        self.hold_chat(chat_id, until);
        let second = std::time::Duration::from_secs(1);
        if self.last_wait.is_some_and(|(at, chat)| chat != chat_id && now.duration_since(at) < second) {
            self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
        }
        self.last_wait = Some((now, chat_id));
    }

    /// Forgets chats of which nothing matters any more, so that a sender with a million chats stays small.
    pub fn forget_idle_chats(&mut self, now: Instant) {
        self.chats
            .retain(|_, chat| chat.busy || chat.held_until.is_some_and(|held| held > now) || !chat.pace.is_idle(now));
    }

    fn chat(&mut self, chat_id: i64) -> &mut Chat {
        let limits = self.limits;
        self.chats.entry(chat_id).or_insert_with(|| Chat { pace: limits.chat(chat_id), held_until: None, busy: false })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: Limits = Limits { sender_per_second: 28, private_chat_per_second: 1, group_per_minute: 20 };

    fn row(seq: i64, priority: i16, chat_id: i64) -> DueRow {
        DueRow { id: Uuid::now_v7(), priority, seq, chat_id: Some(chat_id), chat_name: None, wait_seconds: None }
    }

    fn named(seq: i64, name: &str) -> DueRow {
        DueRow { chat_id: None, chat_name: Some(name.into()), ..row(seq, 1, 0) }
    }

    fn send(plan: &mut Plan, now: Instant) -> Option<i64> {
        match plan.next(now, &HashSet::new()) {
            Next::Send(row) => Some(row.seq),
            _ => None,
        }
    }

    #[test]
    fn one_chat_goes_in_order_and_one_at_a_time() {
        let now = Instant::now();
        let mut plan = Plan::new(LIMITS);
        plan.add(vec![row(1, 1, 7), row(2, 1, 7), row(3, 1, 8)], now);
        assert_eq!(send(&mut plan, now), Some(1));
        assert_eq!(send(&mut plan, now), Some(3), "another chat does not wait");
        assert_eq!(send(&mut plan, now), None, "the first is still on its way");
        plan.free_chat(7);
        assert!(matches!(plan.next(now, &HashSet::new()), Next::At(at) if at == now + Duration::from_secs(1)));
        assert_eq!(send(&mut plan, now + Duration::from_secs(1)), Some(2));
    }

    #[test]
    fn a_held_chat_keeps_its_order_and_holds_nobody_else() {
        let now = Instant::now();
        let mut plan = Plan::new(LIMITS);
        plan.wait_imposed(7, now, now + Duration::from_secs(30));
        plan.add(vec![row(1, 1, 7), row(2, 1, 7), row(3, 1, 8)], now);
        assert_eq!(send(&mut plan, now), Some(3));
        assert_eq!(send(&mut plan, now), None);
        assert_eq!(send(&mut plan, now + Duration::from_secs(30)), Some(1));
    }

    #[test]
    fn two_chats_told_to_wait_within_a_second_hold_the_sender() {
        let now = Instant::now();
        let mut plan = Plan::new(LIMITS);
        plan.wait_imposed(7, now, now + Duration::from_secs(30));
        plan.wait_imposed(7, now, now + Duration::from_secs(30));
        assert!(plan.held_until.is_none(), "the same chat twice says nothing of the sender");
        plan.wait_imposed(8, now + Duration::from_millis(900), now + Duration::from_secs(31));
        assert_eq!(plan.held_until, Some(now + Duration::from_secs(31)));
        plan.add(vec![row(1, 1, 9)], now);
        assert_eq!(send(&mut plan, now), None);
        assert_eq!(send(&mut plan, now + Duration::from_secs(31)), Some(1));
    }

    #[test]
    fn one_busy_chat_takes_its_share_of_the_plan_only() {
        let now = Instant::now();
        let mut plan = Plan::new(LIMITS);
        let full = plan.add((0..10).map(|seq| row(seq, 1, 7)).collect(), now);
        assert_eq!(plan.len(), PER_CHAT);
        assert_eq!(full, HashSet::from([7]));
    }

    #[test]
    fn a_long_queue_of_one_chat_is_read_again_only_when_its_share_is_used_up() {
        let mut now = Instant::now();
        let mut plan = Plan::new(LIMITS);
        plan.add((0..10).map(|seq| row(seq, 1, 7)).chain([row(10, 1, 8)]).collect(), now);
        let mut sent = Vec::new();
        while !plan.runs_short() {
            while let Some(seq) = send(&mut plan, now) {
                sent.push(seq);
            }
            plan.free_chat(7);
            now += Duration::from_secs(1);
        }
        assert_eq!(sent, [0, 10, 1, 2, 3], "reading before would find the same again");
        plan.clear();
        assert!(!plan.runs_short(), "all that waits is known");
    }

    #[test]
    fn what_stands_behind_a_name_that_is_asked_for_waits() {
        let now = Instant::now();
        let asking = HashSet::from(["news".to_owned()]);
        let mut plan = Plan::new(LIMITS);
        plan.add(vec![row(1, 1, 7), named(2, "news"), row(3, 1, 8), row(4, 2, 9)], now);
        assert_eq!(plan.unresolved().len(), 1);
        let mut sent = Vec::new();
        while let Next::Send(row) = plan.next(now, &asking) {
            sent.push(row.seq);
        }
        assert_eq!(sent, [1, 4], "seq 3 may be for the same chat");
        assert_eq!(send(&mut plan, now), Some(3), "once the answer failed, the others go on");
    }

    #[test]
    fn behind_a_message_that_is_queued_again_nothing_goes_before_it() {
        let now = Instant::now();
        let mut plan = Plan::new(LIMITS);
        plan.add(vec![row(1, 1, 7), row(2, 1, 7), row(3, 1, 8)], now);
        assert_eq!(send(&mut plan, now), Some(1));
        plan.free_chat(7);
        plan.read_again(7);
        let later = now + Duration::from_secs(2);
        assert_eq!(send(&mut plan, later), Some(3), "another chat goes on");
        assert_eq!(send(&mut plan, later), None, "seq 2 stands behind seq 1");
        assert!(plan.left_behind);
    }

    #[test]
    fn idle_chats_are_forgotten() {
        let now = Instant::now();
        let mut plan = Plan::new(LIMITS);
        plan.add((0..20).map(|n| row(n, 1, n + 1)).collect(), now);
        while send(&mut plan, now).is_some() {}
        plan.forget_idle_chats(now + Duration::from_secs(5));
        assert_eq!(plan.chats.len(), 20, "they are on their way");
        (1..=20).for_each(|chat| plan.free_chat(chat));
        plan.forget_idle_chats(now + Duration::from_secs(5));
        assert!(plan.chats.is_empty());
    }
}
