//! Several processes on one database: the API here, the worker in the real binary, which can be killed.

use std::fs::File;
use std::process::Stdio;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service::server::Roles;
use service::shutdown::Shutdown;
use sqlx::ConnectOptions as _;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::common::app::TestApp;
use crate::common::client::Client;
use crate::common::eventually;
use crate::cuts::{each_arrived_once, send_many, until_arrived};
use crate::people::{
    PASSWORD, Person, account_of, begin_phone, connect, connected_with_friends, friends_of, login_path, start,
};

/// The binary as a worker.
struct Worker {
    child: Child,
    data: TempDir,
}

impl Worker {
    fn start(app: &TestApp) -> Self {
        let data = tempfile::tempdir().unwrap();
        // Both need the keys; the folder is one process's.
        std::fs::copy(app.settings.data_dir.join("keyring.json"), data.path().join("keyring.json")).unwrap();
        let telegram = &app.settings.telegram;
        let (application, server) = (telegram.application.as_ref().unwrap(), telegram.test_server.as_ref().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_integrations"))
            .args(["serve", "--roles", "worker"])
            .current_dir(data.path())
            .env("INTEGRATIONS_DATA_DIR", data.path())
            .env("INTEGRATIONS_DATABASE__URL", app.db.options().to_url_lossy().as_str())
            .env("INTEGRATIONS_DATABASE__MAX_CONNECTIONS", "8")
            .env("INTEGRATIONS_LOG__LEVEL", "debug")
            .env("INTEGRATIONS_LOG__FORMAT", "json")
            .env("INTEGRATIONS_TELEGRAM__BOT_API_URL", &telegram.bot_api_url)
            .env("INTEGRATIONS_TELEGRAM__API_ID", application.api_id.to_string())
            .env("INTEGRATIONS_TELEGRAM__API_HASH", application.api_hash.expose_secret())
            .env("INTEGRATIONS_TELEGRAM__TEST_SERVER__ADDRESS", &server.address)
            .env("INTEGRATIONS_TELEGRAM__TEST_SERVER__KEYS_URL", &server.keys_url)
            .env("INTEGRATIONS_TELEGRAM__ACCOUNT_PER_SECOND", "1000")
            .env("INTEGRATIONS_TELEGRAM__PRIVATE_CHAT_PER_SECOND", "1000")
            .stdout(File::create(data.path().join("log")).unwrap())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, data }
    }

    /// `kill -9`; afterwards no secret may stand in what it logged.
    async fn kill(mut self, app: &TestApp) {
        self.child.kill().await.unwrap();
        let log = std::fs::read_to_string(self.data.path().join("log")).unwrap();
        for secret in app.secrets.borrow().iter() {
            assert!(!log.contains(secret.as_str()), "a secret stands in the log of the worker");
        }
    }
}

/// The service as a process that only answers requests, and another one like it.
async fn without_worker(app: &mut TestApp) -> (Client, Shutdown) {
    app.stop_service().await;
    app.shutdown = Shutdown::default();
    let (shutdown, roles) = (app.shutdown.clone(), Roles { api: true, worker: false });
    let first = service::server::start(&app.settings, roles, app.ground().await, &shutdown).await.unwrap().unwrap();
    let second = service::server::start(&app.settings, roles, app.ground().await, &shutdown).await.unwrap().unwrap();
    app.address = first;
    app.user.base = format!("http://{first}");
    let other = Client { base: format!("http://{second}"), ..app.user.clone() };
    (other, shutdown)
}

