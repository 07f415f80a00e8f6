//! What is sent and what arrives all the time, and what must hold of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use telegram_sim::Sim;
use telegram_sim::world::Filter;
use tokio::task::JoinHandle;

use crate::people::Person;
use crate::scene::{LOOK_EVERY, PATIENCE, Scene, until};
use crate::support::Api;

/// Who send at the same time: each has its own accounts.
const CALLERS: usize = 4;
/// How long a caller rests after each message.
const REST: Duration = Duration::from_millis(60);

/// The texts of each chat of each account, in order, by the beginning that they share.
type Texts = BTreeMap<String, Vec<String>>;

/// The load.
pub struct Load {
    writer: Writer,
    over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Lets accounts send and lets their friends write to them, and notes both.
#[derive(Clone)]
struct Writer {
    api: Api,
    sim: Arc<Sim>,
    number: Arc<AtomicUsize>,
    sent: Arc<Mutex<Texts>>,
    received: Arc<Mutex<Texts>>,
}

impl Load {
    /// Begins to send and to write to the accounts.
    pub fn start(scene: &Scene) -> Self {
        let writer = Writer {
            api: scene.api.clone(),
            sim: scene.sim.clone(),
            number: Arc::default(),
            sent: Arc::default(),
            received: Arc::default(),
        };
        let mut load = Self { writer, over: Arc::default(), tasks: Vec::new() };
        load.go_on(scene);
        load
    }

    /// Goes on after [`Load::check`].
    pub fn go_on(&mut self, scene: &Scene) {
        self.over = Arc::default();
        for caller in 0..CALLERS {
            let people: Vec<Person> = scene.people.iter().skip(caller).step_by(CALLERS).cloned().collect();
            self.tasks.push(tokio::spawn(self.writer.clone().write(people, self.over.clone())));
        }
    }

    /// Sends through each account once more and writes to each, and waits until all of that has arrived: then all accounts live.
    /// Returns how long it took since `begun`.
    pub async fn all_live(&self, scene: &Scene, begun: Instant) -> Duration {
        let (writer, people) = (&self.writer, scene.people.as_ref());
        let marks = join_all(people.chunks(people.len().div_ceil(CALLERS)).map(async |people| {
            let mut marks = Vec::new();
            for person in people {
                // Nobody else writes in this chat: only the way through the account counts.
                marks.push(writer.once(person, person.friends[0]).await);
            }
            marks
        }));
        let marks: Vec<(String, String)> = marks.await.into_iter().flatten().collect();
        let (out, told): (Vec<String>, Vec<String>) = marks.into_iter().unzip();
        until("all accounts live", async || {
            let left = "SELECT (SELECT count(*) FROM messages WHERE status = 'sent' AND content->>'text' = ANY($1))
                             + (SELECT count(*) FROM events WHERE type = 'account.message_new' AND data->>'text' = ANY($2))";
            let there: i64 = sqlx::query_scalar(left).bind(&out).bind(&told).fetch_one(&scene.pool).await.unwrap();
            usize::try_from(there).unwrap() >= out.len() + told.len()
        })
        .await;
        begun.elapsed()
    }

    /// Ends the load, waits until everything has arrived, and checks that nothing was lost, doubled or out of order.
    pub async fn check(&mut self, scene: &Scene) {
        self.over.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            task.await.unwrap();
        }
        let (sent, received) = (self.writer.sent.lock().unwrap().clone(), self.writer.received.lock().unwrap().clone());
        let total = |texts: &Texts| texts.values().map(Vec::len).sum::<usize>();
        let begun = Instant::now();
        while !scene.unsent().await.is_empty() {
            let is_late = begun.elapsed() > PATIENCE;
            assert!(!is_late, "not sent: {:?}; not active: {:?}", scene.unsent().await, scene.inactive().await);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        assert_same(&arrived(&scene.sim), &sent);
        until("everything is told", async || told(scene).await.len() >= total(&received)).await;
        assert_same(&told(scene).await, &received);
        assert_eq!(scene.sim.accounts().counters().auth_key_duplicated, 0, "a session was used from two places");
        println!("  {} sent and {} received so far, each once and in order", total(&sent), total(&received));
    }
}

impl Writer {
    async fn write(self, people: Vec<Person>, over: Arc<AtomicBool>) {
        for turn in 0.. {
            for person in &people {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                self.once(person, person.friends[1 + turn % (person.friends.len() - 1)]).await;
                tokio::time::sleep(REST).await;
            }
        }
    }

    /// One message in each direction; returns the two texts.
    async fn once(&self, person: &Person, friend: i64) -> (String, String) {
        let chat = format!("{}/{friend}", person.account.simple());
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (out, told) = (format!("s/{chat}/{number}"), format!("i/{chat}/{number}"));
        self.sim.accounts().deliver(friend, person.user, &told).unwrap();
        self.received.lock().unwrap().entry(format!("i/{chat}")).or_default().push(told.clone());
        let path = format!("/api/integrations/telegram/accounts/{}/send", person.account);
        let body = json!({ "chat_id": friend, "text": out });
        let (status, answer) = self.api.post(&path, &body, Some(&out)).await.unwrap();
        assert_eq!(status, 202, "{answer}");
        self.sent.lock().unwrap().entry(format!("s/{chat}")).or_default().push(out.clone());
        (out, told)
    }
}

/// What the accounts wrote, in the order of its arrival at Telegram.
fn arrived(sim: &Sim) -> Vec<String> {
    let filter = Filter { contains: Some("s/".to_owned()), deleted: true, ..Filter::default() };
    let world = sim.world().lock();
    let mut random_ids = HashSet::new();
    let texts = world.messages().find(&filter).map(|message| {
        assert!(random_ids.insert(message.body.random_id.unwrap()), "doubled by its random id: {message:?}");
        message.body.text.clone()
    });
    texts.collect()
}

/// What the accounts were told, in the order of the events.
async fn told(scene: &Scene) -> Vec<String> {
    let told = "SELECT data->>'text' FROM events WHERE type = 'account.message_new' AND data->>'text' LIKE 'i/%'
                ORDER BY events.xid, id";
    sqlx::query_scalar(told).fetch_all(&scene.pool).await.unwrap()
}

/// The same texts, each once, in the same order within each chat.
fn assert_same(texts: &[String], expected: &Texts) {
    let mut by_chat = Texts::new();
    for text in texts {
        let (chat, _) = text.rsplit_once('/').unwrap();
        by_chat.entry(chat.to_owned()).or_default().push(text.clone());
    }
    for (chat, expected) in expected {
        assert_eq!(by_chat.remove(chat).as_ref(), Some(expected), "lost, doubled or out of order");
    }
    assert!(by_chat.is_empty(), "nobody sent {by_chat:?}");
}
