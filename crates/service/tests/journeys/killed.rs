//! The process is killed with a thousand messages on their way, at any moment: each arrives once, or is shown as `unknown`.
//!
//! `KILLS` is how often; by default once, since it takes a while.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::sync::{Mutex, RwLock};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use rand::RngExt as _;
use reqwest::StatusCode;
use serde_json::{Value, json};
use service::auth::{Scope, TokenOptions, mint};
use sqlx::ConnectOptions as _;
use telegram_sim::bot_api::{Fault, FaultAction, Limits};
use telegram_sim::{Sim, SimOptions};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::common::app::{BOTS, MESSAGES};
use crate::common::eventually;

const BOT_COUNT: usize = 40;
const CHATS_PER_BOT: usize = 5;
const MESSAGE_COUNT: usize = 1000;
/// Requests at the same time.
const POSTERS: usize = 20;
const SECRET: &str = "a-secret-of-the-tests-with-32-bytes-or-more";

/// The service as a process of its own, with its private PostgreSQL.
struct Machine {
    folder: TempDir,
    sim: Sim,
    http: reqwest::Client,
    token: String,
    base: RwLock<String>,
    starts: Mutex<usize>,
}

impl Machine {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // PostgreSQL's own user has to pass through it.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let limits = Limits { enabled: false, ..Limits::default() };
        let options = SimOptions { mtproto: None, control: None, limits, ..SimOptions::default() };
        let sim = Sim::start(options).await.unwrap();
        let tokens = TokenOptions { secret: Some(SECRET.into()), ..TokenOptions::default() };
        let token = mint(&tokens, 7, [Scope::Admin].into_iter().collect(), Duration::from_hours(1)).unwrap();
        let (base, starts) = (RwLock::default(), Mutex::default());
        Self { folder, sim, http: reqwest::Client::new(), token, base, starts }
    }

    /// Starts the service and waits until it takes requests.
    async fn start(&self) -> Child {
        let number = {
            let mut starts = self.starts.lock().unwrap();
            *starts += 1;
            *starts
        };
        let log = self.folder.path().join(format!("log.{number}"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_integrations"))
            .arg("serve")
            .current_dir(self.folder.path())
            .env("INTEGRATIONS_DATA_DIR", self.folder.path().join("data"))
            .env("INTEGRATIONS_HTTP__BIND", "127.0.0.1:0")
            .env("INTEGRATIONS_LOG__LEVEL", "debug")
            .env("INTEGRATIONS_AUTH__JWT_SECRET", SECRET)
            .env("INTEGRATIONS_TELEGRAM__BOT_API_URL", self.sim.bot_api_url())
            .env("INTEGRATIONS_TELEGRAM__BOT_PER_SECOND", "10000")
            .env("INTEGRATIONS_TELEGRAM__PRIVATE_CHAT_PER_SECOND", "1000")
            .stdout(Stdio::from(std::fs::File::create(&log).unwrap()))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually("the service is ready", async || {
            assert!(child.try_wait().unwrap().is_none(), "{}", std::fs::read_to_string(&log).unwrap());
            let text = std::fs::read_to_string(&log).unwrap();
            let ready = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let ready = ready.into_iter().find(|line| line["message"] == "ready");
            if let Some(address) = ready.as_ref().and_then(|line| line["labels.address"].as_str()) {
                *self.base.write().unwrap() = format!("http://{address}");
            }
            ready.is_some()
        })
        .await;
        child
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.read().unwrap())
    }

    /// Sends until it is accepted, as a careful client does: with the same key.
    async fn post(&self, path: &str, key: &str, body: &Value) -> Value {
        loop {
            let request = self.http.post(self.url(path)).bearer_auth(&self.token).header("Idempotency-Key", key);
            if let Ok(response) = request.json(body).send().await {
                let status = response.status();
                if status.is_success()
                    && let Ok(answer) = response.json().await
                {
                    return answer;
                }
                let again = status.is_success() || status.is_server_error() || status == StatusCode::CONFLICT;
                assert!(again, "{status}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn list(&self, query: &str) -> Vec<Value> {
        let request = self.http.get(self.url(&format!("{MESSAGES}?{query}"))).bearer_auth(&self.token);
        let mut page: Value = request.send().await.unwrap().json().await.unwrap();
        page["items"].as_array_mut().map(std::mem::take).unwrap()
    }

    async fn connect_bots(&self) -> Vec<(Uuid, Vec<i64>)> {
        let mut bots = Vec::new();
        for n in 0..BOT_COUNT {
            let token = self.sim.add_bot();
            let connected =
                self.post(BOTS, &format!("connect {n}").replace(' ', "-"), &json!({ "token": token })).await;
            let chats = (0..CHATS_PER_BOT).map(|_| self.sim.add_user_of(&token)).collect();
            bots.push((connected["id"].as_str().unwrap().parse().unwrap(), chats));
        }
        bots
    }

    /// How many messages are on the wire, by the database that outlived the process.
    async fn on_the_wire(&self) -> usize {
        let options = service::postgres::running_options(&self.folder.path().join("data"));
        let mut connection = options.connect().await.unwrap();
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM messages WHERE status = 'sending'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        usize::try_from(count).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_doubled() {
    let kills: usize = std::env::var("KILLS").map_or(1, |kills| kills.parse().expect("KILLS is a number"));
    let machine = Machine::new().await;
    let mut child = machine.start().await;
    let bots = machine.connect_bots().await;
    // Long enough that there is always something on the wire.
    machine.sim.add_fault(Fault::new(FaultAction::Delay { ms: 30 }).method("sendMessage"));
    for round in 0..kills {
        let before = machine.sim.world().lock().messages().arrived();
        let kill_at = before + rand::rng().random_range(1..=MESSAGE_COUNT as u64 * 9 / 10);
        let ids: Mutex<HashMap<String, usize>> = Mutex::default();
        let post = async |n: usize| {
            let (bot, chats) = &bots[n % BOT_COUNT];
            let body = json!({ "chat_id": chats[n / BOT_COUNT % CHATS_PER_BOT], "text": format!("{round}: {n}") });
            let accepted = machine.post(&format!("{BOTS}/{bot}/send"), &format!("{round}-{n}"), &body).await;
            ids.lock().unwrap().insert(accepted["id"].as_str().unwrap().to_owned(), n);
        };
        let posting = async {
            let mut running = FuturesUnordered::new();
            for n in 0..MESSAGE_COUNT {
                running.push(post(n));
                if running.len() >= POSTERS {
                    running.next().await;
                }
            }
            while running.next().await.is_some() {}
        };
        let killing = async {
            eventually("enough arrived", async || machine.sim.world().lock().messages().arrived() >= kill_at).await;
            child.kill().await.unwrap();
            let on_the_wire = machine.on_the_wire().await;
            child = machine.start().await;
            on_the_wire
        };
        let ((), on_the_wire) = tokio::join!(posting, killing);
        assert_eq!(ids.lock().unwrap().len(), MESSAGE_COUNT, "each was accepted once");
        eventually("all are at their end", async || machine.list("status=queued,sending&limit=1").await.is_empty())
            .await;
        let unknown: Vec<Value> = machine.list("status=unknown&limit=200").await;
        let unknown: Vec<usize> =
            unknown.iter().filter_map(|m| ids.lock().unwrap().get(m["id"].as_str()?).copied()).collect();
        assert!(unknown.len() <= on_the_wire, "{} unknown, {on_the_wire} on the wire", unknown.len());
        for n in 0..MESSAGE_COUNT {
            let arrived = machine.sim.arrived(&format!("{round}: {n}"));
            let right = arrived == 1 || (arrived == 0 && unknown.contains(&n));
            assert!(right, "message {n} of round {round} arrived {arrived} times; unknown: {unknown:?}");
        }
        println!("round {round}: killed with {on_the_wire} on the wire, {} unknown", unknown.len());
    }
    end(child).await;
}

/// Ends the service in order, and its database with it.
async fn end(mut child: Child) {
    use rustix::process::{Pid, Signal, kill_process};
    let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(child.wait().await.unwrap().success());
}
