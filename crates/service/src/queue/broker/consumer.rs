//! Takes hints for this worker, and those for anybody.

use std::sync::Arc;

use futures::{StreamExt as _, stream::select_all};
use lapin::{
    Channel, Connection, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeleteOptions},
    types::FieldTable,
};
use platform::Priority;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Broker, BrokerError, EXPIRES, backoff, declare, within};
use crate::metrics::name;
use crate::queue::{Arrived, wire};

/// Hints that the broker sends ahead of their receipts.
const PREFETCH: u16 = 200;

/// Where a delivery came from.
#[derive(Clone, Copy)]
enum From {
    Hints,
    Tasks,
}

/// Takes hints until stopped; connects again when the connection is lost.
pub async fn run(
    broker: Broker,
    worker_id: Uuid,
    local: mpsc::UnboundedSender<Arrived>,
    tasks: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut failures = 0;
    while !stop.is_cancelled() {
        let ended = once(&broker, worker_id, &local, &tasks, &stop, &mut failures).await;
        if stop.is_cancelled() {
            return;
        }
        if let Err(error) = ended {
            tracing::debug!(%error, failures, "the broker is away; the worker connects again");
        }
        let wait = backoff(failures);
        failures += 1;
        let _ = stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
}

async fn once(
    broker: &Broker,
    worker_id: Uuid,
    local: &mpsc::UnboundedSender<Arrived>,
    tasks: &Notify,
    stop: &CancellationToken,
    failures: &mut u32,
) -> Result<(), BrokerError> {
    let own = broker.worker(worker_id);
    let (connection, channel) = stop_or(stop, broker.connect("integrations: worker")).await?;
    broker.declare_shared(&channel).await?;
    declare(&channel, &own, Some(EXPIRES)).await?;
    within(channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
    let mut streams = Vec::new();
    for (queue, from) in queues(broker, &own) {
        streams.push(consume(&channel, &queue).await?.map(move |delivery| (from, delivery)));
    }
    *failures = 0;
    // What was told while nobody listened is found by the sweep; tasks are looked at now.
    tasks.notify_one();
    let mut deliveries = select_all(streams);
    loop {
        let next = tokio::select! {
            () = stop.cancelled() => return leave(&connection, &channel, &own).await,
            next = deliveries.next() => next,
        };
        let Some((from, delivery)) = next else { return Ok(()) };
        let delivery = delivery?;
        match from {
            From::Tasks => tasks.notify_one(),
            From::Hints => take(&delivery, local),
        }
        // On receipt: the database is the truth, and the sweep repairs what this process loses.
        delivery.ack(BasicAckOptions::default()).await?;
    }
}

fn queues(broker: &Broker, own: &str) -> Vec<(String, From)> {
    let tasks = Priority::ALL.map(|priority| (broker.tasks(priority), From::Tasks));
    [(own.to_owned(), From::Hints), (broker.unowned(), From::Hints)].into_iter().chain(tasks).collect()
}

async fn consume(channel: &Channel, queue: &str) -> Result<Consumer, BrokerError> {
    let options = BasicConsumeOptions::default();
    within(channel.basic_consume(queue.into(), "".into(), options, FieldTable::default())).await
}

fn take(delivery: &Delivery, local: &mpsc::UnboundedSender<Arrived>) {
    let payload = std::str::from_utf8(&delivery.data).unwrap_or_default();
    for hint in wire::decode(payload) {
        metrics::counter!(name::HINTS_RECEIVED, "carrier" => "broker").increment(1);
        // The worker's router ends after its carrier only.
        let _ = local.send(Arrived::FromAfar(hint));
    }
}

/// A queue that nobody reads would keep what is sent to it for a minute.
async fn leave(connection: &Connection, channel: &Channel, own: &str) -> Result<(), BrokerError> {
    within(channel.queue_delete(own.into(), QueueDeleteOptions::default())).await?;
    within(connection.close(200, "the worker ends".into())).await
}

async fn stop_or<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, BrokerError>>,
) -> Result<T, BrokerError> {
    stop.run_until_cancelled(work).await.unwrap_or(Err(BrokerError::Silent))
}
