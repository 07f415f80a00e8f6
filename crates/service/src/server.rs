//! Puts the service together: the API and the worker of one process, over one database.
//!
//! - `worker`, `api`: the two roles;
//! - `health`: what a process without an API tells of itself;
//! - `gauges`: the metrics that count rows.

mod api;
mod gauges;
mod health;
mod worker;

use std::{net::SocketAddr, sync::Arc};

use sqlx::PgPool;
use telegram::bot_api::BotApi;
use tokio::sync::mpsc;

use crate::{
    api::health::HealthState,
    auth::TokenOptions,
    circuit::{Circuit, gates},
    egress::Egress,
    files::Files,
    health::Readiness,
    logins::Inputs,
    metrics::Metrics,
    platforms::{telegram_bots::inbox::Inbox, telegram_client::Application},
    questions::Questions,
    queue::{BrokerHints, Carrier, DatabaseHints, Hints, broker::Broker},
    redis_server::RedisServer,
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
    /// Whether the Bot API answers sends.
    bot_api_circuit: Arc<Circuit>,
    hints: Hints,
    logins: Inputs,
    inbox: Inbox,
    files: Files,
}

/// Starts everything; returns the address that takes requests as soon as it does: of the API, or of a worker that tells of its health. The tasks end with `shutdown`.
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
    let bot_api_circuit = Circuit::upstream("telegram_bot_api", gates::SERVER);
    let mut upstreams = vec![("telegram_bot_api", bot_api_circuit.clone())];
    upstreams.extend(files.circuit().map(|circuit| ("s3", circuit)));
    let common =
        Common { pool: pool.clone(), sealer: sealer.clone(), bot_api, bot_api_circuit, hints, logins, inbox, files };
    let mut started = None;
    if roles.worker {
        let inputs = worker::Arriving { hints: local_hints, hints_in, logins_in };
        let common = Common { pool: workers_pool(&pool, roles), ..common.clone() };
        started = Some(worker::start(settings, common, application, inputs, shutdown).await?);
    }
    let (ownership, questions) = match started {
        Some(worker) => (Some(worker.ownership), worker.questions),
        None => (None, Questions::new(pool.clone(), sealer.clone(), None)),
    };
    tokio::spawn(questions.clone().listen(shutdown.soft.clone()));
    gauges::keep(settings, &pool, &metrics, shutdown);
    let redis = RedisServer::configured(&settings.redis)?;
    let readiness = Arc::new(Readiness::new(embedded, ownership, carrier, redis.clone(), sealer, upstreams));
    if !roles.api {
        let Some(address) = settings.worker.bind else { return Ok(None) };
        return health::start(address, HealthState { pool, readiness, metrics }, shutdown).await.map(Some);
    }
    let parts = api::Parts { common, accounts_configured, questions, tokens, redis, readiness, metrics };
    api::start(settings, parts, shutdown).await.map(Some)
}

/// Connections that a worker listens on all the time: for hints, questions, and what people enter at their logins.
const LISTENERS: u32 = 3;

/// The worker's connections: its own, where the process also answers requests, so that neither takes all of them from the other.
fn workers_pool(pool: &PgPool, roles: Roles) -> PgPool {
    if !roles.api {
        return pool.clone();
    }
    store::db::apart(pool, (pool.options().get_max_connections() / 2).max(2) + LISTENERS)
}

/// What carries hints to the workers of other processes.
fn carrier(settings: &Settings, pool: &PgPool) -> Carrier {
    let database = DatabaseHints::spawn(pool.clone());
    match Broker::configured(&settings.broker) {
        None => Carrier::Database(database),
        Some(broker) => Carrier::Broker(BrokerHints::spawn(broker, pool.clone(), database)),
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
