//! Chats, their members, and what the stories do with them.

use std::cell::RefCell;

use serde_json::{Value, json};
use telegram_sim::bot_api::{Fault, FaultAction};
use telegram_sim::world::{ChatKind, Member, MemberStatus, NewChat, NewUser};
use uuid::Uuid;

use crate::common::app::{Bot, TestApp, id_of};
use crate::common::client::Client;
use crate::common::eventually;

pub const CHANNELS: &str = "/api/integrations/telegram/channels";

/// A chat of somebody, with these members.
pub fn chat(app: &TestApp, kind: ChatKind, title: &str, username: Option<&str>, members: &[(i64, Member)]) -> i64 {
    let mut world = app.sim.world().lock();
    let owner = world.add_user(NewUser::default());
    let username = username.map(str::to_owned);
    let members_of = vec![(owner, MemberStatus::Creator)];
    let id = world.add_chat(NewChat { kind, id: None, title: title.to_owned(), username, members: members_of });
    for (user, member) in members {
        world.set_member(id, *user, member.clone(), owner);
    }
    id
}

/// An administrator with every right.
pub fn admin() -> Member {
    Member::new(MemberStatus::Administrator)
}

/// A channel that the bots administer.
pub fn channel(app: &TestApp, title: &str, bots: &[&Bot]) -> i64 {
    let members: Vec<(i64, Member)> = bots.iter().map(|bot| (bot.telegram_id, admin())).collect();
    chat(app, ChatKind::Channel, title, None, &members)
}

/// Sets how somebody stands in a chat, as its owner does.
pub fn set(app: &TestApp, chat: i64, user: i64, member: Member) {
    let mut world = app.sim.world().lock();
    let owner = world.chat(chat).unwrap().creator().unwrap();
    world.set_member(chat, user, member, owner);
}

pub fn via_bot(bot: &Bot) -> Value {
    json!({ "bot_id": bot.id })
}

/// Connects a chat through a sender; the answer, whatever it is.
pub async fn try_connect(caller: &Client, via: &Value, chat: impl Into<Value>) -> crate::common::client::Answer {
    caller.post(CHANNELS, &json!({ "via": via, "channel": chat.into() })).await
}

/// Connects a chat through a bot; it must be new.
pub async fn connect(app: &TestApp, bot: &Bot, chat: i64) -> Connected {
    let body = try_connect(&app.user, &via_bot(bot), chat).await.ok(201);
    Connected { id: id_of(&body), chat }
}

/// A channel that is connected.
#[derive(Debug, Clone, Copy)]
pub struct Connected {
    pub id: Uuid,
    pub chat: i64,
}

impl Connected {
    pub fn path(&self) -> String {
        format!("{CHANNELS}/{}", self.id)
    }

    pub fn send_path(&self) -> String {
        format!("{}/send", self.path())
    }

    pub async fn now(&self, app: &TestApp) -> Value {
        app.user.get(&self.path()).await.ok(200)
    }

    pub async fn check(&self, app: &TestApp) -> Value {
        app.user.post(&format!("{}/check", self.path()), &json!({})).await.ok(200)
    }

    /// Waits until the channel fits.
    pub async fn until(&self, app: &TestApp, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let seen = RefCell::new(Value::Null);
        eventually(&format!("the channel is {what}"), async || {
            *seen.borrow_mut() = self.now(app).await;
            fits(&seen.borrow())
        })
        .await;
        seen.into_inner()
    }

    /// Adds a sender at the end of the order.
    pub async fn add(&self, app: &TestApp, via: &Value) -> Value {
        app.user.post(&format!("{}/senders", self.path()), via).await.ok(200)
    }

    /// Sends a text; it must be accepted.
    pub async fn send(&self, app: &TestApp, text: &str) -> Uuid {
        self.send_body(app, &json!({ "text": text })).await
    }

    pub async fn send_body(&self, app: &TestApp, body: &Value) -> Uuid {
        id_of(&app.user.post(&self.send_path(), body).await.ok(202))
    }

    /// The texts that arrived in the chat, in order.
    pub fn texts(&self, app: &TestApp) -> Vec<String> {
        self.arrived(app).into_iter().map(|(_, text)| text).collect()
    }

    /// Who wrote what in the chat, in order.
    pub fn arrived(&self, app: &TestApp) -> Vec<(i64, String)> {
        use telegram_sim::world::{Filter, Place};
        let filter = Filter { place: Some(Place::Chat(self.chat)), deleted: true, ..Filter::default() };
        let world = app.sim.world().lock();
        let found = world.messages().find(&filter).filter(|message| !message.body.text.is_empty());
        found.map(|message| (message.from, message.body.text.clone())).collect()
    }
}

/// Telegram asks to wait so long with the next messages.
pub fn wait(seconds: u64) -> Fault {
    let parameters = Some(json!({ "retry_after": seconds }));
    let description = format!("Too Many Requests: retry after {seconds}");
    Fault::new(FaultAction::Error { error_code: 429, description, parameters }).method("sendMessage")
}

/// The sender with this id, as a channel shows it.
pub fn sender_of(channel: &Value, id: Uuid) -> &Value {
    let senders = channel["senders"].as_array().unwrap();
    senders
        .iter()
        .find(|sender| sender["sender_id"] == json!(id))
        .unwrap_or_else(|| panic!("no sender {id}: {channel}"))
}
