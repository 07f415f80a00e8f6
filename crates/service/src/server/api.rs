//! The role that answers requests.

use std::{net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;

use super::Common;
use crate::{
    api::{self, ApiState},
    app::{self, App},
    auth::{
        Gate, ROUTES, TokenOptions, UserLimiter, Verifier,
        rate::{GlobalLimiter, Rate},
    },
    cache::HotReads,
    events::EventHub,
    health::Readiness,
    http::{BodyLimits, HttpOptions, ServerOptions, layers, serve},
    metrics::Metrics,
    platforms::telegram_bots::secret::Secrets,
    questions::Questions,
    redis_server::RedisServer,
    settings::Settings,
    shutdown::Shutdown,
    tasks::channels::Look,
    worker::AllLimits,
};

/// What it needs beside the settings.
pub struct Parts {
    pub common: Common,
    pub accounts_configured: bool,
    pub questions: Arc<Questions>,
    pub tokens: TokenOptions,
    /// What all processes share, if anything.
    pub redis: Option<Arc<RedisServer>>,
    pub readiness: Arc<Readiness>,
    pub metrics: Metrics,
}

/// Starts to answer; returns where.
pub async fn start(
    settings: &Settings,
    parts: Parts,
    shutdown: &Shutdown,
) -> Result<SocketAddr, Box<dyn std::error::Error>> {
    let Parts { common, accounts_configured, questions, tokens, redis, readiness, metrics } = parts;
    let Common { pool, sealer, bot_api, hints, logins, inbox, files, .. } = common;
    let events = EventHub::new(shutdown.soft.clone());
    tokio::spawn({
        let (events, pool) = (events.clone(), pool.clone());
        async move { events.follow(pool).await }
    });
    let channels = Look { questions: questions.clone(), hints: hints.clone(), settings: settings.channels.clone() };
    let reads = HotReads::configured(&settings.cache, redis.clone(), &pool);
    let app = Arc::new(App::new(app::Parts {
        secrets: Secrets::new(pool.clone()),
        pool,
        hints,
        sealer,
        bot_api,
        events,
        logins,
        accounts_configured,
        questions,
        channels,
        limits: AllLimits::new(&settings.telegram),
        inbox,
        files,
        public_url: settings.http.public_url.clone(),
        request_time: settings.http.request_timeout,
    }));
    let gate = Gate {
        routes: ROUTES,
        verifier: Verifier::new(&tokens)?,
        limiter: Rate::new(settings.limits.user_rps, settings.limits.user_burst)
            .map(|rate| UserLimiter::new(rate, redis.map(|redis| Arc::new(GlobalLimiter::new(redis, rate))))),
    };
    let endpoints = api::router(ApiState { app, reads, readiness: readiness.clone(), metrics });
    let router = layers(endpoints, &http_options(settings)?, Arc::new(gate))?;
    let listener = TcpListener::bind(settings.http.bind).await.map_err(|error| in_use(settings.http.bind, &error))?;
    let address = listener.local_addr()?;
    let drain = settings.http.drain.min(settings.http.shutdown / 2);
    let options = ServerOptions {
        header_bytes: settings.http.header_limit,
        drain,
        grace: settings.http.shutdown.saturating_sub(drain),
        ..ServerOptions::default()
    };
    let soft = shutdown.soft.clone();
    tokio::spawn({
        let soft = soft.clone();
        async move {
            soft.cancelled().await;
            readiness.stop();
        }
    });
    shutdown.tasks.spawn(serve(listener, router, options, soft));
    Ok(address)
}

fn in_use(address: SocketAddr, error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        return format!(
            "the address {address} is in use by another process: end it, or set INTEGRATIONS_HTTP__BIND to another one"
        );
    }
    format!("cannot listen on {address} (setting http.bind): {error}")
}

fn http_options(settings: &Settings) -> Result<HttpOptions, String> {
    let http = &settings.http;
    Ok(HttpOptions {
        base_path: http.base_path.clone(),
        cors_origins: http.cors_origins.clone(),
        trusted_proxies: http.trusted_proxies.iter().map(|text| text.parse()).collect::<Result<_, _>>()?,
        body: BodyLimits { bytes: http.body_limit, ..BodyLimits::default() },
        request_time: http.request_timeout,
        // What is left of it is for connecting, for the database, and for telling what took too long.
        file_time: settings.files.transfer + settings.files.stall + http.request_timeout,
        concurrency: http.max_concurrent_requests,
    })
}
