//! Starts the service, and says in sentences what the tests do with it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service::auth::{Scope, ScopeSet, TokenOptions, mint};
use service::egress::Egress;
use service::files::Files;
use service::metrics::Metrics;
use service::secrets::{Keyring, Sealer};
use service::server::{Ground, Roles};
use service::settings::Settings;
use service::shutdown::Shutdown;
use sqlx::{PgPool, postgres::PgConnectOptions};
use telegram_sim::bot_api::{Fault, FaultAction, Limits, token_bot_id};
use telegram_sim::world::{Filter, Message, Place};
use telegram_sim::{Sim, SimOptions};
use tempfile::TempDir;
use testdb::TestDb;
use testservers::Road;
use uuid::Uuid;

use super::client::{Client, Transcript};
use super::stream::EventStream;
use super::{aftermath, eventually, log};

pub const BOTS: &str = "/api/integrations/telegram/bots";
pub const MESSAGES: &str = "/api/integrations/messages";
pub const BROADCASTS: &str = "/api/integrations/broadcasts";
pub const LOGS: &str = "/api/integrations/logs";
pub const EVENTS: &str = "/api/integrations/events";

/// Settings of every test: no pacing, which would only make the tests slow; those of it have their own.
const SETTINGS: [(&str, &str); 6] = [
    ("INTEGRATIONS_HTTP__BIND", "127.0.0.1:0"),
    ("INTEGRATIONS_HTTP__DRAIN_SECONDS", "0"),
    ("INTEGRATIONS_DATABASE__MAX_CONNECTIONS", "8"),
    ("INTEGRATIONS_TELEGRAM__BOT_PER_SECOND", "10000"),
    ("INTEGRATIONS_TELEGRAM__PRIVATE_CHAT_PER_SECOND", "1000"),
    ("INTEGRATIONS_TELEGRAM__GROUP_PER_MINUTE", "60000"),
];

/// The user of tests that need only one.
pub const USER: i32 = 7;

/// A bot that was connected.
#[derive(Debug, Clone)]
pub struct Bot {
    pub id: Uuid,
    pub token: String,
    pub telegram_id: i64,
}

impl Bot {
    /// Its own address.
    pub fn path(&self) -> String {
        format!("{BOTS}/{}", self.id)
    }

    /// Where messages are sent.
    pub fn send_path(&self) -> String {
        format!("{BOTS}/{}/send", self.id)
    }
}

