//! A simulated Telegram with people in it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use telegram::mtproto::{Account, ClientOptions, Login, LoginStep, PeerId, Server, SessionData, Timeouts};
use telegram_sim::mtproto::faults::Fault;
use telegram_sim::mtproto::{Mtproto, NewAccount, Options};
use telegram_sim::world::{ChatKind, Filter, MemberStatus, NewChat, World};
use tokio::net::TcpListener;

/// A simulated Telegram.
pub struct Telegram {
    pub server: Arc<Mtproto>,
    pub world: World,
    pub options: Arc<ClientOptions>,
}

impl Telegram {
    pub async fn start() -> Self {
        let world = World::default();
        let server = Arc::new(Mtproto::start(world.clone(), Options::local()).await.expect("the simulator starts"));
        let address = server.address(2).expect("data centre 2 listens");
        let keys_url = hand_out_keys(Arc::clone(&server)).await;
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
        };
        Self { server, world, options: Arc::new(options) }
    }

    /// The same client, which waits less long for answers.
    pub fn impatient(&self) -> Arc<ClientOptions> {
        let timeouts = Timeouts { connect: Duration::from_secs(1), call: Duration::from_millis(500) };
        Arc::new(ClientOptions { timeouts, ..(*self.options).clone() })
    }

    pub fn person(&self, phone: &str, dc: i32) -> i64 {
        let new = NewAccount { phone: phone.to_owned(), dc: Some(dc), ..NewAccount::default() };
        self.server.create_account(new).expect("a person with a phone")
    }

    pub fn person_with_password(&self, phone: &str, dc: i32, password: &str, hint: &str) -> i64 {
        let person = self.person(phone, dc);
        self.server.set_password(person, Some((password, hint))).expect("the person exists");
        person
    }

    pub fn code(&self, phone: &str) -> String {
        self.server.login_code(phone).expect("a code was sent")
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
        PeerId::try_from(self.world.lock().add_chat(new)).expect("a chat id")
    }

    pub fn fault(&self, fault: Fault) {
        self.server.add_fault(fault);
    }

    /// How many messages with this text arrived.
    pub fn arrived(&self, text: &str) -> usize {
        let filter = Filter { text: Some(text.to_owned()), deleted: true, ..Filter::default() };
        self.world.lock().messages().find(&filter).count()
    }
}

/// What the owner stores, and takes up again after a restart.
pub fn store_and_load(account: &Account) -> SessionData {
    let (data, _) = account.session().export();
    SessionData::from_bytes(&data.to_bytes()).expect("what was stored can be read")
}

/// Serves the keys of the data centres: POST `{"dc_id": n}` gives `{"auth_key": "…"}`.
async fn hand_out_keys(server: Arc<Mtproto>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/mtproto/keys", listener.local_addr().expect("the port is bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = Arc::clone(&server);
            let service = service_fn(move |request| key(Arc::clone(&server), request));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

async fn key(server: Arc<Mtproto>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let asked: serde_json::Value = serde_json::from_slice(&body).expect("the request is JSON");
    let dc = asked["dc_id"].as_i64().and_then(|dc| i32::try_from(dc).ok()).expect("it names a data centre");
    let key = server.new_key(dc).expect("there is such a data centre");
    let answer = serde_json::json!({ "auth_key": hex::encode(key) });
    Ok(Response::new(Full::from(answer.to_string())))
}
