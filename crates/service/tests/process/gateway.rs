//! The gateway of `deploy/` in front of two API processes and two workers.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use sqlx::ConnectOptions as _;
use telegram_sim::Sim;
use tempfile::TempDir;
use testdb::TestDb;
use testservers::HaProxy;
use uuid::Uuid;

use crate::support::{Api, Machine, Service, Telegram, must_end, sim, until};

const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/gateway/haproxy.cfg");
const STREAM: &str = "/api/integrations/events";

/// Machines of one installation: they share the database, the keys and the files.
fn machine(database: &TestDb, telegram: &str, shared: &Path) -> Machine {
    Machine::new()
        .with("INTEGRATIONS_DATABASE__URL", database.options().to_url_lossy())
        .with("INTEGRATIONS_DATABASE__MAX_CONNECTIONS", 8)
        .with("INTEGRATIONS_KEYS__FILE", shared.join("keyring.json").display())
        .with("INTEGRATIONS_FILES__URL", shared.join("files").display())
        .with("INTEGRATIONS_HTTP__TRUSTED_PROXIES", "127.0.0.1")
        .with("INTEGRATIONS_WORKER__BIND", "127.0.0.1:0")
        .with("INTEGRATIONS_TELEGRAM__BOT_API_URL", telegram)
        .with("INTEGRATIONS_TELEGRAM__PRIVATE_CHAT_PER_SECOND", 1000)
}

async fn serve(machine: &Machine, roles: &str) -> Service {
    let mut service = Service::spawn(machine.command(&["serve", "--roles", roles]));
    service.ready().await;
    service
}

fn address(service: &Service) -> String {
    service.url().trim_start_matches("http://").to_owned()
}

async fn is_ready(url: &str) -> bool {
    reqwest::get(format!("{url}/health/ready")).await.is_ok_and(|answer| answer.status() == 200)
}

/// Reads a stream until this message was sent.
async fn told(stream: &mut reqwest::Response, id: Uuid) {
    let mut text = String::new();
    must_end("the event comes", async {
        loop {
            text.push_str(&String::from_utf8_lossy(&stream.chunk().await.unwrap().expect("it goes on")));
            if text.contains("message.sent") && text.contains(&id.to_string()) {
                return;
            }
        }
    })
    .await;
}

/// Two API processes and two workers; the gateway is started for them.
struct Site {
    machines: Vec<Machine>,
    telegram: Sim,
    token: String,
    _database: TestDb,
    _shared: TempDir,
}

impl Site {
    async fn new() -> Self {
        let (database, telegram) = (TestDb::empty().await, sim().await);
        let shared = tempfile::tempdir().unwrap();
        let machines: Vec<Machine> =
            (0..4).map(|_| machine(&database, &telegram.bot_api_url(), shared.path())).collect();
        let token = machines[0].token().await;
        Self { machines, telegram, token, _database: database, _shared: shared }
    }

    async fn gateway(&self, one: &Service, two: &Service) -> (HaProxy, Api) {
        let addresses = [("API_1", address(one)), ("API_2", address(two))];
        let gateway = HaProxy::start(Path::new(CONFIGURATION), &addresses);
        until("it knows of its replicas", async || is_ready(&gateway.url()).await).await;
        let api = Api::new(&gateway.url(), &self.token);
        (gateway, api)
    }

    async fn stream(&self, gateway: &HaProxy) -> reqwest::Response {
        let request = reqwest::Client::new().get(format!("{}{STREAM}", gateway.url())).bearer_auth(&self.token);
        let stream = request.send().await.unwrap();
        assert_eq!(stream.status(), 200);
        stream
    }
}

/// Its health and its metrics, and nothing else.
async fn tells_of_itself(worker: &Service) {
    let url = worker.url();
    assert!(is_ready(&url).await);
    until("it counts", async || {
        let metrics = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
        metrics.contains("telegram_sessions_active")
    })
    .await;
    assert_eq!(reqwest::get(format!("{url}{STREAM}")).await.unwrap().status(), 404);
}

#[tokio::test]
async fn requests_go_on_while_replicas_come_and_go() {
    let site = Site::new().await;
    let (one, two) = (serve(&site.machines[0], "api").await, serve(&site.machines[1], "api").await);
    let workers = [serve(&site.machines[2], "worker").await, serve(&site.machines[3], "worker").await];
    for worker in &workers {
        tells_of_itself(worker).await;
    }
    let (gateway, api) = site.gateway(&one, &two).await;
    let bot = Telegram::bots(&site.telegram, 1, 1).remove(0);
    let (id, chat) = (api.connect_bot(&bot.token).await, bot.chats[0]);

    // Live, not when a buffer is full.
    let mut stream = site.stream(&gateway).await;
    told(&mut stream, api.send(id, chat, "live").await).await;
    assert_eq!(reqwest::get(format!("{}/metrics", gateway.url())).await.unwrap().status(), 404);
    let forged = reqwest::Client::new().get(format!("{}/health/live", gateway.url()));
    forged.header("X-Forwarded-For", "203.0.113.9").send().await.unwrap();
    let log = format!("{}{}", one.log(), two.log());
    assert!(log.contains("/health/live") && !log.contains("203.0.113.9"), "nobody chooses his own address");

    // Killed without a word: what cannot be connected to has seen nothing, so that another replica gets it.
    one.kill().await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(api.send(id, chat, &format!("one-is-gone-{n}")).await);
    }
    let mut stream = site.stream(&gateway).await;
    told(&mut stream, api.send(id, chat, "live-again").await).await;
    for id in &ids {
        until("it is sent", async || api.status(*id).await == "sent").await;
    }

    // It is back, at another port; now the other one is ended in order.
    drop(gateway);
    let back = serve(&site.machines[0], "api").await;
    let (_gateway, api) = site.gateway(&back, &two).await;
    two.signal(Signal::TERM);
    for n in 0..20 {
        let text = format!("two-is-leaving-{n}");
        // A request on a connection that closes just then has no answer: it is repeated with its key, and done once.
        until("it is accepted", async || matches!(api.offer(id, chat, &text).await, Ok((202, _)))).await;
    }
    two.stop().await;
    back.stop().await;
    let (status, problem) = api.get("/api/integrations/messages").await;
    assert_eq!((status, &problem["code"]), (503, &Value::from("gateway_unavailable")), "{problem}");
    for worker in workers {
        worker.stop().await;
    }
    let arrived = crate::support::arrived(&site.telegram, "");
    assert_eq!(arrived.len(), 42, "each once: {arrived:?}");
}
