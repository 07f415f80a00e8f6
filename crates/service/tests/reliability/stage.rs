//! Where the scenarios are played.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Value, json};
use service::secrets::{Keyring, Sealer};
use sqlx::PgPool;
use telegram_sim::bot_api::{Limits, token_bot_id};
use telegram_sim::world::{ChatKind, Filter, Member, MemberStatus, NewChat, NewUser};
use telegram_sim::{Sim, SimOptions};
use testservers::{Postgres, RabbitMq, Redis};
use uuid::Uuid;

use crate::client::Gateway;
use crate::load::{Lane, Load};
use crate::people::{Person, signed_in};
use crate::replica::{Places, Replica, Role};
use crate::report::Row;
use crate::scenarios::{Plan, Scenario};
use crate::steps::Frozen;
use crate::support::{Api, Telegram};
use crate::tally::{Stored, Tally};

/// Bots, and chats of each.
const BOTS: usize = 20;
const CHATS: usize = 5;
/// Accounts, and friends of each.
const ACCOUNTS: usize = 20;
const FRIENDS: usize = 3;
/// Channels, each with two bots.
const CHANNELS: usize = 40;
/// The owner of all.
const USER: i32 = 1;
/// Only a test that fails waits so long.
pub const PATIENCE: Duration = Duration::from_mins(3);
/// How long a backlog is waited for under load.
const TOO_SLOW: Duration = Duration::from_secs(45);
/// How often something is looked at that cannot be waited for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The dead are watched for so long: a statement that a process sent before it died may be at work. Others take over later than this.
const DYING: Duration = Duration::from_secs(1);

/// The stage.
pub struct Stage {
    /// The simulated Telegram.
    pub sim: Arc<Sim>,
    pub postgres: Postgres,
    pub rabbitmq: RabbitMq,
    pub redis: Redis,
    /// The processes that answer requests.
    pub apis: Vec<Replica>,
    /// The processes that deliver.
    pub workers: Vec<Replica>,
    /// The watchdog that was stopped.
    pub frozen: Frozen,
    /// How many messages were on the wire when something broke.
    pub may_be_unknown: usize,
    /// The database, beside the services.
    pool: PgPool,
    people: Vec<Person>,
    lanes: Arc<Vec<Lane>>,
    token: String,
    rounds: usize,
}

impl Stage {
    /// Starts everything and connects bots, accounts and channels.
    pub async fn new() -> Self {
        let (postgres, rabbitmq, redis) = tokio::task::block_in_place(|| {
            let rabbitmq = std::thread::spawn(RabbitMq::start);
            (Postgres::start(), rabbitmq.join().unwrap(), Redis::start())
        });
        let pool = store::connect(store::db::parse_url(&Postgres::url_at(postgres.port())).unwrap(), 2).await.unwrap();
        store::migrate(&pool).await.unwrap();
        store::users::ensure(&pool, USER).await.unwrap();
        let limits = Limits { enabled: false, ..Limits::default() };
        let mut options = SimOptions { limits, ..SimOptions::default() };
        options.mtproto_settings.limits = false;
        let sim = Arc::new(Sim::start(options).await.unwrap());
        let places = Places { postgres: postgres.port(), rabbitmq: rabbitmq.port(), redis: redis.port() };
        let replicas = |role| (0..2).map(|_| Replica::new(role, places, &sim)).collect::<Vec<_>>();
        let (apis, workers) = (replicas(Role::Api), replicas(Role::Worker));
        let token = apis[0].machine().token().await;
        let keyring = apis[0].machine().data().join("keyring.json");
        // The first made its keys when it made the token.
        for replica in apis[1..].iter().chain(&workers) {
            std::fs::create_dir(replica.machine().data()).unwrap();
            std::fs::copy(&keyring, replica.machine().data().join("keyring.json")).unwrap();
        }
        let sealer = Sealer::local(Keyring::open(&keyring).unwrap());
        let mut people = Vec::new();
        for number in 0..ACCOUNTS {
            people.push(signed_in(&sim, &pool, &sealer, USER, number, FRIENDS).await);
        }
        let (frozen, lanes) = (None, Arc::default());
        let mut stage = Self {
            sim,
            postgres,
            rabbitmq,
            redis,
            apis,
            workers,
            frozen,
            may_be_unknown: 0,
            pool,
            people,
            lanes,
            token,
            rounds: 0,
        };
        for replica in stage.apis.iter_mut().chain(&mut stage.workers) {
            replica.start().await;
        }
        stage.open_lanes().await;
        stage
    }

