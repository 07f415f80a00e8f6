//! The people of the stories: their accounts at Telegram, their phones, and what they do to connect.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use telegram_sim::Sim;
use telegram_sim::mtproto::NewAccount;
use telegram_sim::mtproto::faults::Fault;
use telegram_sim::world::{Filter, NewUser};
use uuid::Uuid;

use crate::common::TestApp;
use crate::common::app::id_of;
use crate::common::client::Client;
use crate::common::eventually;

pub const CONNECT: &str = "/api/integrations/telegram/connect";
pub const ACCOUNTS: &str = "/api/integrations/telegram/accounts";

/// An application's identity and no pacing.
pub const SETTINGS: [(&str, &str); 3] = [
    ("INTEGRATIONS_TELEGRAM__API_ID", "12345"),
    ("INTEGRATIONS_TELEGRAM__API_HASH", "0123456789abcdef0123456789abcdef"),
    ("INTEGRATIONS_TELEGRAM__ACCOUNT_PER_SECOND", "1000"),
];

/// A password that no other text contains.
pub const PASSWORD: &str = "correct-horse-battery-staple";

/// The service with accounts. No code or password may stand in its database, its log or its answers at the end.
pub async fn start() -> TestApp {
    start_with(&[]).await
}

pub async fn start_with(settings: &[(&str, &str)]) -> TestApp {
    let app = TestApp::start_with(&[&SETTINGS, settings].concat()).await;
    app.secrets.borrow_mut().push(PASSWORD.to_owned());
    app
}

/// Somebody with an account at Telegram and a phone in the hand.
#[derive(Debug, Clone)]
pub struct Person {
    /// The account's id at Telegram.
    pub id: i64,
    /// With `+`.
    pub phone: String,
}

impl Person {
    pub fn new(sim: &Sim) -> Self {
        Self::with(sim, NewAccount::default())
    }

    /// Whose account lives at another data centre than logins begin at.
    pub fn far_away(sim: &Sim) -> Self {
        Self::with(sim, NewAccount { dc: Some(4), ..NewAccount::default() })
    }

    pub fn with_password(sim: &Sim) -> Self {
        Self::with(sim, password())
    }

    pub fn with(sim: &Sim, account: NewAccount) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(15_550_000_000);
        let phone = format!("+{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let id = sim.accounts().create_account(NewAccount { phone: phone.clone(), ..account }).unwrap();
        Self { id, phone }
    }

    /// Scans the QR code of a login.
    pub fn scan(&self, app: &TestApp, login: &Value) {
        app.sim.accounts().scan(self.id, login["step"]["url"].as_str().unwrap()).unwrap();
    }

    /// The code that came last.
    pub fn code(&self, app: &TestApp) -> String {
        app.sim.accounts().login_code(&self.phone).expect("a code was sent")
    }

    /// How many programs are signed in.
    pub fn sessions(&self, app: &TestApp) -> usize {
        app.sim.accounts().authorizations(self.id).len()
    }
}

/// Two-step verification, with a hint.
pub fn password() -> NewAccount {
    NewAccount { password: Some(PASSWORD.to_owned()), hint: Some("a comic".to_owned()), ..NewAccount::default() }
}

/// An account that was connected.
#[derive(Debug, Clone)]
pub struct Connected {
    pub id: Uuid,
    pub person: Person,
}

impl Connected {
    pub fn path(&self) -> String {
        format!("{ACCOUNTS}/{}", self.id)
    }

    /// The account as it is now.
    pub async fn now(&self, app: &TestApp) -> Value {
        app.user.get(&self.path()).await.ok(200)
    }

    pub async fn until(&self, app: &TestApp, status: &str) -> Value {
        let seen = RefCell::new(Value::Null);
        eventually(&format!("the account is {status}"), async || {
            *seen.borrow_mut() = self.now(app).await;
            seen.borrow()["status"] == status
        })
        .await;
        seen.into_inner()
    }

    /// Sends a text; it must be accepted.
    pub async fn send(&self, app: &TestApp, chat: i64, text: &str) -> Uuid {
        self.send_body(app, &json!({ "chat_id": chat, "text": text })).await
    }

    pub async fn send_body(&self, app: &TestApp, body: &Value) -> Uuid {
        id_of(&app.user.post(&format!("{}/send", self.path()), body).await.ok(202))
    }

    /// Somebody who has written to the account just now, and whom it has heard.
    pub async fn new_friend(&self, app: &TestApp) -> i64 {
        let mut events = app.events(&app.user, "", None).await;
        let friend = friends_of(app, &self.person, 1)[0];
        events.until(|event| event.kind == "account.message_new" && event.data["data"]["chat_id"] == friend).await;
        friend
    }

