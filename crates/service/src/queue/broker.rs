//! Hints through RabbitMQ: to the queue of the worker that owns the sender, or to one that all workers share where nobody owns it.
//!
//! - [`publisher`]: finds the owners, publishes with confirms, and gives to the database what the broker does not take;
//! - [`consumer`]: takes what comes to this worker.
//!
//! Both connect again by themselves. Losing, doubling or purging everything in the broker loses and doubles nothing.

mod consumer;
mod publisher;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use platform::Priority;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Arrived, DatabaseHints, Hint};
use crate::settings::BrokerSettings;

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A worker's own queue goes when nobody has read it for so long.
const EXPIRES: Duration = Duration::from_mins(1);
/// The first wait before another attempt to connect, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Where the broker is, and how the queues are called there.
#[derive(Debug, Clone)]
pub struct Broker {
    /// `amqp://` or `amqps://`, with user and password.
    pub url: SecretString,
    /// The beginning of the names of all queues.
    pub prefix: String,
}

/// Why the broker does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// It refused, or its connection broke.
    #[error("{0}")]
    Amqp(#[from] lapin::Error),
    /// It did not answer.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// It took a message and did not keep it.
    #[error("the broker did not confirm a message")]
    NotConfirmed,
}

/// Sends hints; what queued up while the last ones were confirmed goes with the next, each hint once.
#[derive(Clone)]
pub struct BrokerHints {
    queue: mpsc::UnboundedSender<Wanted>,
    connected: Arc<AtomicBool>,
}

/// What is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Wanted {
    /// The owner of a sender.
    Owner(Hint),
    /// Any worker: a task is due in this queue.
    Task(Priority),
}

impl BrokerHints {
    /// Starts the task that publishes. `fallback` takes the hints while the broker is away.
    pub fn spawn(broker: Broker, pool: PgPool, fallback: DatabaseHints) -> Self {
        let (queue, wanted) = mpsc::unbounded_channel();
        let connected = Arc::new(AtomicBool::new(false));
        tokio::spawn(publisher::run(broker, pool, fallback, wanted, connected.clone()));
        Self { queue, connected }
    }

    /// Queues a hint.
    pub fn publish(&self, hint: Hint) {
        // The task ends with the runtime only.
        let _ = self.queue.send(Wanted::Owner(hint));
    }

    /// Tells the workers that a task is due.
    pub fn task_is_due(&self, queue: Priority) {
        let _ = self.queue.send(Wanted::Task(queue));
    }

    /// Whether hints go through the broker at the moment.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Hands every hint for this worker to `local`, and tells `tasks` when tasks are due, until stopped.
    pub async fn listen(
        broker: Broker,
        worker_id: Uuid,
        local: mpsc::UnboundedSender<Arrived>,
        tasks: Arc<Notify>,
        stop: CancellationToken,
    ) {
        consumer::run(broker, worker_id, local, tasks, stop).await;
    }
}

impl Broker {
    /// The one that the settings name.
    pub fn configured(settings: &BrokerSettings) -> Option<Self> {
        Some(Self { url: settings.url.clone()?, prefix: settings.prefix.clone() })
    }

    /// Opens a connection with one channel that confirms what is published.
    ///
    /// # Errors
    /// The broker cannot be reached, or refuses.
    pub async fn connect(&self, name: &str) -> Result<(Connection, Channel), BrokerError> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connection = within(Connection::connect(self.url.expose_secret(), properties)).await?;
        let channel = within(connection.create_channel()).await?;
        within(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok((connection, channel))
    }

    /// Makes the queues that all processes share.
    async fn declare_shared(&self, channel: &Channel) -> Result<(), BrokerError> {
        declare(channel, &self.unowned(), None).await?;
        for priority in Priority::ALL {
            declare(channel, &self.tasks(priority), None).await?;
        }
        Ok(())
    }

    fn worker(&self, id: Uuid) -> String {
        format!("{}.worker.{}", self.prefix, id.simple())
    }

    fn unowned(&self) -> String {
        format!("{}.unowned", self.prefix)
    }

    fn tasks(&self, priority: Priority) -> String {
        format!("{}.{}", self.prefix, priority.name())
    }
}

/// Makes a durable quorum queue; quorum queues know no priorities, so each priority has its own.
async fn declare(channel: &Channel, name: &str, expires: Option<Duration>) -> Result<(), BrokerError> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    if let Some(expires) = expires {
        let milliseconds = i64::try_from(expires.as_millis()).unwrap_or(i64::MAX);
        arguments.insert("x-expires".into(), AMQPValue::LongLongInt(milliseconds));
    }
    within(channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments)).await?;
    Ok(())
}

async fn within<T>(answer: impl Future<Output = lapin::Result<T>>) -> Result<T, BrokerError> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(BrokerError::Silent),
    }
}

/// The wait before the next attempt to connect.
fn backoff(failures: u32) -> Duration {
    BACKOFF.0.saturating_mul(1 << failures.min(5)).min(BACKOFF.1)
}
