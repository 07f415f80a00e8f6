//! A caller as a gateway in front of two replicas makes it: what one of them does not answer goes to the other one, once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

/// How long a replica that failed is spared while another one is there.
const SPARED: Duration = Duration::from_secs(1);
/// How long somebody waits who was refused twice, before he tries again with the same key.
const AGAIN: Duration = Duration::from_millis(250);

/// The replicas, and what they have done.
pub struct Gateway {
    http: reqwest::Client,
    token: String,
    replicas: Vec<Replica>,
    turn: AtomicUsize,
    failures: Mutex<BTreeMap<String, usize>>,
}

struct Replica {
    url: String,
    spared_until: Mutex<Option<Instant>>,
}

/// What became of a request that was accepted in the end.
#[derive(Debug, Clone, Copy)]
pub struct Accepted {
    /// The message.
    pub id: Uuid,
    /// How often it was tried.
    pub tries: usize,
}

impl Gateway {
    /// A gateway in front of these addresses that waits so long for an answer.
    pub fn new(urls: Vec<String>, token: String, patience: Duration) -> Arc<Self> {
        let http = reqwest::Client::builder().timeout(patience).build().unwrap();
        let replicas = urls.into_iter().map(|url| Replica { url, spared_until: Mutex::default() }).collect();
        Arc::new(Self { http, token, replicas, turn: AtomicUsize::new(0), failures: Mutex::default() })
    }

    /// Sends a message until it is accepted, or until the time is over: then the last failure is returned.
    pub async fn send(&self, path: &str, key: &str, body: &Value, until: Instant) -> Result<Accepted, String> {
        let mut last = None;
        for tries in 1.. {
            let replica = self.pick(last);
            match self.once(replica, path, key, body).await {
                Ok(id) => return Ok(Accepted { id, tries }),
                Err(failure) => {
                    *self.failures.lock().unwrap().entry(failure.clone()).or_default() += 1;
                    *self.replicas[replica].spared_until.lock().unwrap() = Some(Instant::now() + SPARED);
                    if Instant::now() > until {
                        return Err(failure);
                    }
                }
            }
            last = Some(replica);
            if tries >= 2 {
                tokio::time::sleep(AGAIN).await;
            }
        }
        unreachable!("it is tried until it returns")
    }

    /// What single tries failed of since the last call, and how often.
    pub fn failures(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut self.failures.lock().unwrap())
    }

    /// The next replica in turn; not the one that has just failed, and none that is spared, if there is another one.
    fn pick(&self, failed: Option<usize>) -> usize {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let is_spared =
            |index: usize| self.replicas[index].spared_until.lock().unwrap().is_some_and(|until| until > now);
        let in_turn = |offset: usize| (turn + offset) % self.replicas.len();
        let candidates = || (0..self.replicas.len()).map(in_turn).filter(|index| Some(*index) != failed);
        candidates().find(|index| !is_spared(*index)).or_else(|| candidates().next()).unwrap()
    }

    async fn once(&self, replica: usize, path: &str, key: &str, body: &Value) -> Result<Uuid, String> {
        let url = format!("{}{path}", self.replicas[replica].url);
        let request = self.http.post(url).bearer_auth(&self.token).header("Idempotency-Key", key).json(body);
        let failure = |error: reqwest::Error| {
            let kind = if error.is_timeout() {
                "no answer in time"
            } else if error.is_connect() {
                "refused"
            } else {
                "answer lost"
            };
            kind.to_owned()
        };
        let response = request.send().await.map_err(failure)?;
        let status = response.status().as_u16();
        let body: Value = response.json().await.map_err(failure)?;
        if status == 202 {
            return Ok(body["id"].as_str().unwrap().parse().unwrap());
        }
        Err(format!("{status} {}", body["code"].as_str().unwrap_or_default()))
    }
}
