//! A steady load: so many messages a second, whether those before were answered or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::json;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::client::Gateway;
use crate::stage::PATIENCE;

/// A chat that is written to, by one way.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Where messages are posted.
    pub path: String,
    /// The chat, unless the path says it.
    pub chat: Option<i64>,
}

/// What a caller knows of a message.
#[derive(Debug, Clone)]
pub struct Offered {
    /// Its text, which is also its key.
    pub text: String,
    /// The chat that it is for.
    pub lane: usize,
    /// When it had to be offered, in Unix milliseconds.
    pub due_ms: i64,
    /// When it was offered first.
    pub begun: Instant,
    /// When it was accepted.
    pub answered: Instant,
    /// As what it was accepted, after how many tries; or why it was not.
    pub result: Result<(Uuid, usize), String>,
}

/// A load that goes on until it is told to end.
pub struct Load {
    over: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    run: JoinHandle<Vec<Offered>>,
}

impl Load {
    /// Begins to write to all chats in turn, with texts that begin with `round`.
    pub fn start(round: &str, lanes: Arc<Vec<Lane>>, gateway: Arc<Gateway>, per_second: u32) -> Self {
        let (over, accepted) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let run = run(round.to_owned(), lanes, gateway, per_second, over.clone(), accepted.clone());
        Self { over, accepted, run: tokio::spawn(run) }
    }

    /// How many messages were accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Ends it and waits for the answers that are due.
    pub async fn end(self) -> Vec<Offered> {
        self.over.store(true, Ordering::Relaxed);
        self.run.await.unwrap()
    }
}

async fn run(
    round: String,
    lanes: Arc<Vec<Lane>>,
    gateway: Arc<Gateway>,
    per_second: u32,
    over: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
) -> Vec<Offered> {
    let begun = tokio::time::Instant::now();
    let every = Duration::from_secs(1) / per_second;
    let mut calls = Vec::new();
    for number in 0.. {
        tokio::time::sleep_until(begun + every * number).await;
        if over.load(Ordering::Relaxed) {
            break;
        }
        let lane = number as usize % lanes.len();
        let text = format!("{round}/{lane}/{number}");
        let overdue = tokio::time::Instant::now().duration_since(begun + every * number);
        let due_ms = Utc::now().timestamp_millis() - i64::try_from(overdue.as_millis()).unwrap();
        let call = call(text, lane, due_ms, lanes.clone(), gateway.clone(), accepted.clone());
        calls.push(tokio::spawn(call));
    }
    let mut all = Vec::with_capacity(calls.len());
    for call in calls {
        all.push(call.await.unwrap());
    }
    all
}

async fn call(
    text: String,
    lane: usize,
    due_ms: i64,
    lanes: Arc<Vec<Lane>>,
    gateway: Arc<Gateway>,
    accepted: Arc<AtomicUsize>,
) -> Offered {
    let Lane { path, chat } = &lanes[lane];
    let body = match chat {
        Some(chat) => json!({ "chat_id": chat, "text": text }),
        None => json!({ "text": text }),
    };
    let begun = Instant::now();
    let result = gateway.send(path, &text, &body, begun + PATIENCE).await;
    if result.is_ok() {
        accepted.fetch_add(1, Ordering::Relaxed);
    }
    let result = result.map(|accepted| (accepted.id, accepted.tries));
    Offered { text, lane, due_ms, begun, answered: Instant::now(), result }
}
