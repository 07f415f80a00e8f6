//! The callers: forty of them, one for each bot, and what they know of their messages.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use telegram_sim::Sim;
use uuid::Uuid;

use crate::support::{Api, LOOK_EVERY, Telegram, arrived};

/// Bots, and callers.
pub const BOTS: usize = 40;
/// Chats of each bot.
pub const CHATS: usize = 5;
/// Messages of each caller.
const EACH: usize = 25;
/// Messages in all.
pub const MESSAGES: usize = BOTS * EACH;

/// All callers.
pub struct Traffic {
    round: String,
    callers: Vec<Caller>,
}

/// One caller sends its messages one after the other, to its chats in turn.
struct Caller {
    name: String,
    bot: Uuid,
    chats: Vec<i64>,
    /// Offers a message again for which no answer came; else it goes on with the next one.
    persistent: bool,
    next: usize,
    accepted: BTreeMap<String, Uuid>,
    /// No answer came.
    unanswered: BTreeSet<String>,
}

/// What became of the messages.
#[derive(Debug, Default)]
pub struct Tally {
    /// Accepted and sent: each arrived once.
    pub sent: usize,
    /// Nobody could tell, and of these…
    pub unknown: usize,
    /// …so many arrived, once.
    pub unknown_arrived: usize,
    /// Never answered and never stored.
    pub absent: usize,
}

impl Traffic {
    /// Messages whose texts begin with `round`.
    pub fn new(round: &str, bots: &[(Uuid, Telegram)]) -> Self {
        let caller = |(number, (bot, telegram)): (usize, &(Uuid, Telegram))| Caller {
            name: format!("{round}{number}"),
            bot: *bot,
            chats: telegram.chats.clone(),
            persistent: number % 2 == 0,
            next: 0,
            accepted: BTreeMap::new(),
            unanswered: BTreeSet::new(),
        };
        Self { round: round.to_owned(), callers: bots.iter().enumerate().map(caller).collect() }
    }

    /// All callers offer their messages until they have no more, or the service is gone. Counts what was accepted.
    pub async fn offer(self, api: Api, accepted: Arc<AtomicUsize>) -> Self {
        let callers = self.callers.into_iter().map(|caller| tokio::spawn(caller.offer(api.clone(), accepted.clone())));
        let callers: Vec<_> = callers.collect();
        let mut back = Vec::new();
        for caller in callers {
            back.push(caller.await.unwrap());
        }
        Self { callers: back, ..self }
    }

    /// Compares what the callers know with what the service says and what arrived.
    pub async fn check(&self, api: &Api, sim: &Sim) -> Tally {
        let mut rows = self.rows(api).await;
        let mut arrivals: HashMap<String, usize> = HashMap::new();
        let texts = arrived(sim, &self.round);
        for text in &texts {
            *arrivals.entry(text.clone()).or_default() += 1;
        }
        let mut tally = Tally::default();
        for caller in &self.callers {
            for (text, id) in &caller.accepted {
                let row = rows.remove(text).unwrap_or_else(|| panic!("{text} was accepted and is lost"));
                assert_eq!(row["id"], id.to_string(), "{text} was accepted twice");
                tally.count(&row, text, arrivals.remove(text).unwrap_or_default());
            }
            for text in &caller.unanswered {
                let count = arrivals.remove(text).unwrap_or_default();
                if let Some(row) = rows.remove(text) {
                    tally.count(&row, text, count);
                } else {
                    assert_eq!(count, 0, "{text} arrived and is not stored");
                    tally.absent += 1;
                }
            }
        }
        assert!(rows.is_empty() && arrivals.is_empty(), "nobody sent {rows:?} {arrivals:?}");
        assert_eq!(tally.sent + tally.unknown + tally.absent, MESSAGES);
        in_order(&texts);
        tally
    }

    /// The service's messages of this round by their text.
    async fn rows(&self, api: &Api) -> HashMap<String, Value> {
        let mut rows = HashMap::new();
        let mut cursor = None;
        loop {
            let (items, next) = api.messages("sent,failed,unknown,cancelled", cursor.as_deref()).await;
            for item in items {
                let text = item["content"]["text"].as_str().unwrap().to_owned();
                // Newest first: what follows is of an earlier round.
                if !text.starts_with(&self.round) {
                    return rows;
                }
                let double = rows.insert(text, item);
                assert!(double.is_none(), "stored twice: {double:?}");
            }
            cursor = next;
            if cursor.is_none() {
                return rows;
            }
        }
    }
}

impl Caller {
    async fn offer(mut self, api: Api, accepted: Arc<AtomicUsize>) -> Self {
        while self.next < EACH {
            let (text, chat) = self.message();
            if self.unanswered.contains(&text) && !self.persistent {
                self.next += 1;
                continue;
            }
            match api.offer(self.bot, chat, &text).await {
                Ok((202, body)) => {
                    self.unanswered.remove(&text);
                    self.accepted.insert(text, body["id"].as_str().unwrap().parse().unwrap());
                    self.next += 1;
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
                // The database is away: the answer says to try again, which the key makes safe.
                Ok((503, _)) => tokio::time::sleep(LOOK_EVERY).await,
                Ok((status, body)) => panic!("{text}: {status} {body}"),
                Err(_) => {
                    self.unanswered.insert(text);
                    return self;
                }
            }
        }
        self
    }

    fn message(&self) -> (String, i64) {
        let chat = self.next % CHATS;
        (format!("{}/{chat}/{}", self.name, self.next / CHATS), self.chats[chat])
    }
}

impl Tally {
    fn count(&mut self, row: &Value, text: &str, arrivals: usize) {
        match row["status"].as_str().unwrap() {
            "sent" => {
                assert_eq!(arrivals, 1, "{text} is sent");
                self.sent += 1;
            }
            "unknown" => {
                assert!(arrivals <= 1, "{text} arrived {arrivals} times");
                self.unknown += 1;
                self.unknown_arrived += arrivals;
            }
            status => panic!("{text} is {status}: {row}"),
        }
    }
}

/// The texts of each chat end with growing numbers.
fn in_order(texts: &[String]) {
    let mut last: HashMap<&str, usize> = HashMap::new();
    for text in texts {
        let (chat, number) = text.rsplit_once('/').unwrap();
        let number = number.parse().unwrap();
        let before = last.insert(chat, number);
        assert!(before.is_none_or(|before| before < number), "{text} came after {before:?}");
    }
}
