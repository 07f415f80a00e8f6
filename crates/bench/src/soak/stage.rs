//! What everybody in the soak shares: the service's present address, the people, the bots, and what was noted.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use telegram_sim::Sim;
use telegram_sim::bot_api::token_bot_id;
use telegram_sim::mtproto::NewAccount;
use telegram_sim::world::{Event, NewUser, UserId};
use tokio::sync::broadcast::error::RecvError;

use crate::Result;
use crate::client::{Connection, Endpoint};
use crate::logins::PASSWORD;

/// People with accounts.
pub const PEOPLE: usize = 50;
/// Bots.
pub const BOTS: usize = 10;
/// People who write to accounts, and to whom accounts write.
const FRIENDS: usize = 6;
/// Logins that are left to expire: at the beginning, so that they do within a long run.
const ABANDONED: u32 = 10;
/// People of each bot; the last of them never started it.
const USERS_OF_A_BOT: usize = 5;
/// Longer than the service takes for any request.
const ANSWER: Duration = Duration::from_secs(45);
/// How long to wait before a service is called again that was away.
pub const AWAY: Duration = Duration::from_millis(200);

/// Somebody with an account at Telegram.
pub struct Person {
    /// Its id there.
    pub user: UserId,
    /// The account in the service, while it is connected. Locked by who logs the person in or out.
    pub account: tokio::sync::Mutex<Option<String>>,
    /// The same for those who only send.
    pub known: Mutex<Option<String>>,
}

/// A connected bot.
pub struct Bot {
    /// Its id at Telegram.
    pub user: UserId,
    /// Its id in the service.
    pub id: String,
    /// Whom it writes to; the last one refuses.
    pub chats: Vec<UserId>,
}

/// What callers and Telegram noted since the last reckoning.
#[derive(Default)]
pub struct Notes {
    /// Ids of accepted messages by their text.
    pub accepted: HashMap<String, String>,
    /// How often each text arrived.
    pub arrived: HashMap<String, u32>,
    /// What must not have happened.
    pub wrong: Vec<String>,
    /// How often each thing was done, since the start.
    pub done: BTreeMap<&'static str, u64>,
}

/// Shared by all.
pub struct Stage {
    /// Telegram.
    pub sim: Arc<Sim>,
    /// Everybody with an account.
    pub people: Vec<Person>,
    /// All bots.
    pub bots: Vec<Bot>,
    /// Whom accounts write to.
    pub friends: Vec<UserId>,
    /// The turmoil of this cycle is over: everybody ends what they are at.
    pub over: AtomicBool,
    /// So many logins may still be left to expire.
    pub may_abandon: AtomicU32,
    /// Sessions that were used from two places, as far as that was told already.
    pub duplicated: AtomicU64,
    endpoint: RwLock<Endpoint>,
    notes: Mutex<Notes>,
    next: AtomicU64,
}

impl Stage {
    /// Makes everybody at Telegram, and connects the bots.
    pub async fn new(sim: Arc<Sim>, endpoint: Endpoint) -> Result<Self> {
        let friends = {
            let mut world = sim.world().lock();
            (0..FRIENDS).map(|_| world.add_user(NewUser::default())).collect()
        };
        let mut people = Vec::new();
        for number in 0..PEOPLE {
            // One in five has two-step verification.
            let password = (number % 5 == 0).then(|| PASSWORD.to_owned());
            let person = NewAccount { phone: format!("1997{number:07}"), password, ..NewAccount::default() };
            let user = sim.accounts().create_account(person)?;
            people.push(Person { user, account: tokio::sync::Mutex::default(), known: Mutex::default() });
        }
        let mut stage = Self {
            sim,
            people,
            bots: Vec::new(),
            friends,
            over: AtomicBool::new(false),
            may_abandon: AtomicU32::new(ABANDONED),
            duplicated: AtomicU64::new(0),
            endpoint: RwLock::new(endpoint),
            notes: Mutex::default(),
            next: AtomicU64::new(1),
        };
        let mut caller = Caller::default();
        for _ in 0..BOTS {
            let token = stage.sim.add_bot();
            let mut chats: Vec<_> = (1..USERS_OF_A_BOT).map(|_| stage.sim.add_user_of(&token)).collect();
            chats.push(stage.sim.world().lock().add_user(NewUser::default()));
            let user = token_bot_id(&token).ok_or("a bot without an id")?;
            let body = json!({ "token": token, "updates": "polling" });
            let answer =
                caller.call(&stage, Method::POST, "/api/integrations/telegram/bots", Some(&body), None).await?;
            let id = answer.1["id"].as_str().ok_or_else(|| format!("a bot was refused: {}", answer.1))?.to_owned();
            stage.bots.push(Bot { user, id, chats });
        }
        Ok(stage)
    }

