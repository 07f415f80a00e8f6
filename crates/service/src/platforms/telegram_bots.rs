//! Telegram bots as senders, and what they are told: each by the worker that owns it.
//!
//! - [`live`]: one bot of this process, and what is known of its token;
//! - [`polling`], [`webhook`]: the two ways of its updates;
//! - [`inbox`]: takes updates, whichever way they came;
//! - [`secret`]: secrets of webhooks;
//! - [`probes`]: signs of life.

pub mod inbox;
mod live;
mod polling;
pub mod probes;
pub mod secret;
pub mod webhook;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use platform::{
    BoxFuture, ChangeSent, ChatInfo, ChatRef as AnyChat, Delivery, Hold, Outcome, Refusal, Sender, Verdict,
};
use secrecy::SecretString;
use sqlx::PgPool;
use store::leases::Lease;
use telegram::{
    bot_api::{BotApi, CallError, ChatRef},
    bots::{UpdatesMode, inbound, table},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::library::SenderLibrary;
use crate::{
    circuit::{Circuit, gates::Gates},
    files::Files,
    queue::Hints,
    secrets::{Envelope, Sealer},
    settings::{BotUpdates, Settings, UpdatesWay},
    tasks::local::{DeadLetters, Spread},
    usecases::bots::token_purpose,
    worker::{Limits, OpenError, Opened, Ownership},
};
use inbox::Inbox;
use live::LiveBot;
use probes::Probe;

/// How many bots are asked for a sign of life at the same time.
const PROBES_AT_ONCE: usize = 64;

/// What all bots of this process share.
pub struct Shared {
    /// The database.
    pub pool: PgPool,
    /// Telegram.
    pub bot_api: BotApi,
    /// Whether it answers sends.
    pub circuit: Arc<Circuit>,
    /// Tells the router that a bot's state changed.
    pub hints: Hints,
    /// Takes updates.
    pub inbox: Inbox,
    /// How updates are taken.
    pub updates: BotUpdates,
    /// Where Telegram reaches the service.
    pub public_url: Option<String>,
    /// How often a bot has to show that it lives.
    pub probe_every: Duration,
    /// Whether this worker may speak for bots.
    pub ownership: Arc<Ownership>,
    /// What they send.
    pub files: Files,
}

impl Shared {
    /// By the settings.
    pub fn new(
        settings: &Settings,
        pool: PgPool,
        bot_api: (BotApi, Arc<Circuit>),
        hints: Hints,
        inbox: Inbox,
        ownership: Arc<Ownership>,
        files: Files,
    ) -> Self {
        let Settings { telegram, http, .. } = settings;
        let (updates, public_url) = (telegram.updates.clone(), http.public_url.clone());
        let probe_every = telegram.bot_probe;
        let (bot_api, circuit) = bot_api;
        Self { pool, bot_api, circuit, hints, inbox, updates, public_url, probe_every, ownership, files }
    }
}

/// Opens bots.
pub struct TelegramBots {
    shared: Arc<Shared>,
    sealer: Sealer,
    limits: Limits,
    live: LiveBots,
    probes: Arc<Spread<Probe>>,
    stop: CancellationToken,
}

/// The bots that this process looks after.
#[derive(Clone, Default)]
pub struct LiveBots(Arc<Mutex<HashMap<Uuid, Running>>>);

impl LiveBots {
    fn get(&self, id: Uuid) -> Option<Arc<LiveBot>> {
        self.lock().get(&id).map(|running| running.bot.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Running>> {
        // A panic elsewhere leaves a map of whole values behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bot with the task that looks after its updates.
struct Running {
    bot: Arc<LiveBot>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl TelegramBots {
    /// With the limits of every bot; the task that probes them ends with `stop`.
    pub fn start(
        shared: Shared,
        sealer: Sealer,
        limits: Limits,
        letters: DeadLetters,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let live = LiveBots::default();
        // Twice in each period: see `LiveBot::probe_if_due`.
        let probes = Spread::new(Probe { live: live.clone() }, shared.probe_every / 2, PROBES_AT_ONCE, letters);
        tokio::spawn(probes.clone().run(stop.clone()));
        Arc::new(Self { shared: Arc::new(shared), sealer, limits, live, probes, stop })
    }

    /// The probes of all bots.
    pub fn probes(&self) -> Arc<Spread<Probe>> {
        self.probes.clone()
    }

    /// Reads and unseals the token of a bot, and begins to take its updates.
    pub async fn open(&self, lease: &Lease) -> Result<Opened, OpenError> {
        let id = lease.sender_id;
        let later = |error: &dyn std::fmt::Display| OpenError::Later(error.to_string());
        let row = table::credentials(&self.shared.pool, id).await.map_err(|e| later(&e))?.ok_or(OpenError::Gone)?;
        if !row.is_active {
            return Err(OpenError::Inactive);
        }
        let envelope = Envelope::parse(&row.bot_token)?;
        let token = self.sealer.open(&token_purpose(id), &envelope).await?;
        let token =
            std::str::from_utf8(&token).map_err(|_| OpenError::Broken("the sealed token is not text".into()))?;
        let standing = inbound::standing(&self.shared.pool, id).await.map_err(|e| later(&e))?.ok_or(OpenError::Gone)?;
        let token = SecretString::from(token.to_owned());
        let bot = Arc::new(LiveBot::new(id, row.version.clone(), token, self.shared.clone(), &standing));
        self.close(id).await;
        // What is taken in a term is taken by its owner.
        let stop = self.shared.ownership.term().child_token();
        let task = tokio::spawn(stop.clone().run_until_cancelled_owned(take_updates(bot.clone(), standing)));
        let task = tokio::spawn(async move {
            if let Err(error) = task.await {
                tracing::error!(%error, bot_id = %id, "taking the updates of a bot broke");
            }
        });
        self.live.lock().insert(id, Running { bot: bot.clone(), stop, task });
        self.probes.add(id);
        let sender = self.sender_of(bot);
        let gates = Gates::new(Some(self.shared.circuit.clone()));
        Ok(Opened { sender, limits: self.limits, version: row.version, gates, is_connected: true })
    }

    fn sender_of(&self, bot: Arc<LiveBot>) -> Arc<dyn Sender> {
        let ends = [self.stop.clone(), self.shared.ownership.term()];
        let library = SenderLibrary::new(self.shared.files.clone(), bot.id, ends);
        Arc::new(BotSender { bot, library })
    }

    /// Ends what looks after a bot. A question that is open at Telegram is given up: its answer was not confirmed, so it comes again.
    pub async fn close(&self, id: Uuid) {
        self.probes.remove(id);
        let running = self.live.lock().remove(&id);
        if let Some(Running { stop, task, .. }) = running {
            stop.cancel();
            let _ = task.await;
        }
    }

    /// The bot as a sender, if this process looks after it.
    pub fn sender(&self, id: Uuid) -> Option<Arc<dyn Sender>> {
        self.live.get(id).map(|bot| self.sender_of(bot))
    }

    /// Bots that nobody owns: also an idle one has to be probed.
    pub async fn to_keep_open(&self) -> Result<Vec<Uuid>, sqlx::Error> {
        table::unowned(&self.shared.pool).await
    }
}

/// Takes the updates of a bot until it is told to stop, on the way that its owner or the settings want.
async fn take_updates(bot: Arc<LiveBot>, standing: inbound::Standing) {
    let way = match standing.mode() {
        UpdatesMode::Default => bot.shared.updates.way,
        UpdatesMode::Off => UpdatesWay::Off,
        UpdatesMode::Polling => UpdatesWay::Polling,
        UpdatesMode::Webhook => UpdatesWay::Webhook,
    };
    match way {
        UpdatesWay::Polling => polling::run(&bot, standing.next_update_id).await,
        UpdatesWay::Webhook => webhook::keep(&bot, standing.has_webhook).await,
        UpdatesWay::Off => webhook::leave(&bot, standing.has_webhook).await,
    }
}

struct BotSender {
    bot: Arc<LiveBot>,
    library: SenderLibrary,
}

impl Sender for BotSender {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<i64, Refusal>> {
        Box::pin(async move {
            let chat = ChatRef::Username(format!("@{name}"));
            let chat = self.bot.shared.bot_api.get_chat(&self.bot.token, &chat).await;
            chat.map(|chat| chat.id).map_err(|error| refusal(&error))
        })
    }

    fn chat<'a>(&'a self, chat: &'a AnyChat) -> BoxFuture<'a, Result<ChatInfo, Refusal>> {
        Box::pin(async move { self.bot.chat(chat).await.map_err(|error| refusal(&error)) })
    }

    fn join<'a>(&'a self, _: &'a AnyChat) -> BoxFuture<'a, Result<(), Refusal>> {
        let description = "A bot is added to a chat by its administrators.".to_owned();
        Box::pin(async move { Err(Refusal { code: "join_needs_account", description, verdict: Verdict::Fail }) })
    }

    fn answers(&self) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let answer = self.bot.shared.bot_api.get_me(&self.bot.token).await;
            !matches!(answer, Err(CallError::Unavailable { .. }))
        })
    }

    fn send<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let api = &self.bot.shared.bot_api;
            let outcome = api.send(&self.bot.token, delivery.chat_id, &delivery.message, &self.library).await;
            if matches!(outcome, Outcome::Sent { .. }) {
                self.bot.lives();
            }
            outcome
        })
    }

    fn change<'a>(&'a self, change: &'a ChangeSent) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let changed = self.bot.shared.bot_api.change(&self.bot.token, change).await;
            changed.map_err(|error| refusal(&error))
        })
    }
}

fn refusal(error: &CallError) -> Refusal {
    let code = error.code();
    let description = error.to_string();
    let verdict = match error {
        // The bot was connected with this token, so it has the right form: the address leads to something else at the moment.
        CallError::Unavailable { .. } | CallError::Refused { status: 404, .. } => Verdict::Retry,
        CallError::Unauthorized { .. } => Verdict::SenderDead,
        CallError::Wait { after } => Verdict::Wait { after: *after, hold: Hold::Chat },
        CallError::Migrated { chat_id } => Verdict::Migrated { chat_id: *chat_id },
        CallError::Refused { code: "chat_not_found", .. } => Verdict::Barred { gone: true },
        CallError::Refused { code: "kicked_from_chat" | "not_enough_rights" | "forbidden", .. } => {
            Verdict::Barred { gone: false }
        }
        CallError::Refused { .. } => Verdict::Fail,
    };
    Refusal { code, description, verdict }
}
