//! Files through an account: killed in the middle of an album, and the memory that a large one takes.

use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use telegram_sim::bot_api::Limits;
use telegram_sim::mtproto::NewAccount;
use telegram_sim::mtproto::faults::{Action, Fault};
use telegram_sim::world::{ChatKind, Filter, MemberStatus, NewChat};
use telegram_sim::{Sim, SimOptions};
use uuid::Uuid;

use crate::files::{forget_peak, memory};
use crate::stage::all_final;
use crate::support::{Api, Machine, until};

const MIB: u64 = 1 << 20;
const CONNECT: &str = "/api/integrations/telegram/connect";
const ALBUMS: usize = 12;
const PICTURES: usize = 3;

/// A Telegram with somebody who has an account and a supergroup.
struct Scene {
    sim: Sim,
    person: i64,
    chat: i64,
}

impl Scene {
    async fn new() -> Self {
        let limits = Limits { enabled: false, ..Limits::default() };
        let mut options = SimOptions { limits, ..SimOptions::default() };
        options.mtproto_settings.limits = false;
        let sim = Sim::start(options).await.unwrap();
        let new = NewAccount { phone: "+15550007777".to_owned(), ..NewAccount::default() };
        let person = sim.accounts().create_account(new).unwrap();
        let members = vec![(person, MemberStatus::Creator)];
        let (title, username) = ("Team".to_owned(), None);
        let chat = NewChat { kind: ChatKind::Supergroup, id: None, title, username, members };
        let chat = sim.world().lock().add_chat(chat);
        Self { sim, person, chat }
    }

    fn machine(&self) -> Machine {
        Machine::new()
            .with("INTEGRATIONS_TELEGRAM__API_ID", 12_345)
            .with("INTEGRATIONS_TELEGRAM__API_HASH", "0123456789abcdef0123456789abcdef")
            .with("INTEGRATIONS_TELEGRAM__TEST_SERVER__ADDRESS", self.sim.mtproto.unwrap())
            .with("INTEGRATIONS_TELEGRAM__TEST_SERVER__KEYS_URL", format!("{}/mtproto/keys", self.sim.control_url()))
            .with("INTEGRATIONS_TELEGRAM__GROUP_PER_MINUTE", 60_000)
            .with("INTEGRATIONS_TELEGRAM__ACCOUNT_PER_SECOND", 1000)
    }

    /// Connects the account; returns its id.
    async fn connect(&self, api: &Api) -> Uuid {
        let (status, login) = api.post(CONNECT, &json!({ "method": "qr" }), None).await.unwrap();
        assert_eq!(status, 202, "{login}");
        let path = format!("{CONNECT}/{}", login["id"].as_str().unwrap());
        self.sim.accounts().scan(self.person, login["step"]["url"].as_str().unwrap()).unwrap();
        until("the login is done", async || api.get(&path).await.1["step"]["type"] == "done").await;
        api.get(&path).await.1["account_id"].as_str().unwrap().parse().unwrap()
    }

    /// The captions of what arrived, in order.
    fn arrived(&self) -> Vec<String> {
        let filter = Filter { from: Some(self.person), ..Filter::default() };
        let state = self.sim.world().lock();
        state.messages().find(&filter).map(|message| message.body.text.clone()).collect()
    }
}

/// Stores a file; returns its id.
async fn store(base: &str, token: &str, name: &str, body: reqwest::Body) -> Value {
    let request = reqwest::Client::new().post(format!("{base}/api/integrations/files?name={name}")).bearer_auth(token);
    let answer = request.body(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.json::<Value>().await.unwrap()["id"].take()
}

fn picture(number: usize) -> reqwest::Body {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x0a\0\0\0\x0a\x08\x06\0\0\0\x8d\x32\xcf\xbd";
    [PNG, &number.to_le_bytes()].concat().into()
}

#[tokio::test]
async fn albums_are_not_doubled_when_the_service_is_killed_in_their_middle() {
    let scene = Scene::new().await;
    let machine = scene.machine();
    let mut service = machine.serve().await;
    let token = machine.token().await;
    let mut api = Api::new(&service.url(), &token);
    let account = scene.connect(&api).await;
    let mut pictures = Vec::new();
    for number in 0..PICTURES {
        pictures.push(store(&service.url(), &token, "a.png", picture(number)).await);
    }
    // Telegram takes an album at once and answers late: most kills meet one whose answer is on its way.
    for method in ["messages.sendMultiMedia", "messages.uploadMedia"] {
        scene.sim.accounts().add_fault(Fault::new(method, Action::Delay { ms: 150 }));
    }
    for album in 0..ALBUMS {
        let item = |(part, id): (usize, &Value)| json!({ "type": "photo", "file_id": id, "caption": format!("{album}/{part}") });
        let items: Vec<Value> = pictures.iter().enumerate().map(item).collect();
        let body = json!({ "chat_id": scene.chat, "album": items });
        let path = format!("/api/integrations/telegram/accounts/{account}/send");
        let (status, answer) = api.post(&path, &body, Some(&format!("album-{album}"))).await.unwrap();
        assert_eq!(status, 202, "{answer}");
    }
    for round in 1..=3 {
        let moment = round * ALBUMS / 4 * PICTURES;
        until("so many pictures arrived", async || scene.arrived().len() >= moment).await;
        service.kill().await;
        service = machine.serve().await;
        api = api.at(&service.url());
    }
    all_final(&api).await;
    let (sent, _) = api.messages("sent", None).await;
    assert_eq!(sent.len(), ALBUMS);
    let expected: Vec<String> =
        (0..ALBUMS).flat_map(|album| (0..PICTURES).map(move |part| format!("{album}/{part}"))).collect();
    assert_eq!(scene.arrived(), expected, "each picture once and in order");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_through_an_account_without_growing_the_memory() {
    const SIZE: u64 = 300 * MIB;
    let scene = Scene::new().await;
    let machine = scene.machine();
    let service = machine.serve().await;
    let token = machine.token().await;
    let api = Api::new(&service.url(), &token);
    let account = scene.connect(&api).await;
    let send = async |id: &Value| {
        let body = json!({ "chat_id": scene.chat, "document": { "file_id": id } });
        let path = format!("/api/integrations/telegram/accounts/{account}/send");
        let (status, answer) = api.post(&path, &body, None).await.unwrap();
        assert_eq!(status, 202, "{answer}");
        let id: Uuid = answer["id"].as_str().unwrap().parse().unwrap();
        until("it is sent", async || api.status(id).await == "sent").await;
    };
    let content = |size: u64| {
        let pieces = (0..size / (64 << 10)).map(move |number| {
            Ok::<_, std::io::Error>(Bytes::from((number ^ size).to_le_bytes().repeat((64 << 10) / 8)))
        });
        reqwest::Body::wrap_stream(stream::iter(pieces))
    };
    // Everything that is made once is made now.
    send(&store(&service.url(), &token, "small.bin", content(24 * MIB)).await).await;
    let large = store(&service.url(), &token, "large.bin", content(SIZE)).await;
    forget_peak(service.pid());
    let before = memory(service.pid(), "VmRSS");
    send(&large).await;
    let grown = memory(service.pid(), "VmHWM").saturating_sub(before);
    println!("the peak above {before} bytes: {grown}");
    assert!(grown < 32 * MIB, "sending {SIZE} bytes took {grown} bytes");
    service.stop().await;
}