    /// Connects everybody and finds out where messages can go.
    async fn open_lanes(&mut self) {
        self.until("all accounts are connected", async || self.all_connected()).await;
        for person in &self.people {
            for friend in &person.friends {
                self.sim.accounts().deliver(*friend, person.user, "hello").unwrap();
            }
        }
        let known = "SELECT count(*) FROM events WHERE type = 'account.message_new'";
        let all = i64::try_from(ACCOUNTS * FRIENDS).unwrap();
        self.until("everybody is known", async || {
            sqlx::query_scalar::<_, i64>(known).fetch_one(&self.pool).await.is_ok_and(|count| count >= all)
        })
        .await;
        let api = Api::new(&self.apis[0].url(), &self.token);
        let mut bots = Vec::new();
        for telegram in Telegram::bots(&self.sim, BOTS, CHATS) {
            bots.push((api.connect_bot(&telegram.token).await, telegram));
        }
        let mut lanes = Vec::new();
        for (bot, telegram) in &bots {
            let path = format!("/api/integrations/telegram/bots/{bot}/send");
            lanes.extend(telegram.chats.iter().map(|chat| Lane { path: path.clone(), chat: Some(*chat) }));
        }
        for person in &self.people {
            let path = format!("/api/integrations/telegram/accounts/{}/send", person.account);
            lanes.extend(person.friends.iter().map(|chat| Lane { path: path.clone(), chat: Some(*chat) }));
        }
        for number in 0..CHANNELS {
            let (first, second) = (&bots[number % BOTS], &bots[(number + 1) % BOTS]);
            lanes.push(Lane { path: self.connect_channel(&api, first, second).await, chat: None });
        }
        // So that each moment has messages of all kinds.
        let mixed = (0..lanes.len()).map(|index| lanes[index * 77 % lanes.len()].clone());
        self.lanes = Arc::new(mixed.collect());
    }

    /// Makes a channel that two bots administer, and connects it through both.
    async fn connect_channel(&self, api: &Api, first: &(Uuid, Telegram), second: &(Uuid, Telegram)) -> String {
        let chat = {
            let mut world = self.sim.world().lock();
            let owner = world.add_user(NewUser::default());
            let (title, members) = ("News".to_owned(), vec![(owner, MemberStatus::Creator)]);
            let chat = world.add_chat(NewChat { kind: ChatKind::Channel, id: None, title, username: None, members });
            for (_, bot) in [first, second] {
                let admin = Member::new(MemberStatus::Administrator);
                world.set_member(chat, token_bot_id(&bot.token).unwrap(), admin, owner);
            }
            chat
        };
        let channels = "/api/integrations/telegram/channels";
        let body = json!({ "via": { "bot_id": first.0 }, "channel": chat });
        let (status, body) = api.post(channels, &body, None).await.unwrap();
        assert_eq!(status, 201, "{body}");
        let path = format!("{channels}/{}", body["id"].as_str().unwrap());
        let (status, body) = api.post(&format!("{path}/senders"), &json!({ "bot_id": second.0 }), None).await.unwrap();
        assert_eq!(status, 200, "{body}");
        format!("{path}/send")
    }

    /// Plays a scenario under load, and finds out what became of all messages.
    pub async fn play(&mut self, scenario: &Scenario, plan: &Plan) -> Row {
        self.until("everything is well", async || self.is_well().await).await;
        self.rounds += 1;
        self.may_be_unknown = 0;
        let round = format!("r{}", self.rounds);
        let after = self.sim.world().lock().messages().arrived();
        let urls = self.apis.iter().map(Replica::url).collect();
        let gateway = Gateway::new(urls, self.token.clone(), plan.patience);
        let load = Load::start(&round, self.lanes.clone(), gateway.clone(), plan.per_second);
        self.until("messages flow", async || load.accepted() > 0).await;
        self.keep_up(plan).await;
        tokio::time::sleep(plan.around).await;
        let (begun_ms, begun) = (Utc::now().timestamp_millis(), Instant::now());
        for step in &scenario.steps {
            self.take(*step).await;
        }
        let lasted = begun.elapsed();
        self.keep_up(plan).await;
        tokio::time::sleep(plan.around).await;
        let offered = load.end().await;
        self.until("everything has come to its end", async || self.under_way().await == Some(0)).await;
        let mut tally = Tally::of(&offered, self.stored(&round).await, &self.arrived(&round, after));
        self.look_for_what_must_not_be(scenario, &mut tally);
        let recovered = tally.last_late.map_or(0, |late| late - begun_ms);
        let recovered = Duration::from_millis(u64::try_from(recovered).unwrap_or_default());
        let (may_be_unknown, failures) = (self.may_be_unknown, gateway.failures());
        let row = Row { name: scenario.name, lasted, recovered, tally, may_be_unknown, failures };
        println!("{}", row.line());
        if let Some(why) = row.tally.given_up.first() {
            println!("  {} callers gave up: {why}", row.tally.given_up.len());
        }
        for wrong in row.tally.wrong.iter().take(5) {
            println!("  WRONG: {wrong}");
        }
        row
    }

