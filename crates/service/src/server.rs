//! Puts the service together: the API and the worker of one process, over one database.
//!
//! - `worker`, `api`: the two roles;
//! - `gauges`: the metrics that count rows.

mod api;
mod gauges;
mod worker;

use std::{net::SocketAddr, sync::Arc};

use sqlx::PgPool;
use telegram::bot_api::BotApi;
use tokio::sync::mpsc;

use crate::{
    auth::{
        TokenOptions,
        rate::{GlobalLimiter, Rate},
    },
    egress::Egress,
    files::Files,
    health::Readiness,
    logins::Inputs,
    metrics::Metrics,
    platforms::{telegram_bots::inbox::Inbox, telegram_client::Application},
    questions::Questions,
    queue::{BrokerHints, Carrier, DatabaseHints, Hints, broker::Broker},
    secrets::{Sealer, agreement},
    settings::Settings,
    shutdown::Shutdown,
};

/// The real one.
const TELEGRAM_BOT_API: &str = "https://api.telegram.org";

/// What the commands find before the service starts.
pub struct Ground {
    /// The database, migrated.
    pub pool: PgPool,
    /// The database is the private one: no other process can use it.
    pub embedded: bool,
    /// Seals credentials.
    pub sealer: Sealer,
    /// Which tokens are accepted.
    pub tokens: TokenOptions,
    /// The process's metrics.
    pub metrics: Metrics,
}

/// What this process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// Answers requests.
    pub api: bool,
    /// Owns senders and sends.
    pub worker: bool,
}

/// What both roles work with.
#[derive(Clone)]
struct Common {
    pool: PgPool,
    sealer: Sealer,
    bot_api: BotApi,
    hints: Hints,
    logins: Inputs,
    inbox: Inbox,
    files: Files,
}

/// Starts everything; returns the address of the API as soon as it takes requests. The tasks end with `shutdown`.
///
/// # Errors
/// A text for the operator when a setting cannot work, the address is in use, or the database does not answer.
pub async fn start(
    settings: &Settings,
    roles: Roles,
    ground: Ground,
    shutdown: &Shutdown,
) -> Result<Option<SocketAddr>, Box<dyn std::error::Error>> {
    let Ground { pool, embedded, sealer, tokens, metrics } = ground;
    if embedded {
        // The data folder is locked by this process: a worker that is still written down was killed.
        store::leases::forget_all(&pool).await?;
    }
    agreement::start(&pool, &sealer, embedded, shutdown.soft.clone()).await?;
    let bot_api = BotApi::new(&settings.telegram.bot_api_url, settings.telegram.request_timeout)?;
    warn_of_stand_ins(settings);
    let application = Application::from_settings(&settings.telegram, sealer.clone()).await?;
    let accounts_configured = application.is_some();
    let (local_hints, hints_in) = mpsc::unbounded_channel();
    let carrier = carrier(settings, &pool);
    let hints = Hints::new(roles.worker.then(|| local_hints.clone()), carrier.clone());
    let (local_logins, logins_in) = mpsc::unbounded_channel();
    let logins = Inputs::new(roles.worker.then_some(local_logins), pool.clone(), sealer.clone());
    let inbox = Inbox::new(pool.clone(), hints.clone());
    let files = Files::open(settings, pool.clone(), Egress::new(&settings.egress))?;
    let common = Common { pool: pool.clone(), sealer: sealer.clone(), bot_api, hints, logins, inbox, files };
    let mut started = None;
    if roles.worker {
        let inputs = worker::Arriving { hints: local_hints, hints_in, logins_in };
        started = Some(worker::start(settings, common.clone(), application, inputs, shutdown).await?);
    }
    let (ownership, questions) = match started {
        Some(worker) => (Some(worker.ownership), worker.questions),
        None => (None, Questions::new(pool.clone(), sealer.clone(), None)),
    };
    tokio::spawn(questions.clone().listen(shutdown.soft.clone()));
    gauges::keep(settings, &pool, &metrics, shutdown);
    if !roles.api {
        return Ok(None);
    }
    let global = global_limiter(settings)?;
    let readiness = Arc::new(Readiness::new(embedded, ownership, carrier, global.clone(), sealer));
    let parts = api::Parts { common, accounts_configured, questions, tokens, global, readiness, metrics };
    api::start(settings, parts, shutdown).await.map(Some)
}

/// What carries hints to the workers of other processes.
fn carrier(settings: &Settings, pool: &PgPool) -> Carrier {
    let database = DatabaseHints::spawn(pool.clone());
    match Broker::configured(&settings.broker) {
        None => Carrier::Database(database),
        Some(broker) => Carrier::Broker(BrokerHints::spawn(broker, pool.clone(), database)),
    }
}

/// What counts requests over all processes, if anything does.
fn global_limiter(settings: &Settings) -> Result<Option<Arc<GlobalLimiter>>, String> {
    let limits = &settings.limits;
    let (Some(url), Some(rate)) = (&settings.redis.url, Rate::new(limits.user_rps, limits.user_burst)) else {
        return Ok(None);
    };
    match GlobalLimiter::new(url, &settings.redis.prefix, rate) {
        Ok(limiter) => Ok(Some(Arc::new(limiter))),
        Err(error) => Err(format!("the setting redis.url does not lead to a Redis: {error}")),
    }
}

/// Nobody should take a simulator for Telegram.
fn warn_of_stand_ins(settings: &Settings) {
    let telegram = &settings.telegram;
    if telegram.bot_api_url != TELEGRAM_BOT_API {
        tracing::warn!(bot_api_url = telegram.bot_api_url, "bots use another server than Telegram's");
    }
    if let Some(server) = &telegram.test_server {
        tracing::warn!(address = server.address, "accounts use a test server, not Telegram");
    }
}
