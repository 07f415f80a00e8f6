//! A simulated Telegram with people in it.

use std::sync::Arc;
use std::time::Duration;

use platform::{BoxFuture, FileRef, MediaKind};
use serde_json::Value;
use telegram::media::{Library, Reader};
use telegram::mtproto::{Account, ClientOptions, Login, LoginStep, MayWrite, PeerId, Server, SessionData, Timeouts};
use telegram_sim::mtproto::faults::Fault;
use telegram_sim::mtproto::{Mtproto, NewAccount};
use telegram_sim::world::{ChatKind, MemberStatus, NewChat, State};
use telegram_sim::{Sim, SimOptions};
use uuid::Uuid;

/// A simulated Telegram.
pub struct Telegram {
    pub sim: Sim,
    pub options: Arc<ClientOptions>,
}

impl Telegram {
    pub async fn start() -> Self {
        let sim = Sim::start(SimOptions { bot_api: None, ..SimOptions::default() }).await.expect("free ports");
        let address = sim.mtproto.expect("MTProto was asked for");
        let keys_url = format!("{}/mtproto/keys", sim.control_url());
        let options = ClientOptions {
            api_id: 12_345,
            api_hash: "0123456789abcdef0123456789abcdef".into(),
            device_model: "Integration Service".to_owned(),
            system_version: "1.0".to_owned(),
            app_version: "0.1.0".to_owned(),
            lang_code: "en".to_owned(),
            proxy: None,
            server: Server::Test { address, keys_url },
            timeouts: Timeouts { connect: Duration::from_secs(10), call: Duration::from_secs(10) },
            may_write: MayWrite::default(),
        };
        Self { sim, options: Arc::new(options) }
    }

    pub fn server(&self) -> &Mtproto {
        self.sim.accounts()
    }

    pub fn world(&self) -> std::sync::MutexGuard<'_, State> {
        self.sim.world().lock()
    }

    /// The same client, which waits less long for answers.
    pub fn impatient(&self) -> Arc<ClientOptions> {
        let timeouts = Timeouts { connect: Duration::from_secs(1), call: Duration::from_millis(500) };
        Arc::new(ClientOptions { timeouts, ..(*self.options).clone() })
    }

    pub fn person(&self, phone: &str, dc: i32) -> i64 {
        let new = NewAccount { phone: phone.to_owned(), dc: Some(dc), ..NewAccount::default() };
        self.server().create_account(new).expect("a person with a phone")
    }

    pub fn person_with_password(&self, phone: &str, dc: i32, password: &str, hint: &str) -> i64 {
        let person = self.person(phone, dc);
        self.server().set_password(person, Some((password, hint))).expect("the person exists");
        person
    }

    pub fn code(&self, phone: &str) -> String {
        self.server().login_code(phone).expect("a code was sent")
    }

    /// Makes a new person and logs in as them, by a code sent to the phone.
    pub async fn account(&self, phone: &str) -> Account {
        self.person(phone, 2);
        let mut login = Login::phone(Arc::clone(&self.options), phone).await.expect("a code is sent");
        let step = login.submit_code(&self.code(phone).into()).await.expect("the code is right");
        assert!(matches!(step, LoginStep::Done { .. }), "{step:?}");
        login.into_account().expect("the login is done")
    }

    pub fn chat(&self, kind: ChatKind, members: Vec<(i64, MemberStatus)>) -> PeerId {
        let new = NewChat { kind, id: None, title: "A chat".to_owned(), username: None, members };
        PeerId::try_from(self.world().add_chat(new)).expect("a chat id")
    }

    pub fn fault(&self, fault: Fault) {
        self.server().add_fault(fault);
    }

    /// How many messages with this text arrived.
    pub fn arrived(&self, text: &str) -> usize {
        self.sim.arrived(text)
    }
}

/// For messages without files.
pub struct NoFiles;

impl Library for NoFiles {
    fn open<'a>(&'a self, _: &'a FileRef) -> BoxFuture<'a, std::io::Result<Reader>> {
        Box::pin(async { Err(std::io::ErrorKind::NotFound.into()) })
    }

    fn recall(&self, _: Uuid, _: MediaKind) -> BoxFuture<'_, Option<Value>> {
        Box::pin(async { None })
    }

    fn remember(&self, _: Uuid, _: MediaKind, _: Value) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn forget(&self, _: Uuid, _: MediaKind) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// What the owner stores, and takes up again after a restart.
pub fn store_and_load(account: &Account) -> SessionData {
    let (data, _) = account.session().export();
    SessionData::from_bytes(&data.to_bytes()).expect("what was stored can be read")
}
