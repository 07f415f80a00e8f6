//! What every carrier does.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use service::queue::{Arrived, BrokerHints, Carrier, DatabaseHints, Hint, Hints, broker::Broker};
use sqlx::PgPool;
use store::leases;
use testdb::TestDb;
use testservers::RabbitMq;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::common::{PATIENCE, eventually};

/// One process that only gives hints, and one that is a worker.
struct Processes {
    pool: PgPool,
    hints: Hints,
    worker_id: Uuid,
    arrived: mpsc::UnboundedReceiver<Arrived>,
    tasks: Arc<Notify>,
    stop: CancellationToken,
}

impl Processes {
    async fn start(db: &TestDb, broker: Option<Broker>) -> Self {
        let pool = store::connect(db.options(), 4).await.unwrap();
        let worker_id = Uuid::now_v7();
        let row = "INSERT INTO workers (id, host, pid, version, valid_until) VALUES ($1, 'here', 1, '', now() + interval '1 hour')";
        sqlx::query(row).bind(worker_id).execute(&pool).await.unwrap();
        let (local, arrived) = mpsc::unbounded_channel();
        let (tasks, stop) = (Arc::new(Notify::new()), CancellationToken::new());
        let database = DatabaseHints::spawn(pool.clone());
        let carrier = match &broker {
            None => Carrier::Database(database),
            Some(broker) => Carrier::Broker(BrokerHints::spawn(broker.clone(), pool.clone(), database)),
        };
        if let Some(broker) = broker {
            let (local, tasks, stop) = (local.clone(), tasks.clone(), stop.clone());
            tokio::spawn(BrokerHints::listen(broker, worker_id, local, tasks, stop));
        }
        tokio::spawn(DatabaseHints::listen(pool.clone(), local, tasks.clone(), stop.clone()));
        Self { hints: Hints::new(None, carrier), pool, worker_id, arrived, tasks, stop }
    }

    /// A sender that the worker owns.
    async fn owned(&self) -> Uuid {
        let id = Uuid::now_v7();
        let owned = leases::acquire(&self.pool, self.worker_id, &[id], 1).await.unwrap();
        assert_eq!(owned.leases.len(), 1);
        id
    }

    /// Waits for a hint, given again and again until it arrives: whoever listens may not have begun.
    async fn passes(&mut self, hint: Hint) {
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            self.hints.give(hint);
            let next = tokio::time::timeout(Duration::from_millis(500), self.arrived.recv()).await;
            if next.is_ok_and(|arrived| arrived == Some(Arrived::FromAfar(hint))) {
                return;
            }
        }
        panic!("{hint:?} does not arrive");
    }

    /// What has arrived until nothing more comes.
    async fn rest(&mut self) -> Vec<Hint> {
        let mut all = Vec::new();
        while let Ok(Some(arrived)) = tokio::time::timeout(Duration::from_secs(1), self.arrived.recv()).await {
            all.push(arrived.hint());
        }
        all
    }
}

async fn suite(db: &TestDb, broker: Option<Broker>) {
    let mut processes = Processes::start(db, broker).await;
    let owned = processes.owned().await;
    processes.passes(Hint::Work(owned)).await;
    // Also where nobody owns the sender.
    processes.passes(Hint::Work(Uuid::now_v7())).await;
    processes.passes(Hint::Changed(owned)).await;
    processes.passes(Hint::Moved { sender_id: owned, from: -5, to: -1_000_000_000_005 }).await;
    processes.rest().await;

    // Each at least once, and far less often than it was given.
    let mut senders = HashSet::new();
    for _ in 0..20 {
        senders.insert(Hint::Work(processes.owned().await));
    }
    for _ in 0..500 {
        for hint in &senders {
            processes.hints.give(*hint);
        }
    }
    let arrived = processes.rest().await;
    assert_eq!(arrived.iter().copied().collect::<HashSet<_>>(), senders);
    assert!(arrived.len() < 5_000, "{} of 10000 came", arrived.len());

    // After the database has dropped everybody.
    let drop_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(drop_all).execute(&processes.pool).await.unwrap();
    processes.passes(Hint::Changed(owned)).await;

    // A task that is queued wakes the worker.
    let _ = tokio::time::timeout(Duration::from_millis(500), processes.tasks.notified()).await;
    // The connections of the pool may be dead.
    let pool = store::connect(db.options(), 1).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    let input = serde_json::Value::Null;
    let task =
        store::tasks::NewTask { name: "a", queue: 1, key: None, input: &input, max_attempts: 1, delay: Duration::ZERO };
    store::tasks::enqueue(&mut tx, task).await.unwrap();
    tx.commit().await.unwrap();
    processes.hints.task_is_due(platform::Priority::Mid);
    tokio::time::timeout(PATIENCE, processes.tasks.notified()).await.unwrap();
    processes.stop.cancel();
}

#[tokio::test]
async fn the_database_carries_hints() {
    suite(&TestDb::migrated().await, None).await;
}

#[tokio::test]
async fn rabbitmq_carries_hints() {
    let rabbitmq = RabbitMq::start();
    let broker = Broker { url: SecretString::from(rabbitmq.url()), prefix: "suite".into() };
    suite(&TestDb::migrated().await, Some(broker)).await;
    let queues = rabbitmq.control(&["-q", "list_queues", "name", "type", "durable"]);
    for queue in ["suite.high", "suite.mid", "suite.low", "suite.unowned"] {
        assert!(queues.contains(&format!("{queue}\tquorum\ttrue")), "{queues}");
    }
    let gone = async || !rabbitmq.control(&["-q", "list_queues", "name"]).contains("suite.worker.");
    eventually("the worker takes its queue away", gone).await;
}
