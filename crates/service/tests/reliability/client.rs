//! A caller as a gateway in front of two replicas makes it: what one of them does not answer goes to the other one, once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

/// How long a replica that failed is spared while another one is there.
const SPARED: Duration = Duration::from_secs(1);
/// How long somebody who was refused twice waits before he tries again with the same key, unless the answer says how long: twice as long
/// each time, up to the most, and never exactly as long as others.
const AGAIN: Duration = Duration::from_millis(250);
const AGAIN_AT_MOST: Duration = Duration::from_secs(4);

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

/// Why a try failed, and when another one is welcome.
struct Failure {
    what: String,
    retry_after: Duration,
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let what = if error.is_timeout() {
            "no answer in time"
        } else if error.is_connect() {
            "refused"
        } else {
            "answer lost"
        };
        Self { what: what.to_owned(), retry_after: Duration::ZERO }
    }
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
        let (mut last, mut wait) = (None, AGAIN);
        for tries in 1.. {
            let replica = self.pick(last);
            match self.once(replica, path, key, body).await {
                Ok(id) => return Ok(Accepted { id, tries }),
                Err(Failure { what, retry_after }) => {
                    *self.failures.lock().unwrap().entry(what.clone()).or_default() += 1;
                    *self.replicas[replica].spared_until.lock().unwrap() = Some(Instant::now() + SPARED);
                    if Instant::now() > until {
                        return Err(what);
                    }
                    if tries >= 2 {
                        let about = rand::random_range(0.5..1.5);
                        tokio::time::sleep(wait.max(retry_after).mul_f64(about)).await;
                        wait = (wait * 2).min(AGAIN_AT_MOST);
                    }
                }
            }
            last = Some(replica);
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

    async fn once(&self, replica: usize, path: &str, key: &str, body: &Value) -> Result<Uuid, Failure> {
        let url = format!("{}{path}", self.replicas[replica].url);
        let request = self.http.post(url).bearer_auth(&self.token).header("Idempotency-Key", key).json(body);
        let response = request.send().await?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let body: Value = response.json().await?;
        if status == 202 {
            return Ok(body["id"].as_str().unwrap().parse().unwrap());
        }
        let what = format!("{status} {}", body["code"].as_str().unwrap_or_default());
        Err(Failure { what, retry_after: Duration::from_secs(retry_after.unwrap_or_default()) })
    }
}
