//! Where the tests play: Telegram with two hundred people, a database, a process for the API, and three machines for workers.

use std::collections::HashMap;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use service::secrets::{Keyring, Sealer};
use sqlx::{ConnectOptions as _, PgPool};
use telegram_sim::{Sim, SimOptions};
use testdb::TestDb;
use testservers::Road;
use uuid::Uuid;

use crate::people::{Person, signed_in};
use crate::support::{Api, Machine, Service};

/// Accounts of the scene.
pub const ACCOUNTS: usize = 200;
/// Friends of each account: its chats.
pub const FRIENDS: usize = 3;
/// The owner of all.
const USER: i32 = 1;
/// How often something is looked at that cannot be waited for.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Only a test that fails waits so long.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// The scene.
pub struct Scene {
    /// The simulated Telegram.
    pub sim: Arc<Sim>,
    /// The database, beside the services.
    pub pool: PgPool,
    /// The accounts.
    pub people: Arc<Vec<Person>>,
    /// The API of the process that only answers requests.
    pub api: Api,
    /// Where workers can run.
    pub places: Vec<Place>,
    front: Service,
    _machine: Machine,
    _database: TestDb,
}

/// A machine for a worker, with its own ways to the database and to Telegram.
pub struct Place {
    machine: Machine,
    database: Road,
    telegram: Road,
    worker: Option<Service>,
}

impl Scene {
    /// Everything but workers.
    pub async fn new() -> Self {
        let database = TestDb::empty().await;
        let pool = store::connect(database.options(), 4).await.unwrap();
        store::migrate(&pool).await.unwrap();
        store::users::ensure(&pool, USER).await.unwrap();
        let mut options = SimOptions::default();
        options.mtproto_settings.limits = false;
        let sim = Arc::new(Sim::start(options).await.unwrap());
        let machine = machine(&sim, database.options().to_url_lossy(), sim.mtproto.unwrap());
        let token = machine.token().await;
        let sealer = Sealer::local(Keyring::open(&machine.data().join("keyring.json")).unwrap());
        let mut people = Vec::new();
        for number in 0..ACCOUNTS {
            people.push(signed_in(&sim, &pool, &sealer, USER, number, FRIENDS).await);
        }
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(Place::new(&sim, &database, &machine));
        }
        let mut front = Service::spawn(machine.command(&["serve", "--roles", "api"]));
        front.ready().await;
        let api = Api::new(&front.url(), &token);
        let people = Arc::new(people);
        Self { sim, pool, people, api, places, front, _machine: machine, _database: database }
    }

    /// The scene with workers in so many places, which own all accounts and share them.
    pub async fn with_workers(count: usize) -> Self {
        let mut scene = Self::new().await;
        for place in &mut scene.places[..count] {
            place.start().await;
        }
        scene.shared().await;
        scene
    }

    /// Waits until the workers that run share all accounts evenly, and all accounts are connected.
    pub async fn shared(&self) -> Duration {
        let begun = Instant::now();
        let pids: Vec<i32> = self.places.iter().filter_map(Place::pid).collect();
        let is_so = async || {
            let owned = self.owned().await;
            let total: usize = pids.iter().filter_map(|pid| owned.get(pid)).sum();
            let fair = ACCOUNTS.div_ceil(pids.len());
            let most = fair + fair / 20 + 2;
            let evenly = pids.iter().all(|pid| owned.get(pid).is_some_and(|count| *count <= most));
            total == ACCOUNTS && evenly && self.all_connected()
        };
        while !is_so().await {
            assert!(begun.elapsed() < PATIENCE, "in vain: of {pids:?}, {:?} own accounts", self.owned().await);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        begun.elapsed()
    }

    /// How many accounts each living worker owns, by its process.
    pub async fn owned(&self) -> HashMap<i32, usize> {
        let owned = "SELECT w.pid, count(*) FROM sender_leases l JOIN workers w ON w.id = l.worker_id
                     WHERE w.valid_until >= now() GROUP BY w.pid";
        let rows: Vec<(i32, i64)> = sqlx::query_as(owned).fetch_all(&self.pool).await.unwrap();
        rows.into_iter().map(|(pid, count)| (pid, usize::try_from(count).unwrap())).collect()
    }

    /// Messages that are not sent: state, reason and text.
    pub async fn unsent(&self) -> Vec<(String, Option<String>, String)> {
        let unsent = "SELECT status, error_code, content->>'text' FROM messages WHERE status <> 'sent' LIMIT 10";
        sqlx::query_as(unsent).fetch_all(&self.pool).await.unwrap()
    }

    /// Accounts that are not active: state and reason.
    pub async fn inactive(&self) -> Vec<(Uuid, String, Option<String>)> {
        let inactive = "SELECT id, status, status_reason FROM telegram_sessions WHERE status <> 'active' LIMIT 10";
        sqlx::query_as(inactive).fetch_all(&self.pool).await.unwrap()
    }

    /// Whether each account has a connection at Telegram.
    pub fn all_connected(&self) -> bool {
        self.people.iter().all(|person| {
            self.sim.accounts().authorizations(person.user).iter().any(|authorization| authorization.connected)
        })
    }

    /// Ends all processes in order.
    pub async fn end(mut self) {
        for place in &mut self.places {
            if place.worker.is_some() {
                place.stop().await;
            }
        }
        self.front.stop().await;
    }
}