    /// The texts that the account wrote, in the order of their arrival.
    pub fn wrote(&self, app: &TestApp) -> Vec<String> {
        let filter = Filter { from: Some(self.person.id), deleted: true, ..Filter::default() };
        app.sim.world().lock().messages().find(&filter).map(|message| message.body.text.clone()).collect()
    }

    /// Lets Telegram answer the account's next calls of a method with an error.
    pub fn refuse(&self, app: &TestApp, method: &str, code: i32, error: &str, times: u32) {
        app.sim.accounts().add_fault(Fault::error(method, code, error).for_user(self.person.id).times(times));
    }
}

/// Begins a login.
pub async fn begin(caller: &Client, body: &Value) -> Value {
    caller.post(CONNECT, body).await.ok(202)
}

pub async fn begin_qr(caller: &Client) -> Value {
    begin(caller, &json!({ "method": "qr" })).await
}

pub async fn begin_phone(caller: &Client, person: &Person) -> Value {
    begin(caller, &json!({ "method": "phone", "phone": person.phone })).await
}

/// Where a login is.
pub fn login_path(login: &Value) -> String {
    format!("{CONNECT}/{}", id_of(login))
}

/// Waits until a login fits.
pub async fn login_until(caller: &Client, login: &Value, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let seen = RefCell::new(Value::Null);
    let path = login_path(login);
    eventually(&format!("the login is {what}"), async || {
        *seen.borrow_mut() = caller.get(&path).await.ok(200);
        let over = ["done", "failed", "cancelled"].iter().any(|end| seen.borrow()["status"] == *end);
        let fit = fits(&seen.borrow());
        assert!(fit || !over, "expected {what}: {}", seen.borrow());
        fit
    })
    .await;
    seen.into_inner()
}

/// Waits until a login is at this step.
pub async fn login_step(caller: &Client, login: &Value, step: &str) -> Value {
    login_until(caller, login, step, |login| login["step"]["type"] == step).await
}

/// The account that a finished login led to.
pub fn account_of(login: &Value) -> Uuid {
    login["account_id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no account in {login}"))
}

/// Connects a person's account by QR code.
pub async fn connect(app: &TestApp, person: &Person) -> Connected {
    connect_as(app, &app.user, person).await
}

pub async fn connect_as(app: &TestApp, caller: &Client, person: &Person) -> Connected {
    let login = begin_qr(caller).await;
    person.scan(app, &login);
    let mut login = login_until(caller, &login, "past the scan", |login| login["step"]["type"] != "qr").await;
    if login["step"]["type"] == "password" {
        let path = format!("{}/password", login_path(&login));
        login = caller.post(&path, &json!({ "password": PASSWORD })).await.ok(202);
    }
    let login = login_step(caller, &login, "done").await;
    Connected { id: account_of(&login), person: person.clone() }
}

/// A new person with a connected account.
pub async fn connected(app: &TestApp) -> Connected {
    connect(app, &Person::new(&app.sim)).await
}

/// The caller's accounts.
pub async fn accounts(caller: &Client) -> Vec<Value> {
    caller.list(ACCOUNTS).await
}

/// People who have written to somebody, who can therefore answer.
pub fn friends_of(app: &TestApp, person: &Person, count: usize) -> Vec<i64> {
    let friend = |_| {
        let friend = app.sim.world().lock().add_user(NewUser::default());
        app.sim.accounts().deliver(friend, person.id, "hello").unwrap();
        friend
    };
    (0..count).map(friend).collect()
}

/// A new person with friends, whose account is connected.
pub async fn connected_with_friends(app: &TestApp, count: usize) -> (Connected, Vec<i64>) {
    let person = Person::new(&app.sim);
    let friends = friends_of(app, &person, count);
    (connect(app, &person).await, friends)
}

/// A code must not have been kept: neither in a table that logins write to, nor in the log.
pub async fn left_no_trace(app: &TestApp, code: &str) {
    let word = format!("\\m{code}\\M");
    for table in ["logins", "events", "integration_logs", "audit_log", "idempotency_keys", "telegram_sessions"] {
        let found = format!("SELECT EXISTS (SELECT 1 FROM {table} t WHERE t::text ~ $1)");
        let found = sqlx::query_scalar(sqlx::AssertSqlSafe(found)).bind(&word).fetch_one(&app.pool).await;
        assert!(!found.unwrap_or(true), "a code stands in the table {table}");
    }
    let log = crate::common::log::so_far();
    assert!(!log.contains(&format!("\"{code}\"")), "a code stands in the log");
}