/// The living worker that drives a login.
async fn driver(app: &TestApp, login: &Value) -> Option<String> {
    sqlx::query_scalar(
        "SELECT w.id::text FROM logins l JOIN workers w ON w.id = l.worker_id AND w.valid_until >= now()
         WHERE l.id::text = $1",
    )
    .bind(login["id"].as_str())
    .fetch_optional(&app.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn calls_reach_the_driver_in_another_process() {
    let mut app = start().await;
    let person = Person::with_password(&app.sim);
    let friend = friends_of(&app, &person, 1)[0];
    let (other, _shutdown) = without_worker(&mut app).await;
    let worker = Worker::start(&app);
    let login = begin_phone(&app.user, &person).await;
    let path = login_path(&login);
    eventually("the code was sent", async || app.user.get(&path).await.ok(200)["step"]["type"] == "code").await;
    let asked = other.post(&format!("{path}/code"), &json!({ "code": person.code(&app) })).await.ok(202);
    assert_eq!(asked["step"]["type"], "password", "{asked}");
    other.post(&format!("{path}/password"), &json!({ "password": "wrong" })).await.problem(422, "password_invalid");
    let done = app.user.post(&format!("{path}/password"), &json!({ "password": PASSWORD })).await.ok(202);
    assert_eq!(done["step"]["type"], "done", "{done}");
    let route = format!("{}/{}/send", crate::people::ACCOUNTS, account_of(&done));
    let sent = other.post(&route, &json!({ "chat_id": friend, "text": "from afar" })).await.ok(202);
    app.until(crate::common::app::id_of(&sent), "sent").await;
    worker.kill(&app).await;
}

#[tokio::test]
async fn a_driver_killed_before_the_password_has_a_successor() {
    let mut app = start().await;
    let person = Person::with_password(&app.sim);
    let (other, _shutdown) = without_worker(&mut app).await;
    let worker = Worker::start(&app);
    let login = begin_phone(&app.user, &person).await;
    let path = login_path(&login);
    eventually("the code was sent", async || app.user.get(&path).await.ok(200)["step"]["type"] == "code").await;
    let asked = app.user.post(&format!("{path}/code"), &json!({ "code": person.code(&app) })).await.ok(202);
    assert_eq!(asked["step"]["type"], "password", "{asked}");
    let dead = driver(&app, &login).await.unwrap();
    worker.kill(&app).await;
    let worker = Worker::start(&app);
    eventually("another worker drives the login", async || driver(&app, &login).await.is_some_and(|id| id != dead))
        .await;
    let shown = app.user.get(&path).await.ok(200);
    assert_eq!((&shown["step"]["type"], &shown["step"]["hint"]), (&json!("password"), &json!("a comic")), "{shown}");
    let done = other.post(&format!("{path}/password"), &json!({ "password": PASSWORD })).await.ok(202);
    assert_eq!(done["step"]["type"], "done", "{done}");
    assert_eq!((person.sessions(&app), app.sim.accounts().counters().auth_key_duplicated), (1, 0));
    worker.kill(&app).await;
}

#[tokio::test]
async fn a_worker_killed_in_the_middle_of_sends_loses_and_doubles_nothing() {
    let mut app = start().await;
    let (account, friends) = connected_with_friends(&app, 20).await;
    let (_, _shutdown) = without_worker(&mut app).await;
    let worker = Worker::start(&app);
    send_many(&app, &account, &friends, 600).await;
    until_arrived(&app, &account, 50).await;
    worker.kill(&app).await;
    let worker = Worker::start(&app);
    each_arrived_once(&app, &account, 600).await;
    account.until(&app, "active").await;
    worker.kill(&app).await;
}

#[tokio::test]
async fn an_account_that_was_connected_here_goes_on_there() {
    let mut app = start().await;
    let person = Person::new(&app.sim);
    let friend = friends_of(&app, &person, 1)[0];
    let account = connect(&app, &person).await;
    let (_, _shutdown) = without_worker(&mut app).await;
    let waits = account.send(&app, friend, "waits for a worker").await;
    assert_eq!(app.message(waits).await["status"], "queued");
    let worker = Worker::start(&app);
    app.until(waits, "sent").await;
    assert_eq!((person.sessions(&app), app.sim.accounts().counters().auth_key_duplicated), (1, 0));
    worker.kill(&app).await;
}

#[tokio::test]
async fn a_question_is_answered_by_the_process_that_has_the_account() {
    let mut app = start().await;
    let person = Person::new(&app.sim);
    // More than a notification can carry.
    let friends = friends_of(&app, &person, 150);
    let account = connect(&app, &person).await;
    let (other, _shutdown) = without_worker(&mut app).await;
    let path = format!("{}/dialogs", account.path());
    let refused = other.get(&path).await.problem(503, "telegram_unavailable");
    assert!(refused["detail"].as_str().unwrap().contains("not connected at the moment"), "{refused}");
    let worker = Worker::start(&app);
    eventually("the account is connected there", async || other.get(&path).await.status == 200).await;
    let (mine, theirs) = tokio::join!(app.user.get(&path), other.get(&path));
    let mine = mine.ok(200);
    assert_eq!(mine, theirs.ok(200));
    let listed: Vec<i64> =
        mine["items"].as_array().unwrap().iter().map(|chat| chat["chat_id"].as_i64().unwrap()).collect();
    assert!(friends.iter().all(|friend| listed.contains(friend)), "{listed:?}");
    assert!(serde_json::to_string(&mine).unwrap().len() > 8000);

    account.refuse(&app, "messages.getDialogs", 420, "FLOOD_WAIT_7", 1);
    let answer = other.get(&path).await;
    assert_eq!(answer.headers["retry-after"], "7");
    let refused = answer.problem(503, "telegram_unavailable");
    assert!(refused["detail"].as_str().unwrap().contains("flood_wait"), "{refused}");

    worker.kill(&app).await;
    // Its owner is dead: that is found out, and nobody waits for ever.
    other.get(&path).await.problem(503, "telegram_unavailable");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM questions WHERE answer IS NOT NULL")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(left, 0, "an answer that was read is gone");
}