    /// Waits until there is no backlog. A machine that is too slow for the load has always one: it gets along without.
    async fn keep_up(&self, plan: &Plan) {
        let begun = Instant::now();
        while self.under_way().await.is_none_or(|left| left >= plan.backlog()) && begun.elapsed() < TOO_SLOW {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn look_for_what_must_not_be(&self, scenario: &Scenario, tally: &mut Tally) {
        if tally.unknown > self.may_be_unknown {
            tally.wrong.push(format!("{} are unknown, but {} were on the wire", tally.unknown, self.may_be_unknown));
        }
        if let Some(least) = scenario.success
            && tally.success() < least
        {
            tally.wrong.push(format!("only {:.3} % of the requests were accepted", tally.success()));
        }
        for replica in self.apis.iter().chain(&self.workers) {
            if replica.has_said("panicked") {
                tally.wrong.push(format!("the process {:?} panicked", replica.pid()));
            }
        }
        let duplicated = self.sim.accounts().counters().auth_key_duplicated;
        if duplicated > 0 {
            tally.wrong.push(format!("{duplicated} sessions were used from two places"));
        }
    }

    /// Adds what a worker that is gone had on the wire: the messages of bots that it began and whose end nobody can write.
    pub async fn count_on_the_wire(&mut self, pid: Option<i32>) {
        let began = "SELECT count(*) FROM messages m
                     JOIN telegram_bots b ON b.id = m.sender_id
                     JOIN sender_leases l ON l.sender_id = m.sender_id
                     JOIN workers w ON w.id = l.worker_id
                     WHERE m.status = 'sending' AND w.pid = $1";
        let (mut most, watched_until) = (0, Instant::now() + DYING);
        while Instant::now() < watched_until {
            if let Ok(count) = sqlx::query_scalar::<_, i64>(began).bind(pid).fetch_one(&self.pool).await {
                most = most.max(count);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.may_be_unknown += usize::try_from(most).unwrap();
    }

    /// Messages that are not at their end; `None` while the database is away.
    async fn under_way(&self) -> Option<usize> {
        let under_way = "SELECT count(*) FROM messages WHERE status IN ('scheduled', 'queued', 'sending')";
        let count: i64 = sqlx::query_scalar(under_way).fetch_one(&self.pool).await.ok()?;
        usize::try_from(count).ok()
    }

    /// The messages of a round, by their texts.
    async fn stored(&self, round: &str) -> HashMap<String, Vec<Stored>> {
        let stored = "SELECT id, status, error_code, content->>'text' FROM messages WHERE content->>'text' LIKE $1";
        let rows: Vec<(Uuid, String, Option<String>, String)> =
            sqlx::query_as(stored).bind(format!("{round}/%")).fetch_all(&self.pool).await.unwrap();
        let mut by_text: HashMap<String, Vec<Stored>> = HashMap::new();
        for (id, status, error_code, text) in rows {
            by_text.entry(text).or_default().push(Stored { id, status, error_code });
        }
        by_text
    }

    /// What arrived in a round, in order, with the times.
    fn arrived(&self, round: &str, after: u64) -> Vec<(String, i64)> {
        let filter =
            Filter { contains: Some(format!("{round}/")), after: Some(after), deleted: true, ..Filter::default() };
        let world = self.sim.world().lock();
        world.messages().find(&filter).map(|message| (message.body.text.clone(), message.arrived_ms)).collect()
    }

    /// Whether all processes reach all that they need, share the senders, and all accounts are connected.
    async fn is_well(&self) -> bool {
        for replica in &self.apis {
            let Ok(ready) = reqwest::get(format!("{}/health/ready", replica.url())).await else { return false };
            let Ok(ready) = ready.json::<Value>().await else { return false };
            let all_ok =
                ready["dependencies"].as_array().is_some_and(|all| all.iter().all(|one| one["status"] == "ok"));
            if !all_ok {
                return false;
            }
        }
        let owned = "SELECT w.pid, count(*) FROM sender_leases l JOIN workers w ON w.id = l.worker_id
                     WHERE w.valid_until >= now() GROUP BY w.pid";
        let Ok(owned) = sqlx::query_as::<_, (i32, i64)>(owned).fetch_all(&self.pool).await else { return false };
        let total: i64 = owned.iter().map(|(_, count)| count).sum();
        let is_fair = |count: i64| count >= total / 2 - 4;
        let all_share = self
            .workers
            .iter()
            .all(|worker| owned.iter().any(|(pid, count)| Some(*pid) == worker.pid() && is_fair(*count)));
        all_share && total == i64::try_from(BOTS + ACCOUNTS).unwrap() && self.all_connected()
    }

    fn all_connected(&self) -> bool {
        let is_connected = |person: &Person| {
            self.sim.accounts().authorizations(person.user).iter().any(|authorization| authorization.connected)
        };
        self.people.iter().all(is_connected)
    }

    /// Ends all processes in order.
    pub async fn end(mut self) {
        for replica in self.workers.iter_mut().chain(&mut self.apis) {
            replica.stop().await;
        }
    }

    /// Looks until it is so.
    async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let look = async {
            while !is_so().await {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("waited too long until {what}"));
    }
}
