//! Webhooks: one task per bot posts its updates in order and repeats until they are taken.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::render;
use crate::world::{Update, UserId, World};

/// A webhook that does not answer within this time has failed.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The first pause after a failure; it doubles up to the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What a bot asked for with `setWebhook`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where to post to.
    pub url: String,
    /// Sent along as `X-Telegram-Bot-Api-Secret-Token`.
    pub secret: Option<String>,
    /// Reported only: updates are posted one after the other.
    pub max_connections: u32,
}

/// The last delivery that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Unix seconds.
    pub date: i64,
    /// What happened.
    pub message: String,
}

/// The webhooks of all bots.
#[derive(Debug)]
pub struct Webhooks {
    world: World,
    stop: CancellationToken,
    client: Client<HttpConnector, Full<Bytes>>,
    active: Mutex<HashMap<UserId, Active>>,
}

#[derive(Debug)]
struct Active {
    webhook: Webhook,
    failure: Arc<Mutex<Option<Failure>>>,
    /// Ends the task.
    _task: DropGuard,
}

impl Webhooks {
    /// No webhooks yet.
    pub fn new(world: World, stop: CancellationToken) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { world, stop, client, active: Mutex::default() }
    }

    /// The bot's webhook and its last failure.
    pub fn get(&self, bot: UserId) -> Option<(Webhook, Option<Failure>)> {
        let active = self.lock();
        let active = active.get(&bot)?;
        let failure = active.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Some((active.webhook.clone(), failure))
    }

    /// Whether the bot has a webhook.
    pub fn is_set(&self, bot: UserId) -> bool {
        self.lock().contains_key(&bot)
    }

    /// Sets or replaces the bot's webhook; false if it was set to the same before.
    pub fn set(&self, bot: UserId, webhook: Webhook) -> bool {
        let mut active = self.lock();
        if active.get(&bot).is_some_and(|active| active.webhook == webhook) {
            return false;
        }
        let stop = self.stop.child_token();
        let failure = Arc::default();
        let delivery = Delivery {
            world: self.world.clone(),
            client: self.client.clone(),
            bot,
            webhook: webhook.clone(),
            failure: Arc::clone(&failure),
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(delivery.run()));
        active.insert(bot, Active { webhook, failure, _task: stop.drop_guard() });
        true
    }

    /// Removes the bot's webhook; false if there was none.
    pub fn remove(&self, bot: UserId) -> bool {
        self.lock().remove(&bot).is_some()
    }

    /// Removes all.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Delivery {
    world: World,
    client: Client<HttpConnector, Full<Bytes>>,
    bot: UserId,
    webhook: Webhook,
    failure: Arc<Mutex<Option<Failure>>>,
}

impl Delivery {
    async fn run(self) {
        let Some(mut arrived) = self.world.lock().bot(self.bot).map(|bot| bot.updates.subscribe()) else { return };
        let mut pause = FIRST_PAUSE;
        loop {
            arrived.borrow_and_update();
            let Some((update, body)) = self.next() else {
                if arrived.changed().await.is_err() {
                    return;
                }
                continue;
            };
            match self.post(body).await {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    if let Some(bot) = self.world.lock().bot_mut(self.bot) {
                        bot.updates.confirm(i64::from(update.id) + 1);
                    }
                }
                Err(message) => {
                    let failure = Failure { date: chrono::Utc::now().timestamp(), message };
                    *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn next(&self) -> Option<(Update, String)> {
        let mut state = self.world.lock();
        state.bot_mut(self.bot)?.updates.forget_old(chrono::Utc::now().timestamp());
        let update = state.bot(self.bot)?.updates.peek(1).pop()?;
        let body = render::update(&state, self.bot, &update).to_string();
        Some((update, body))
    }

    async fn post(&self, body: String) -> Result<(), String> {
        let mut request = Request::post(&self.webhook.url).header(header::CONTENT_TYPE, "application/json");
        if let Some(secret) = &self.webhook.secret {
            request = request.header("X-Telegram-Bot-Api-Secret-Token", secret);
        }
        let request = request.body(Full::from(body)).map_err(|error| error.to_string())?;
        let answer = tokio::time::timeout(TIMEOUT, self.client.request(request)).await;
        let answer = answer.map_err(|_| "Read timeout expired".to_owned())?;
        let status = answer.map_err(|_| "Connection refused".to_owned())?.status();
        if status.is_success() { Ok(()) } else { Err(format!("Wrong response from the webhook: {status}")) }
    }
}