impl Place {
    fn new(sim: &Sim, database: &TestDb, keys: &Machine) -> Self {
        let (road, by_road) = database.by_road();
        let telegram = Road::to(sim.mtproto.unwrap());
        let machine = machine(sim, by_road.to_url_lossy(), telegram.address());
        std::fs::create_dir(machine.data()).unwrap();
        std::fs::copy(keys.data().join("keyring.json"), machine.data().join("keyring.json")).unwrap();
        Self { machine, database: road, telegram, worker: None }
    }

    /// Starts a worker.
    pub async fn start(&mut self) {
        let mut worker = Service::spawn(self.machine.command(&["serve", "--roles", "worker"]));
        worker.ready().await;
        self.worker = Some(worker);
    }

    /// Ends the worker in order.
    pub async fn stop(&mut self) {
        self.worker.take().unwrap().stop().await;
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.worker.take().unwrap().kill().await;
    }

    /// Waits for the end of the worker, which somebody else brought about; returns how it ended, and its log.
    pub async fn ended(&mut self) -> (ExitStatus, String) {
        let mut worker = self.worker.take().unwrap();
        (worker.ended().await, worker.log())
    }

    /// The worker that runs here.
    pub fn worker(&self) -> &Service {
        self.worker.as_ref().unwrap()
    }

    /// Its process.
    pub fn pid(&self) -> Option<i32> {
        self.worker.as_ref().map(|worker| worker.pid().as_raw_nonzero().get())
    }

    /// Its way to Telegram.
    pub fn to_telegram(&self) -> &Road {
        &self.telegram
    }

    /// Its way to the database.
    pub fn to_database(&self) -> &Road {
        &self.database
    }
}

/// A machine whose services use this database and this way to Telegram, as fast as they can.
fn machine(sim: &Sim, database: impl std::fmt::Display, telegram: std::net::SocketAddr) -> Machine {
    Machine::new()
        .with("INTEGRATIONS_DATABASE__URL", database)
        .with("INTEGRATIONS_DATABASE__MAX_CONNECTIONS", 12)
        .with("INTEGRATIONS_LIMITS__USER_RPS", 0)
        .with("INTEGRATIONS_TELEGRAM__BOT_API_URL", sim.bot_api_url())
        .with("INTEGRATIONS_TELEGRAM__API_ID", 12345)
        .with("INTEGRATIONS_TELEGRAM__API_HASH", "0123456789abcdef0123456789abcdef")
        .with("INTEGRATIONS_TELEGRAM__TEST_SERVER__ADDRESS", telegram)
        .with("INTEGRATIONS_TELEGRAM__TEST_SERVER__KEYS_URL", format!("{}/mtproto/keys", sim.control_url()))
        .with("INTEGRATIONS_TELEGRAM__ACCOUNT_PER_SECOND", 1000)
        .with("INTEGRATIONS_TELEGRAM__PRIVATE_CHAT_PER_SECOND", 1000)
}

/// Looks until it is so.
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let look = async {
        while !is_so().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("waited too long until {what}"));
}
