//! Whether the service can work: what `/health/ready` tells.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::{
    circuit::{Circuit, State},
    queue::Carrier,
    redis_server::RedisServer,
    secrets::Sealer,
    worker::Ownership,
};

/// The state of one dependency.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DependencyView {
    /// Its name.
    pub name: &'static str,
    /// `ok` or `unavailable`.
    #[schema(value_type = String, example = "ok")]
    pub status: &'static str,
    /// How it is provided, or what is wrong.
    pub detail: String,
}

impl DependencyView {
    /// It works.
    pub fn is_ok(&self) -> bool {
        self.status == "ok"
    }
}

/// Knows whether the process takes requests, and asks the dependencies.
pub struct Readiness {
    stopping: AtomicBool,
    embedded_database: bool,
    worker: Option<Arc<Ownership>>,
    carrier: Carrier,
    sealer: Sealer,
    redis: Option<Arc<RedisServer>>,
    /// What may be left alone, by name.
    upstreams: Vec<(&'static str, Arc<Circuit>)>,
}

impl Readiness {
    /// Of a process with or without a worker.
    pub fn new(
        embedded_database: bool,
        worker: Option<Arc<Ownership>>,
        carrier: Carrier,
        redis: Option<Arc<RedisServer>>,
        sealer: Sealer,
        upstreams: Vec<(&'static str, Arc<Circuit>)>,
    ) -> Self {
        Self { stopping: AtomicBool::new(false), embedded_database, worker, carrier, redis, sealer, upstreams }
    }

    async fn cache(&self) -> Result<String, String> {
        match &self.redis {
            None => Ok("in the process".into()),
            Some(redis) if redis.answers().await => Ok("Redis".into()),
            Some(_) => Err("it cannot be reached: each process counts for itself".into()),
        }
    }

    /// From now on the process takes no new work.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Asks each dependency; the flag tells whether the process can work.
    pub async fn check(&self, pool: &PgPool) -> (bool, Vec<DependencyView>) {
        let mut views = Vec::new();
        let answer = tokio::time::timeout(Duration::from_secs(2), store::db::server_version(pool)).await;
        let kind = if self.embedded_database { "embedded" } else { "configured" };
        let database = match answer {
            Ok(Ok(version)) => Ok(format!("{kind}, PostgreSQL {}.{}", version / 10_000, version % 10_000)),
            Ok(Err(_)) => Err("it cannot be reached".to_owned()),
            Err(_) => Err("it does not answer within 2 s".to_owned()),
        };
        let mut ready = push(&mut views, "database", database);
        // Without it, hints go through the database: the process still works.
        push(&mut views, "broker", self.carrier.state());
        // Without it, each process counts for itself: it still works.
        push(&mut views, "cache", self.cache().await);
        // Without them, what is in memory goes on: the process still works.
        push(&mut views, "keys", self.sealer.state());
        for (name, circuit) in &self.upstreams {
            // What needs it waits, or is refused by itself.
            push(&mut views, name, upstream(circuit.state()));
        }
        if let Some(worker) = &self.worker {
            let holds =
                if worker.holds() { Ok("renewed") } else { Err("its row could not be renewed: it starts nothing") };
            ready &= push(&mut views, "worker", holds.map(str::to_owned).map_err(str::to_owned));
        }
        if self.stopping.load(Ordering::Acquire) {
            ready = push(&mut views, "process", Err("it is stopping".into()));
        }
        (ready, views)
    }
}

fn upstream(state: State) -> Result<String, String> {
    match state {
        State::Closed => Ok("it answers, as far as it was asked".into()),
        State::HalfOpen => Err("it did not answer; one call at a time finds out whether it does again".into()),
        State::Open => Err("it did not answer: it is left alone for a moment".into()),
    }
}

fn push(views: &mut Vec<DependencyView>, name: &'static str, state: Result<String, String>) -> bool {
    let good = state.is_ok();
    let status = if good { "ok" } else { "unavailable" };
    let detail = state.unwrap_or_else(|problem| problem);
    views.push(DependencyView { name, status, detail });
    good
}
