//! Publishes hints to the workers that they are for; what waits while the broker confirms goes together, in one message to each worker.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, try_join_all},
};
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
/// A broker that needs longer to take hints is given up for the database: while they wait, the next ones do, too.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(2);
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
    let mut publisher = Publisher { broker, pool, owners: HashMap::new(), way: None, failures: 0 };
    let mut opening = publisher.open_later(Duration::ZERO);
    let mut batch = Vec::new();
    loop {
        if publisher.is_broken() {
            opening = publisher.lost(&BrokerError::Silent);
        }
        let is_open = publisher.way.is_some();
        connected.store(is_open, Ordering::Relaxed);
        tokio::select! {
            // Beside the work: a broker that does not answer holds no hints up.
            opened = &mut opening, if !is_open => match opened {
                Ok(way) => {
                    tracing::info!("hints go through the broker");
                    (publisher.way, publisher.failures) = (Some(way), 0);
                }
                Err(error) => opening = publisher.lost(&error),
            },
            count = wanted.recv_many(&mut batch, AT_ONCE) => {
                if count == 0 {
                    return;
                }
                let unique: HashSet<Wanted> = batch.drain(..).collect();
                if let Err(error) = publisher.publish(&unique).await {
                    if publisher.way.is_some() {
                        opening = publisher.lost(&error);
                    }
                    // A hint that came through after all is told twice, which does no harm.
                    for wanted in unique {
                        if let Wanted::Owner(hint) = wanted {
                            fallback.publish(hint);
                        }
                    }
                }
            }
        }
    }
}

/// Publishes something that nobody gets, and waits until the broker has taken it.
async fn probe(broker: &Broker, channel: &Channel) -> Result<(), BrokerError> {
    // No queue has this name: what goes there is confirmed and gone.
    let nowhere = format!("{}.nowhere", broker.prefix);
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let published = channel.basic_publish("".into(), nowhere.as_str().into(), options, &[], properties);
    let confirmed = within(published).await?;
    within(confirmed).await.map(drop)
}

/// A connection, and the channel on it.
type Way = (Connection, Channel);

struct Publisher {
    broker: Broker,
    pool: PgPool,
    owners: HashMap<Uuid, (Option<Uuid>, Instant)>,
    way: Option<Way>,
    failures: u32,
}

impl Publisher {
    /// Whether its connection ended unseen.
    fn is_broken(&self) -> bool {
        let is_whole = |(connection, channel): &Way| connection.status().connected() && channel.status().connected();
        self.way.as_ref().is_some_and(|way| !is_whole(way))
    }

    /// Connects after a while, and proves that the broker takes messages: one that has too little space lets everybody connect and
    /// takes nothing.
    fn open_later(&self, after: Duration) -> BoxFuture<'static, Result<Way, BrokerError>> {
        let broker = self.broker.clone();
        async move {
            tokio::time::sleep(after).await;
            let (connection, channel) = broker.connect("integrations: hints").await?;
            broker.declare_shared(&channel).await?;
            // Without space it still takes the first message of a connection, and then reads no more.
            for _ in 0..2 {
                probe(&broker, &channel).await?;
            }
            Ok((connection, channel))
        }
        .boxed()
    }

    /// Gives the connection up; returns the next one, which takes longer each time.
    fn lost(&mut self, error: &BrokerError) -> BoxFuture<'static, Result<Way, BrokerError>> {
        if self.failures == 0 {
            tracing::warn!(%error, "the broker is away: hints go through the database");
        }
        self.way = None;
        let opening = self.open_later(backoff(self.failures));
        self.failures += 1;
        opening
    }

    /// Publishes all, and waits until the broker has them.
    async fn publish(&mut self, all: &HashSet<Wanted>) -> Result<(), BrokerError> {
        // The owners are of use to the broker only.
        if self.way.is_some() {
            self.find_owners(all).await;
        }
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
        let confirmed = tokio::time::timeout(CONFIRMED_WITHIN, within(try_join_all(confirms))).await;
        let confirmed = confirmed.map_err(|_| BrokerError::Silent)??;
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
