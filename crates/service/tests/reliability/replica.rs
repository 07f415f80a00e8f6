//! One process of the service on a machine of its own, and its ways to everything else.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;
use telegram_sim::Sim;
use testservers::{Postgres, Road, State, free_ports};

use crate::support::{Machine, Service};

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It answers requests.
    Api,
    /// It delivers.
    Worker,
}

/// Where a way leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// To PostgreSQL.
    Database,
    /// To RabbitMQ.
    Broker,
    /// To Redis.
    Redis,
    /// To Telegram's Bot API.
    Bots,
    /// To Telegram's data centres.
    Accounts,
}

impl To {
    /// The state in which all is well: Telegram is so far away that something is always on its way.
    pub fn usual(self) -> State {
        match self {
            Self::Database | Self::Broker | Self::Redis => State::Open,
            Self::Bots | Self::Accounts => State::Slow(Duration::from_millis(20)),
        }
    }
}

/// Where everything is that a process needs.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// The port of PostgreSQL.
    pub postgres: u16,
    /// The port of RabbitMQ.
    pub rabbitmq: u16,
    /// The port of Redis.
    pub redis: u16,
}

/// A process that may run.
pub struct Replica {
    machine: Machine,
    role: Role,
    database: Road,
    broker: Road,
    redis: Road,
    bots: Road,
    accounts: Road,
    address: SocketAddr,
    service: Option<Service>,
}

impl Replica {
    /// A machine that is ready to start it.
    pub fn new(role: Role, places: Places, sim: &Sim) -> Self {
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let [database, broker, redis] =
            [places.postgres, places.rabbitmq, places.redis].map(|port| Road::to(local(port)));
        let (bots, accounts) = (Road::to(sim.bot_api.unwrap()), Road::to(sim.mtproto.unwrap()));
        bots.set(To::Bots.usual());
        accounts.set(To::Accounts.usual());
        let [port] = free_ports();
        let machine = Machine::new()
            .with("INTEGRATIONS_HTTP__BIND", local(port))
            .with("INTEGRATIONS_LOG__LEVEL", "info,integrations::access=warn")
            .with("INTEGRATIONS_DATABASE__URL", Postgres::url_at(database.address().port()))
            .with("INTEGRATIONS_BROKER__URL", format!("amqp://guest:guest@{}/%2f", broker.address()))
            .with("INTEGRATIONS_REDIS__URL", format!("redis://{}", redis.address()))
            // So many that nobody is refused, but each request is counted.
            .with("INTEGRATIONS_LIMITS__USER_RPS", 100_000)
            .with("INTEGRATIONS_LIMITS__USER_BURST", 200_000)
            .with("INTEGRATIONS_TELEGRAM__BOT_API_URL", format!("http://{}", bots.address()))
            .with("INTEGRATIONS_TELEGRAM__BOT_PER_SECOND", 10_000)
            .with("INTEGRATIONS_TELEGRAM__PRIVATE_CHAT_PER_SECOND", 1000)
            .with("INTEGRATIONS_TELEGRAM__GROUP_PER_MINUTE", 60_000)
            .with("INTEGRATIONS_TELEGRAM__ACCOUNT_PER_SECOND", 1000)
            .with("INTEGRATIONS_TELEGRAM__API_ID", 12345)
            .with("INTEGRATIONS_TELEGRAM__API_HASH", "0123456789abcdef0123456789abcdef")
            .with("INTEGRATIONS_TELEGRAM__TEST_SERVER__ADDRESS", accounts.address())
            .with("INTEGRATIONS_TELEGRAM__TEST_SERVER__KEYS_URL", format!("{}/mtproto/keys", sim.control_url()));
        Self { machine, role, database, broker, redis, bots, accounts, address: local(port), service: None }
    }

    /// Its machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The address of its API, whether it runs or not.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.service.as_ref().map(|service| service.pid().as_raw_nonzero().get())
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&mut self) {
        let role = if self.role == Role::Api { "api" } else { "worker" };
        let mut service = Service::spawn(self.machine.command(&["serve", "--roles", role]));
        service.ready().await;
        self.service = Some(service);
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.service.take().unwrap().kill().await;
    }

    /// Ends it in order, which must succeed.
    pub async fn stop(&mut self) {
        self.service.take().unwrap().stop().await;
    }

    /// Waits for the end that somebody else brought about.
    pub async fn ended(&mut self) {
        self.service.take().unwrap().ended().await;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.service.as_ref().unwrap().signal(signal);
    }

    /// Whether it has written this to its log since its start.
    pub fn has_said(&self, text: &str) -> bool {
        self.service.as_ref().is_some_and(|service| service.has_said(text))
    }

    /// Changes one of its ways; returns how many connections were on it.
    pub async fn set(&self, to: To, state: State) -> usize {
        let road = match to {
            To::Database => &self.database,
            To::Broker => &self.broker,
            To::Redis => &self.redis,
            To::Bots => &self.bots,
            To::Accounts => &self.accounts,
        };
        let carried = road.carried();
        road.become_now(state).await;
        carried
    }
}
