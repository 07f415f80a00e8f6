//! What Telegram tells bots, for the stories of both ways on which it comes.

use std::net::SocketAddr;

use reqwest::Method;
use serde_json::{Value, json};
use telegram_sim::world::{Body, ChatKind, Member, MemberStatus, NewChat, Place};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::common::app::{Bot, TestApp};
use crate::common::eventually;
use crate::common::stream::{Event, EventStream};

/// A person writes to a bot, or into a chat.
pub fn write(app: &TestApp, person: i64, chat: i64, text: &str) -> i32 {
    let body = Body { text: text.to_owned(), ..Body::default() };
    app.sim.world().lock().send(person, chat, body).unwrap().id
}

/// A chat of a person, in which the bot is an administrator.
pub fn chat(app: &TestApp, bot: &Bot, person: i64, kind: ChatKind) -> i64 {
    let members = vec![(person, MemberStatus::Creator), (bot.telegram_id, MemberStatus::Administrator)];
    app.sim.world().lock().add_chat(NewChat { kind, id: None, title: "Chat".into(), username: None, members })
}

/// The bot as it is shown.
pub async fn shown(app: &TestApp, bot: &Bot) -> Value {
    app.user.get(&bot.path()).await.ok(200)
}

/// Waits until a bot's updates are in this state; returns the reason.
pub async fn until_state(app: &TestApp, bot: &Bot, state: &str) -> Value {
    let reason = std::cell::RefCell::new(Value::Null);
    eventually(&format!("the updates are in the state {state}"), async || {
        let updates = shown(app, bot).await["updates"].take();
        *reason.borrow_mut() = updates["reason"].clone();
        updates["state"] == state
    })
    .await;
    reason.into_inner()
}

/// Changes how the updates of a bot are taken.
pub async fn take_by(app: &TestApp, bot: &Bot, mode: &str) {
    let changed = app.user.send(app.user.request(Method::PATCH, &bot.path()).json(&json!({ "updates": mode }))).await;
    assert_eq!(changed.ok(200)["updates"]["mode"], mode);
}

/// The texts of the messages among events.
pub fn texts(events: &[Event]) -> Vec<String> {
    let new = events.iter().filter(|event| event.kind == "bot.message_new");
    new.map(|event| event.data["data"]["text"].as_str().unwrap().to_owned()).collect()
}

/// Reads up to the message with this text; the texts of all messages on the way.
pub async fn texts_until(events: &mut EventStream, text: &str) -> Vec<String> {
    let told = events.until(|event| event.kind == "bot.message_new" && event.data["data"]["text"] == text).await;
    texts(&told)
}

/// Lets everything happen that a bot is told of, and checks that it is told as it should be, in its order.
pub async fn each_kind_is_told(app: &TestApp, bot: &Bot) {
    let mut events = app.events(&app.user, "?type=bot.", None).await;
    let person = app.person(bot);
    let first = write(app, person, bot.telegram_id, "hello");
    app.sim.world().lock().edit(Place::seen_by(bot.telegram_id, person), first, |body| body.text = "good day".into());
    let buttons = json!([[{ "text": "Yes", "callback_data": "yes" }]]);
    let asked = app.send_body(bot, &json!({ "chat_id": person, "text": "Well?", "buttons": buttons })).await;
    app.until(asked, "sent").await;
    let uid = app.arrivals(bot, person).last().unwrap().uid;
    assert!(app.sim.api().press(person, uid, "yes"));
    let (group, channel) = (chat(app, bot, person, ChatKind::Group), chat(app, bot, person, ChatKind::Channel));
    let other = app.person(bot);
    app.sim.world().lock().set_member(group, other, Member::new(MemberStatus::Member), person);
    app.sim.world().lock().set_member(group, bot.telegram_id, Member::new(MemberStatus::Restricted), person);
    write(app, person, channel, "extra");
    let supergroup = app.sim.world().lock().migrate_group(group).unwrap();
    let answer = json!({ "poll_id": "1", "option_ids": [0], "odd": "a\0b" });
    assert!(app.sim.world().lock().tell(bot.telegram_id, "poll_answer".into(), answer));
    write(app, person, bot.telegram_id, "the end");

    let told = events.until(|event| event.data["data"]["text"] == "the end").await;
    assert!(told.iter().all(|event| event.resource() == bot.id.to_string() && event.data["user_id"] == 7));
    // A new stream may begin a moment ago.
    let earlier = ["bot.connected", "bot.updates_changed"];
    let told: Vec<&Event> = told.iter().filter(|event| !earlier.contains(&event.kind.as_str())).collect();
    let kinds: Vec<&str> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "bot.message_new",
            "bot.message_edited",
            "bot.callback_query",
            "bot.membership",
            "bot.membership",
            "bot.message_new",
            "bot.chat_migrated",
            "bot.update",
            "bot.update",
            "bot.message_new",
        ]
    );
    let data: Vec<&Value> = told.iter().map(|event| &event.data["data"]).collect();
    assert_eq!(
        (&data[0]["chat_id"], &data[0]["sender_id"], &data[0]["text"]),
        (&json!(person), &json!(person), &json!("hello"))
    );
    assert_eq!((&data[1]["message_id"], &data[1]["text"]), (&json!(first), &json!("good day")));
    assert_eq!((&data[2]["data"], &data[2]["sender_id"]), (&json!("yes"), &json!(person)));
    assert_eq!(
        (&data[3]["user_id"], &data[3]["own"], &data[3]["member"]),
        (&json!(other), &json!(false), &json!(true))
    );
    assert_eq!((&data[4]["own"], &data[4]["status"]), (&json!(true), &json!("restricted")));
    assert_eq!(data[4]["rights"]["can_send_messages"], false);
    assert_eq!((&data[5]["chat_id"], &data[5]["sender_id"]), (&json!(channel), &Value::Null));
    assert_eq!((&data[6]["from"], &data[6]["to"]), (&json!(group), &json!(supergroup)));
    assert_eq!((&data[7]["kind"], &data[7]["update"]["migrate_from_chat_id"]), (&json!("message"), &json!(group)));
    assert_eq!((&data[8]["kind"], &data[8]["update"]["odd"]), (&json!("poll_answer"), &json!("a\u{fffd}b")));
    let numbers: Vec<i64> = data.iter().map(|data| data["update_id"].as_i64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

/// An address that stays the same while the service behind it comes and goes.
pub struct Door {
    pub url: String,
    listener: std::net::TcpListener,
    traffic: Option<JoinHandle<()>>,
}

impl Door {
    /// A door that is closed.
    pub fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { url: format!("http://{}", listener.local_addr().unwrap()), listener, traffic: None }
    }

    /// Leads to the service as it runs now.
    pub fn open(&mut self, app: &TestApp) {
        self.lead_to(app.address);
    }

    /// Leads somewhere else.
    pub fn lead_to(&mut self, service: SocketAddr) {
        self.close();
        let listener = TcpListener::from_std(self.listener.try_clone().unwrap()).unwrap();
        self.traffic = Some(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                connections.spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(service).await {
                        // Either side may hang up at any time.
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        }));
    }

    /// Leads nowhere.
    pub fn close(&mut self) {
        if let Some(traffic) = self.traffic.take() {
            traffic.abort();
        }
    }
}