/// The service and all that it needs. When it is dropped, the test fails if a message was left on its way, or if a credential
/// stands anywhere in the clear.
pub struct TestApp {
    pub sim: Sim,
    pub pool: PgPool,
    pub address: SocketAddr,
    pub tokens: TokenOptions,
    /// Calls as [`USER`], with all scopes but `admin`.
    pub user: Client,
    pub settings: Settings,
    pub sealer: Sealer,
    pub shutdown: Shutdown,
    transcript: Transcript,
    http: reqwest::Client,
    /// What must not stand anywhere in the clear at the end.
    pub secrets: RefCell<Vec<String>>,
    may_leave_messages: Cell<bool>,
    pub db: TestDb,
    /// How the service connects to it.
    way: PgConnectOptions,
    _data: TempDir,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further settings, such as `("INTEGRATIONS_LIMITS__USER_RPS", "5")`.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_on(TestDb::migrated().await, settings).await
    }

    /// On a database that the test has prepared. Settings that name an application also start the half of the simulator that
    /// speaks MTProto.
    pub async fn start_on(db: TestDb, settings: &[(&str, &str)]) -> Self {
        let way = db.options();
        Self::launch(db, way, settings).await
    }

    /// On a database that can be put out of reach.
    pub async fn start_by_road(db: TestDb) -> (Self, Road) {
        let (road, way) = db.by_road();
        (Self::launch(db, way, &[]).await, road)
    }

    async fn launch(db: TestDb, way: PgConnectOptions, settings: &[(&str, &str)]) -> Self {
        log::start();
        let data = tempfile::tempdir().expect("a temporary folder");
        let with_accounts = settings.iter().any(|(name, _)| *name == "INTEGRATIONS_TELEGRAM__API_ID");
        let sim = simulator(with_accounts).await;
        let mut own = vec![
            ("INTEGRATIONS_DATA_DIR", data.path().display().to_string()),
            ("INTEGRATIONS_TELEGRAM__BOT_API_URL", sim.bot_api_url()),
        ];
        if let Some(mtproto) = sim.mtproto {
            own.push(("INTEGRATIONS_TELEGRAM__TEST_SERVER__ADDRESS", mtproto.to_string()));
            own.push(("INTEGRATIONS_TELEGRAM__TEST_SERVER__KEYS_URL", format!("{}/mtproto/keys", sim.control_url())));
        }
        let all = SETTINGS.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let all = own.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(all);
        let settings = Settings::load(None, all).expect("the settings are good");
        let keyring = Keyring::open_or_create(&data.path().join("keyring.json")).expect("the folder is ours");
        let secret = keyring.jwt_secret();
        let secrets = RefCell::new(vec![secret.expose_secret().to_owned()]);
        let tokens = TokenOptions { secret: Some(secret), ..TokenOptions::default() };
        let sealer = Sealer::configured(keyring, settings.vault.as_ref()).expect("the settings are good");
        let pool = store::connect(db.options(), 4).await.expect("the database answers");
        let (http, transcript) = (reqwest::Client::new(), Transcript::default());
        let user = Client { http: http.clone(), base: String::new(), token: None, transcript: transcript.clone() };
        let mut app = Self {
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            shutdown: Shutdown::default(),
            may_leave_messages: Cell::new(false),
            _data: data,
            sim,
            pool,
            tokens,
            user,
            settings,
            sealer,
            transcript,
            http,
            secrets,
            db,
            way,
        };
        app.start_service().await;
        app.user = app.user(USER);
        app
    }

    /// Starts the service again, after [`TestApp::stop_service`].
    pub async fn start_service(&mut self) {
        self.shutdown = Shutdown::default();
        let ground = self.ground().await;
        let roles = Roles { api: true, worker: true };
        let address = service::server::start(&self.settings, roles, ground, &self.shutdown).await;
        self.address = address.expect("the service starts").expect("it has an API");
        self.user.base = format!("http://{}", self.address);
    }

    /// Stops the service as SIGTERM does, and waits until it has ended.
    pub async fn stop_service(&self) {
        self.shutdown.soft.cancel();
        self.shutdown.wait().await;
    }

    /// What another process on the same database has.
    pub async fn ground(&self) -> Ground {
        static METRICS: OnceLock<Metrics> = OnceLock::new();
        let metrics = METRICS.get_or_init(|| Metrics::install().expect("no other recorder"));
        let connections = self.settings.database.max_connections;
        Ground {
            pool: store::connect(self.way.clone(), connections).await.expect("the database answers"),
            embedded: false,
            sealer: self.sealer.clone(),
            tokens: self.tokens.clone(),
            metrics: metrics.clone(),
        }
    }

    /// The files as another process on the same store sees them.
    pub fn files(&self) -> Files {
        Files::open(&self.settings, self.pool.clone(), Egress::new(&self.settings.egress)).expect("the folder is ours")
    }

    /// Messages may be left on their way at the end of the test.
    pub fn leave_messages(&self) {
        self.may_leave_messages.set(true);
    }

    /// A caller with all scopes but `admin`.
    pub fn user(&self, id: i32) -> Client {
        self.caller(
            id,
            &[
                Scope::IntegrationsRead,
                Scope::IntegrationsWrite,
                Scope::MessagesSend,
                Scope::AuditRead,
                Scope::UsersDelete,
            ],
        )
    }

    /// An administrator.
    pub fn admin(&self) -> Client {
        self.caller(1, &[Scope::Admin])
    }

    /// A caller with these scopes.
    pub fn caller(&self, id: i32, scopes: &[Scope]) -> Client {
        let scopes: ScopeSet = scopes.iter().copied().collect();
        let token = mint(&self.tokens, id, scopes, Duration::from_mins(10)).expect("the secret is long enough");
        self.bearer(Some(token))
    }

    /// A caller with this token, or without one.
    pub fn bearer(&self, token: Option<String>) -> Client {
        self.secrets.borrow_mut().extend(token.clone());
        let (http, transcript) = (self.http.clone(), self.transcript.clone());
        Client { http, base: format!("http://{}", self.address), token, transcript }
    }

    /// The token of a bot that was just made at Telegram.
    pub fn new_token(&self) -> String {
        self.secret(self.sim.add_bot())
    }

    /// From now on this must appear nowhere.
    pub fn secret(&self, text: String) -> String {
        self.secrets.borrow_mut().push(text.clone());
        text
    }

    /// Connects a new bot of [`USER`].
    pub async fn connect_bot(&self) -> Bot {
        self.connect_bot_of(&self.user).await
    }

    pub async fn connect_bot_of(&self, owner: &Client) -> Bot {
        let token = self.new_token();
        let body = owner.post(BOTS, &json!({ "token": token })).await.ok(201);
        let id = id_of(&body);
        Bot { id, telegram_id: token_bot_id(&token).expect("it has an id"), token }
    }

    /// The chat of a new person who has started the bot.
    pub fn person(&self, bot: &Bot) -> i64 {
        self.sim.add_user_of(&bot.token)
    }

    pub fn people(&self, bot: &Bot, count: usize) -> Vec<i64> {
        (0..count).map(|_| self.person(bot)).collect()
    }

    /// Sends a text; it must be accepted.
    pub async fn send(&self, bot: &Bot, chat: i64, text: &str) -> Uuid {
        self.send_body(bot, &json!({ "chat_id": chat, "text": text })).await
    }

    /// Sends a body; it must be accepted.
    pub async fn send_body(&self, bot: &Bot, body: &Value) -> Uuid {
        id_of(&self.user.post(&bot.send_path(), body).await.ok(202))
    }

    /// A message as it is now, whoever owns it.
    pub async fn message(&self, id: Uuid) -> Value {
        self.user.get(&format!("{MESSAGES}/{id}")).await.ok(200)
    }

    /// Waits until a message is in this state.
    pub async fn until(&self, id: Uuid, status: &str) -> Value {
        self.until_of(&self.user, id, status).await
    }

    /// The same for a message of another caller.
    pub async fn until_of(&self, caller: &Client, id: Uuid, status: &str) -> Value {
        let seen = RefCell::new(Value::Null);
        eventually(&format!("the message {id} is {status}"), async || {
            *seen.borrow_mut() = caller.get(&format!("{MESSAGES}/{id}")).await.ok(200);
            let reached = seen.borrow()["status"] == status;
            let dead_end = ["sent", "failed", "cancelled"].iter().any(|end| seen.borrow()["status"] == *end);
            assert!(reached || !dead_end, "expected {status}: {}", seen.borrow());
            reached
        })
        .await;
        seen.into_inner()
    }

    /// Waits until an attempt was refused and the message is queued again.
    pub async fn until_refused(&self, id: Uuid) -> Value {
        let seen = RefCell::new(Value::Null);
        eventually(&format!("the message {id} was refused"), async || {
            *seen.borrow_mut() = self.message(id).await;
            let over = ["sent", "failed", "unknown", "cancelled"].iter().any(|end| seen.borrow()["status"] == *end);
            assert!(!over, "it was not refused: {}", seen.borrow());
            seen.borrow()["status"] == "queued" && seen.borrow()["attempts"] != 0
        })
        .await;
        seen.into_inner()
    }

    /// Waits until the service has let go of a bot that was switched off, deleted or refused.
    pub async fn until_given_back(&self, bot: &Bot) {
        eventually("the bot is given back", async || {
            let owned = "SELECT EXISTS (SELECT 1 FROM sender_leases WHERE sender_id = $1 AND worker_id IS NOT NULL)";
            !sqlx::query_scalar::<_, bool>(owned).bind(bot.id).fetch_one(&self.pool).await.expect("the table exists")
        })
        .await;
    }

    pub async fn until_all(&self, ids: &[Uuid], status: &str) {
        for id in ids {
            self.until(*id, status).await;
        }
    }

    /// Cancels, resends or dismisses a message; it must be possible.
    pub async fn change(&self, id: Uuid, verb: &str) -> Value {
        self.user.post(&format!("{MESSAGES}/{id}/{verb}"), &json!({})).await.ok(200)
    }

    /// How often a text arrived at Telegram.
    pub fn arrived(&self, text: &str) -> usize {
        self.sim.arrived(text)
    }

    /// What arrived in a chat of a bot, in order.
    pub fn arrivals(&self, bot: &Bot, chat: i64) -> Vec<Arc<Message>> {
        let place = Some(Place::seen_by(bot.telegram_id, chat));
        let filter = Filter { place, deleted: true, ..Filter::default() };
        self.sim.world().lock().messages().find(&filter).cloned().collect()
    }

    /// The texts that arrived in a chat of a bot, in order.
    pub fn texts(&self, bot: &Bot, chat: i64) -> Vec<String> {
        self.arrivals(bot, chat).iter().map(|message| message.body.text.clone()).collect()
    }

    /// Lets something happen to the next so many messages to a chat.
    pub fn disturb(&self, chat: i64, times: u32, action: FaultAction) -> u64 {
        self.sim.add_fault(Fault::new(action).method("sendMessage").chat(chat).times(times))
    }

    /// How many requests a fault has hit.
    pub fn hits(&self, fault: u64) -> u64 {
        self.sim.api().faults().list().iter().find(|active| active.id == fault).map_or(0, |active| active.hits)
    }

    /// How often a method was called at Telegram.
    pub fn calls(&self, method: &str) -> u64 {
        self.sim.api().counters().get().requests.get(&method.to_lowercase()).copied().unwrap_or_default()
    }

    /// Calls a method of the Bot API beside the service.
    pub async fn telegram(&self, token: &str, method: &str, body: &Value) -> Value {
        let call = self.http.post(format!("{}/bot{token}/{method}", self.sim.bot_api_url())).json(body);
        let mut answer: Value = call.send().await.expect("it answers").json().await.expect("it is JSON");
        assert_eq!(answer["ok"], true, "{answer}");
        answer["result"].take()
    }

    /// Takes Telegram off the network while something happens.
    pub async fn without_telegram(&mut self, during: impl AsyncFnOnce(&Self)) {
        let world = self.sim.world().clone();
        let start = async |bot_api| {
            let world = Some(world.clone());
            let limits = Limits { enabled: false, ..Limits::default() };
            let options = SimOptions { bot_api, mtproto: None, control: None, limits, world, ..SimOptions::default() };
            Sim::start(options).await.expect("the address is free")
        };
        let address = self.sim.bot_api;
        std::mem::replace(&mut self.sim, start(None).await).stop().await;
        during(self).await;
        self.sim = start(address).await;
    }

    /// Opens the event stream of a caller; `query` begins with `?`, or is empty.
    pub async fn events(&self, caller: &Client, query: &str, last: Option<&str>) -> EventStream {
        EventStream::open(caller, &format!("{EVENTS}{query}"), last).await
    }
}

