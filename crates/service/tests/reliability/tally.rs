//! What became of the messages of a round: what the callers know, what the service says, and what arrived at Telegram.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use uuid::Uuid;

use crate::load::Offered;

/// From this on a message is late.
const LATE_MS: i64 = 1000;

/// A message as the service shows it.
#[derive(Debug, Clone)]
pub struct Stored {
    pub id: Uuid,
    pub status: String,
    pub error_code: Option<String>,
}

/// The figures of a round.
#[derive(Debug, Default)]
pub struct Tally {
    /// Messages that were offered.
    pub offered: usize,
    /// Answered 202.
    pub accepted: usize,
    /// Of these, at the first try.
    pub at_once: usize,
    /// Of these, at the first try or at the other replica.
    pub after_failover: usize,
    /// Messages that arrived.
    pub arrived: usize,
    /// Arrivals of a message that had arrived already.
    pub duplicates: usize,
    /// Nobody could tell whether they arrived.
    pub unknown: usize,
    /// Times from when a message was due to its arrival, in milliseconds, growing.
    pub latencies: Vec<i64>,
    /// When the last late message arrived, in Unix milliseconds.
    pub last_late: Option<i64>,
    /// Why callers gave up.
    pub given_up: Vec<String>,
    /// What must not be, in words.
    pub wrong: Vec<String>,
}

impl Tally {
    /// Compares the three. `arrived` has the texts with the times of their arrival in Unix milliseconds, in order.
    pub fn of(offered: &[Offered], mut stored: HashMap<String, Vec<Stored>>, arrived: &[(String, i64)]) -> Self {
        let mut tally = Self { offered: offered.len(), ..Self::default() };
        let mut arrivals: HashMap<&str, Vec<i64>> = HashMap::new();
        for (text, at) in arrived {
            arrivals.entry(text).or_default().push(*at);
        }
        for message in offered {
            let rows = stored.remove(&message.text).unwrap_or_default();
            let at = arrivals.remove(message.text.as_str()).unwrap_or_default();
            tally.count(message, &rows, &at);
        }
        if !stored.is_empty() || !arrivals.is_empty() {
            tally.wrong.push(format!("nobody offered {:?} {:?}", stored.keys(), arrivals.keys()));
        }
        tally.latencies.sort_unstable();
        tally.look_at_order(offered, arrived);
        tally
    }

    fn count(&mut self, message: &Offered, rows: &[Stored], arrived: &[i64]) {
        let text = &message.text;
        if rows.len() > 1 {
            self.wrong.push(format!("{text} is stored {} times", rows.len()));
        }
        match &message.result {
            Ok((id, tries)) => {
                self.accepted += 1;
                self.at_once += usize::from(*tries == 1);
                self.after_failover += usize::from(*tries <= 2);
                if !rows.iter().any(|row| row.id == *id) {
                    self.wrong.push(format!("{text} was accepted as {id} and is lost: {rows:?}"));
                }
            }
            // Its caller gave up, and cannot know what became of it: it may have arrived, once.
            Err(why) => self.given_up.push(why.clone()),
        }
        if let Some(first) = arrived.first() {
            self.arrived += 1;
            self.latencies.push(first - message.due_ms);
            if first - message.due_ms > LATE_MS {
                self.last_late = self.last_late.max(Some(*first));
            }
        }
        if arrived.len() > 1 {
            self.duplicates += arrived.len() - 1;
            self.wrong.push(format!("{text} arrived {} times: {rows:?}", arrived.len()));
        }
        for row in rows {
            match row.status.as_str() {
                "sent" if arrived.is_empty() => self.wrong.push(format!("{text} is sent and did not arrive")),
                "sent" => {}
                "unknown" => self.unknown += 1,
                status => self.wrong.push(format!("{text} is {status}: {:?}", row.error_code)),
            }
        }
        if rows.is_empty() && !arrived.is_empty() {
            self.wrong.push(format!("{text} arrived and is not stored"));
        }
    }

    /// What was offered after another one of its chat had been accepted arrives after it.
    fn look_at_order(&mut self, offered: &[Offered], arrived: &[(String, i64)]) {
        let by_text: BTreeMap<&str, &Offered> =
            offered.iter().map(|message| (message.text.as_str(), message)).collect();
        let mut newest: HashMap<usize, (Instant, &str)> = HashMap::new();
        for (text, _) in arrived {
            let Some(message) = by_text.get(text.as_str()) else { continue };
            let before = newest.get(&message.lane).copied();
            if let Some((begun, other)) = before
                && message.result.is_ok()
                && message.answered < begun
            {
                self.wrong.push(format!("{text} arrived after {other}, which was offered later"));
            }
            if before.is_none_or(|(begun, _)| begun < message.begun) {
                newest.insert(message.lane, (message.begun, text));
            }
        }
    }

    /// So many percent of the requests were accepted at the first try or at the other replica.
    pub fn success(&self) -> f64 {
        percent(self.after_failover, self.offered)
    }

    /// So many percent of the requests were accepted at the first try.
    pub fn success_at_once(&self) -> f64 {
        percent(self.at_once, self.offered)
    }

    /// The latency that so many thousandths of the messages did not exceed, in milliseconds.
    pub fn latency(&self, thousandths: usize) -> i64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * thousandths / 1000).copied().unwrap_or_default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer messages than a float can count")]
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 100.0 } else { 100.0 * part as f64 / whole as f64 }
}
