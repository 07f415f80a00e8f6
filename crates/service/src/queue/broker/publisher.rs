//! Publishes hints to the workers that they are for; what waits while the broker confirms goes together, in one message to each worker.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::try_join_all;
use lapin::{BasicProperties, Channel, Confirmation, Connection, options::BasicPublishOptions};
use sqlx::PgPool;
use store::leases;
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use super::{Broker, BrokerError, Wanted, backoff, within};
use crate::metrics::name;
use crate::queue::{DatabaseHints, Hint, wire};

/// Hints that are published and confirmed together, in one message to each queue.
const AT_ONCE: usize = 500;
/// An owner is believed for so long. When it changed meanwhile, the hint is lost, and the new owner's sweep finds the work.
const OWNER_KNOWN: Duration = Duration::from_secs(2);
/// Owners that are remembered; beyond, the memory starts anew.
const OWNERS: usize = 100_000;
/// A persistent message: it survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// Publishes what is wanted, until nobody can want anything any more.
pub async fn run(
    broker: Broker,
    pool: PgPool,
    fallback: DatabaseHints,
    mut wanted: mpsc::UnboundedReceiver<Wanted>,
    connected: Arc<AtomicBool>,
) {
    let mut publisher = Publisher { broker, pool, owners: HashMap::new(), way: None, failures: 0, not_before: None };
    let mut batch = Vec::new();
    loop {
        connected.store(publisher.connect().await, Ordering::Relaxed);
        // A broker that is back is noticed also when nothing is wanted.
        let patience = if publisher.way.is_some() { Duration::MAX } else { backoff(publisher.failures) };
        match tokio::time::timeout(patience, wanted.recv_many(&mut batch, AT_ONCE)).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(_) => continue,
        }
        let unique: HashSet<Wanted> = batch.drain(..).collect();
        if let Err(error) = publisher.publish(&unique).await {
            connected.store(false, Ordering::Relaxed);
            publisher.lost(&error);
            // A hint that came through after all is told twice, which does no harm.
            for wanted in unique {
                if let Wanted::Owner(hint) = wanted {
                    fallback.publish(hint);
                }
            }
        }
    }
}

struct Publisher {
    broker: Broker,
    pool: PgPool,
    owners: HashMap<Uuid, (Option<Uuid>, Instant)>,
    way: Option<(Connection, Channel)>,
    failures: u32,
    not_before: Option<Instant>,
}

impl Publisher {
    /// Connects unless it is connected or has just failed to; returns whether it is.
    async fn connect(&mut self) -> bool {
        if self
            .way
            .as_ref()
            .is_some_and(|(connection, channel)| connection.status().connected() && channel.status().connected())
        {
            return true;
        }
        self.way = None;
        if self.not_before.is_some_and(|at| at > Instant::now()) {
            return false;
        }
        match self.open().await {
            Ok(way) => {
                tracing::info!("hints go through the broker");
                self.way = Some(way);
                (self.failures, self.not_before) = (0, None);
                true
            }
            Err(error) => {
                self.lost(&error);
                false
            }
        }
    }

    async fn open(&self) -> Result<(Connection, Channel), BrokerError> {
        let (connection, channel) = self.broker.connect("integrations: hints").await?;
        self.broker.declare_shared(&channel).await?;
        Ok((connection, channel))
    }

    fn lost(&mut self, error: &BrokerError) {
        if self.failures == 0 {
            tracing::warn!(%error, "the broker is away: hints go through the database");
        }
        self.way = None;
        self.not_before = Some(Instant::now() + backoff(self.failures));
        self.failures += 1;
    }

    /// Publishes all, and waits until the broker has them.
    async fn publish(&mut self, all: &HashSet<Wanted>) -> Result<(), BrokerError> {
        self.find_owners(all).await;
        let Some((_, channel)) = &self.way else { return Err(BrokerError::Silent) };
        let mut payloads: HashMap<String, String> = HashMap::new();
        for wanted in all {
            match wanted {
                Wanted::Task(priority) => drop(payloads.entry(self.broker.tasks(*priority)).or_default()),
                Wanted::Owner(hint) => payloads.entry(self.queue_of(*hint)).or_default().push_str(&wire::encode(*hint)),
            }
        }
        let mut confirms = Vec::with_capacity(payloads.len());
        for (queue, payload) in payloads {
            let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
            let options = BasicPublishOptions::default();
            let published =
                channel.basic_publish("".into(), queue.as_str().into(), options, payload.as_bytes(), properties);
            confirms.push(within(published).await?);
        }
        // A queue that is gone takes nothing, which is confirmed too: its worker ended, and others find the work.
        let confirmed = within(try_join_all(confirms)).await?;
        let refused = confirmed.iter().any(|confirm| matches!(confirm, Confirmation::Nack(_)));
        metrics::counter!(name::HINTS_PUBLISHED, "carrier" => "broker").increment(all.len() as u64);
        if refused { Err(BrokerError::NotConfirmed) } else { Ok(()) }
    }

    fn queue_of(&self, hint: Hint) -> String {
        match self.owners.get(&hint.sender_id()) {
            Some((Some(owner), _)) => self.broker.worker(*owner),
            _ => self.broker.unowned(),
        }
    }

    /// Asks the database for the owners that are not known. When it does not answer, the hints go to any worker.
    async fn find_owners(&mut self, all: &HashSet<Wanted>) {
        let now = Instant::now();
        if self.owners.len() > OWNERS {
            self.owners.clear();
        }
        let is_known = |owners: &HashMap<Uuid, (Option<Uuid>, Instant)>, id: &Uuid| {
            owners.get(id).is_some_and(|(_, since)| now.duration_since(*since) < OWNER_KNOWN)
        };
        let unknown: HashSet<Uuid> = all
            .iter()
            .filter_map(|wanted| match wanted {
                Wanted::Owner(hint) => Some(hint.sender_id()),
                Wanted::Task(_) => None,
            })
            .filter(|id| !is_known(&self.owners, id))
            .collect();
        if unknown.is_empty() {
            return;
        }
        let ids: Vec<Uuid> = unknown.into_iter().collect();
        match leases::owners(&self.pool, &ids).await {
            Ok(found) => {
                let found: HashMap<Uuid, Uuid> = found.into_iter().collect();
                self.owners.extend(ids.into_iter().map(|id| (id, (found.get(&id).copied(), now))));
            }
            Err(error) => tracing::debug!(%error, "the owners of senders could not be read"),
        }
    }
}