impl TestApp {
    /// All rows of the database as text.
    pub fn dump(&self) -> String {
        testdb::apart(aftermath::look(self.db.options(), true))
    }
}

/// A simulator without limits; its MTProto half, with the control API that publishes its keys, only where accounts need it.
async fn simulator(with_accounts: bool) -> Sim {
    let mut options = SimOptions { limits: Limits { enabled: false, ..Limits::default() }, ..SimOptions::default() };
    options.mtproto_settings.limits = false;
    if !with_accounts {
        (options.mtproto, options.control) = (None, None);
    }
    Sim::start(options).await.expect("the simulator starts")
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.soft.cancel();
        if std::thread::panicking() {
            let dump = self.dump();
            let told = |line: &&str| line.starts_with("messages_") || line.starts_with("message_attempts_");
            let messages: Vec<&str> = dump.lines().filter(told).take(50).collect();
            eprintln!("the messages:\n{}\nthe end of the log:\n{}", messages.join("\n"), log::tail(40));
            return;
        }
        let options = self.db.options();
        let dump = testdb::apart(aftermath::look(options, self.may_leave_messages.get()));
        let places = [("database", &*dump), ("answers", &self.transcript.so_far()), ("log", &log::so_far())];
        aftermath::search(&places, &self.secrets.borrow());
    }
}

/// The id in an answer.
pub fn id_of(body: &Value) -> Uuid {
    let id = body["id"].as_str().and_then(|id| id.parse().ok());
    id.unwrap_or_else(|| panic!("no id in {body}"))
}

/// What Telegram answers when it wants to be left alone.
pub fn too_many_requests(seconds: u64) -> FaultAction {
    FaultAction::Error {
        error_code: 429,
        description: format!("Too Many Requests: retry after {seconds}"),
        parameters: Some(json!({ "retry_after": seconds })),
    }
}
