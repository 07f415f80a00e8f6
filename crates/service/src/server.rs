//! Puts the service together: the API and the worker of one process, over one database.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use sqlx::PgPool;
use telegram::bot_api::BotApi;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{self, ApiState},
    app::{App, Parts},
    auth::{Gate, ROUTES, TokenOptions, UserLimiter, Verifier},
    events::EventHub,
    health::Readiness,
    http::{BodyLimits, HttpOptions, ServerOptions, layers, serve},
    logins::{self, Inputs},
    metrics::Metrics,
    platforms::{
        Platforms,
        telegram_accounts::{TelegramAccounts, waits},
        telegram_client::Application,
    },
    questions::Questions,
    queue::{DatabaseHints, Hints},
    secrets::Sealer,
    settings::Settings,
    shutdown::Shutdown,
    worker::{self, Context, Limits},
};

/// The real one.
const TELEGRAM_BOT_API: &str = "https://api.telegram.org";
/// How often the gauges are counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// How often partitions are made and expired keys are removed.
const MAINTAIN_EVERY: Duration = Duration::from_mins(10);

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
    let bot_api = BotApi::new(&settings.telegram.bot_api_url, settings.telegram.request_timeout)?;
    warn_of_stand_ins(settings);
    let application = Application::from_settings(&settings.telegram, sealer.clone()).await?;
    let accounts_configured = application.is_some();
    let carrier = DatabaseHints::spawn(pool.clone());
    let (local_hints, hints_in) = mpsc::unbounded_channel();
    let hints = Hints::new(roles.worker.then(|| local_hints.clone()), carrier);
    let (local_logins, logins_in) = mpsc::unbounded_channel();
    let logins = Inputs::new(roles.worker.then_some(local_logins), pool.clone(), sealer.clone());
    let (mut ownership, mut local) = (None, None);
    if roles.worker {
        let live = Arc::new(TelegramAccounts::new(
            pool.clone(),
            sealer.clone(),
            application,
            account_limits(settings),
            settings.telegram.account_probe,
            settings.telegram.peer_flood,
            hints.clone(),
        ));
        let platforms = Platforms::new(pool.clone(), sealer.clone(), bot_api.clone(), limits(settings), live.clone());
        let give_up = settings.telegram.give_up_after;
        let context = Context::new(pool.clone(), platforms, hints.clone(), give_up, shutdown.soft.clone());
        context.ownership.renew(&pool).await?;
        ownership = Some(context.ownership.clone());
        if accounts_configured {
            let drivers = Arc::new(logins::Context {
                pool: pool.clone(),
                sealer: sealer.clone(),
                accounts: live.clone(),
                worker_id: context.ownership.worker_id,
                hints: hints.clone(),
                stop: shutdown.soft.clone(),
                writing: Semaphore::new(logins::WRITERS),
            });
            shutdown.tasks.spawn(logins::manager::run(drivers.clone(), logins.clone(), logins_in));
            shutdown.tasks.spawn(logins::leaving::run(drivers.clone()));
            shutdown.tasks.spawn(logins::former::run(drivers));
            tokio::spawn(logins.clone().listen(shutdown.soft.clone()));
            tokio::spawn(waits::run(pool.clone(), shutdown.soft.clone()));
        }
        local = Some((context.ownership.worker_id, live));
        shutdown.tasks.spawn(worker::run(context, hints_in));
        tokio::spawn(DatabaseHints::listen(pool.clone(), local_hints, shutdown.soft.clone()));
    }
    let questions = Questions::new(pool.clone(), sealer.clone(), local);
    tokio::spawn(questions.clone().listen(shutdown.soft.clone()));
    tokio::spawn(keep_house(pool.clone(), shutdown.soft.clone()));
    tokio::spawn(count(pool.clone(), shutdown.soft.clone()));
    tokio::spawn(metrics.clone().keep_up(shutdown.soft.clone()));
    if !roles.api {
        return Ok(None);
    }
    let events = EventHub::new(shutdown.soft.clone());
    tokio::spawn({
        let (events, pool) = (events.clone(), pool.clone());
        async move { events.follow(pool).await }
    });
    let readiness = Arc::new(Readiness::new(embedded, ownership));
    let parts = Parts { pool, hints, sealer, bot_api, events, logins, accounts_configured, questions };
    let app = Arc::new(App::new(parts));
    let gate = Gate {
        routes: ROUTES,
        verifier: Verifier::new(&tokens)?,
        limiter: UserLimiter::new(settings.limits.user_rps, settings.limits.user_burst),
    };
    let endpoints = api::router(ApiState { app, readiness: readiness.clone(), metrics });
    let router = layers(endpoints, &http_options(settings)?, Arc::new(gate))?;
    let listener = TcpListener::bind(settings.http.bind).await.map_err(|error| in_use(settings.http.bind, &error))?;
    let address = listener.local_addr()?;
    let options = ServerOptions {
        header_bytes: settings.http.header_limit,
        grace: settings.http.shutdown,
        ..ServerOptions::default()
    };
    let soft = shutdown.soft.clone();
    shutdown.tasks.spawn(async move {
        serve(listener, router, options, soft).await;
        readiness.stop();
    });
    Ok(Some(address))
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

fn in_use(address: SocketAddr, error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        return format!(
            "the address {address} is in use by another process: end it, or set INTEGRATIONS_HTTP__BIND to another one"
        );
    }
    format!("cannot listen on {address} (setting http.bind): {error}")
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        sender_per_second: settings.telegram.bot_per_second,
        private_chat_per_second: settings.telegram.private_chat_per_second,
        group_per_minute: settings.telegram.group_per_minute,
    }
}

fn account_limits(settings: &Settings) -> Limits {
    Limits { sender_per_second: settings.telegram.account_per_second, ..limits(settings) }
}

fn http_options(settings: &Settings) -> Result<HttpOptions, String> {
    let http = &settings.http;
    Ok(HttpOptions {
        base_path: http.base_path.clone(),
        cors_origins: http.cors_origins.clone(),
        trusted_proxies: http.trusted_proxies.iter().map(|text| text.parse()).collect::<Result<_, _>>()?,
        body: BodyLimits { bytes: http.body_limit, ..BodyLimits::default() },
        request_time: http.request_timeout,
        concurrency: http.max_concurrent_requests,
    })
}

/// Makes partitions ahead of time and removes expired keys.
async fn keep_house(pool: PgPool, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(MAINTAIN_EVERY)).await.is_some() {
        if let Err(error) = store::db::ensure_partitions(&pool).await {
            tracing::warn!(%error, "partitions could not be made; the default ones take the rows");
        }
        if let Err(error) = store::idempotency::sweep(&pool).await {
            tracing::warn!(%error, "expired idempotency keys could not be removed");
        }
        if let Err(error) = store::questions::sweep(&pool).await {
            tracing::warn!(%error, "questions that nobody waits for could not be removed");
        }
    }
}

/// Keeps the gauges that count rows.
async fn count(pool: PgPool, stop: CancellationToken) {
    loop {
        match store::senders::counts(&pool).await {
            Ok(counts) => crate::metrics::set_senders(&counts),
            Err(error) => tracing::debug!(%error, "senders could not be counted"),
        }
        match store::delivery::depth(&pool).await {
            Ok(depth) => crate::metrics::set_queue_depth(&depth),
            Err(error) => tracing::debug!(%error, "the queue could not be counted"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(COUNT_EVERY)).await.is_none() {
            return;
        }
    }
}