    /// Where the service is now.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The service is somewhere else from now on.
    pub fn moved(&self, endpoint: Endpoint) {
        *self.endpoint.write().unwrap_or_else(PoisonError::into_inner) = endpoint;
    }

    /// What was noted so far.
    pub fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was done.
    pub fn count(&self, what: &'static str) {
        *self.notes().done.entry(what).or_default() += 1;
    }

    /// Something happened that must not.
    pub fn wrong(&self, what: String) {
        eprintln!("wrong: {what}");
        self.notes().wrong.push(what);
    }

    /// A text that no other message has.
    pub fn text(&self) -> String {
        format!("soak {} of the usual length, to be delivered once", self.next.fetch_add(1, Relaxed))
    }

    /// Whether the turmoil is over.
    pub fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// Notes every message of the soak that arrives at Telegram.
    pub async fn listen(self: Arc<Self>) {
        let mut events = self.sim.world().subscribe();
        loop {
            match events.recv().await {
                Ok(Event::Message(message)) if message.body.text.starts_with("soak ") => {
                    *self.notes().arrived.entry(message.body.text.clone()).or_default() += 1;
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => self.wrong(format!("the load generator missed {missed} arrivals")),
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// Somebody who calls the API over a connection that is kept.
#[derive(Default)]
pub struct Caller {
    connection: Option<(Endpoint, Connection)>,
}

impl Caller {
    /// One request: its status and its answer. An error is a service that is away.
    pub async fn call(
        &mut self,
        stage: &Stage,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<(u16, Value)> {
        let endpoint = stage.endpoint();
        if self.connection.as_ref().is_none_or(|(old, _)| old.address != endpoint.address) {
            self.connection = Some((endpoint.clone(), Connection::new(endpoint.address)));
        }
        let Some((_, connection)) = &mut self.connection else { return Err("no connection".into()) };
        let mut request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header(HOST, endpoint.address.to_string())
            .header(AUTHORIZATION, endpoint.authorization);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(body.map_or_else(Bytes::new, |body| body.to_string().into())))?;
        let answered = tokio::time::timeout(ANSWER, connection.send(request)).await;
        let answered = answered.map_err(|_| format!("{method} {path} was not answered in {ANSWER:?}"));
        if !matches!(answered, Ok(Ok(_))) {
            self.connection = None;
        }
        let (status, answer) = answered??;
        let answer = if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer)? };
        if status == 500 {
            stage.wrong(format!("{method} {path} was answered with 500: {answer}"));
        }
        Ok((status, answer))
    }

    /// The same until it is answered with something else than "try again", which a key makes safe.
    pub async fn insist(
        &mut self,
        stage: &Stage,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<(u16, Value)> {
        let mut last = String::new();
        for _ in 0..600 {
            match self.call(stage, method.clone(), path, body, key).await {
                // A process that was killed leaves the key of its request claimed for a minute.
                Ok((status, answer))
                    if status == 429 || status >= 500 || answer["code"] == "idempotency_in_progress" =>
                {
                    last = format!("{status} {answer}");
                }
                Ok(answer) => return Ok(answer),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(AWAY).await;
        }
        Err(format!("{method} {path} got no answer in 600 tries: {last}").into())
    }
}
