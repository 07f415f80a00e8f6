//! A group with a bot and an account in it, and files to send there.

use std::sync::Arc;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use telegram_sim::world::{ChatKind, Filter, MemberStatus, Message, NewChat, Place};
use uuid::Uuid;

use crate::common::app::{TestApp, id_of};
use crate::common::client::Answer;
use crate::people;

/// One of the two ways into the group.
#[derive(Debug, Clone)]
pub struct Way {
    /// `bot` or `account`.
    pub kind: &'static str,
    /// Id of the sender.
    pub id: Uuid,
    /// Where messages are sent.
    pub path: String,
    /// Who they are from, at Telegram.
    pub user: i64,
}

/// The service with both ways into one group, where both may do everything.
pub struct Stage {
    pub app: TestApp,
    pub chat: i64,
    pub bot: Way,
    pub account: Way,
}

impl Stage {
    pub async fn set() -> Self {
        Self::set_with(&[]).await
    }

    pub async fn set_with(settings: &[(&str, &str)]) -> Self {
        let app = people::start_with(settings).await;
        let bot = app.connect_bot().await;
        let account = people::connected(&app).await;
        let members = vec![(account.person.id, MemberStatus::Creator), (bot.telegram_id, MemberStatus::Administrator)];
        let (title, username) = ("Team".to_owned(), None);
        let chat = NewChat { kind: ChatKind::Supergroup, id: None, title, username, members };
        let chat = app.sim.world().lock().add_chat(chat);
        let bot = Way { kind: "bot", id: bot.id, path: bot.send_path(), user: bot.telegram_id };
        let path = format!("{}/send", account.path());
        let account = Way { kind: "account", id: account.id, path, user: account.person.id };
        Self { app, chat, bot, account }
    }

    pub fn ways(&self) -> [Way; 2] {
        [self.bot.clone(), self.account.clone()]
    }

    /// Sends something to the group; it must be accepted.
    pub async fn send(&self, way: &Way, content: &Value) -> Uuid {
        id_of(&self.app.user.post(&way.path, &self.to_group(content)).await.ok(202))
    }

    /// The same, and waits until it is sent.
    pub async fn sent(&self, way: &Way, content: &Value) -> Value {
        let id = self.send(way, content).await;
        self.app.until(id, "sent").await
    }

    /// Sends something with files along.
    pub async fn send_form(&self, way: &Way, content: &Value, files: &[(&str, &File)]) -> Answer {
        let message = Part::text(self.to_group(content).to_string()).mime_str("application/json").unwrap();
        let mut form = Form::new().part("message", message);
        for (part, file) in files {
            let file = Part::bytes(file.bytes.clone()).file_name(file.name).mime_str(file.media_type).unwrap();
            form = form.part((*part).to_owned(), file);
        }
        let request = self.app.user.request(Method::POST, &way.path).multipart(form);
        self.app.user.send(request).await
    }

    pub fn to_group(&self, content: &Value) -> Value {
        let mut body = content.clone();
        body["chat_id"] = json!(self.chat);
        body
    }

    /// What arrived in the group by this way, in order.
    pub fn arrived(&self, way: &Way) -> Vec<Arc<Message>> {
        let filter = Filter { from: Some(way.user), place: Some(self.place()), deleted: true, ..Filter::default() };
        self.app.sim.world().lock().messages().find(&filter).cloned().collect()
    }

    pub fn place(&self) -> Place {
        Place::seen_by(self.bot.user, self.chat)
    }

    /// The last message that arrived by this way.
    pub fn last(&self, way: &Way) -> Arc<Message> {
        self.arrived(way).pop().expect("something arrived")
    }

    /// Stores a file; answers with its id.
    pub async fn store(&self, file: &File) -> Uuid {
        let path = format!("/api/integrations/files?name={}", file.name);
        let request = self.app.user.request(Method::POST, &path).header("content-type", file.media_type);
        let answer = self.app.user.send(request.body(file.bytes.clone())).await;
        assert!(answer.status == 201 || answer.status == 200, "{}", answer.text);
        id_of(&serde_json::from_str(&answer.text).unwrap())
    }

    pub fn calls_of_account(&self, method: &str) -> u64 {
        self.app.sim.accounts().counters().methods.get(method).copied().unwrap_or_default()
    }
}

/// A file to send.
#[derive(Debug, Clone)]
pub struct File {
    pub name: &'static str,
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
}

impl File {
    pub fn sha256(&self) -> String {
        use sha2::Digest as _;
        hex::encode(sha2::Sha256::digest(&self.bytes))
    }
}

/// A file that begins as files of its type do, and is unlike all others.
fn file(name: &'static str, media_type: &'static str, head: &[u8]) -> File {
    let bytes = [head, Uuid::new_v4().as_bytes(), &[7; 3000]].concat();
    File { name, media_type, bytes }
}

/// The smallest picture that there is, with something behind its end.
pub fn picture() -> File {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x0a\0\0\0\x0a\x08\x06\0\0\0\x8d\x32\xcf\xbd";
    file("picture.png", "image/png", PNG)
}

pub fn film() -> File {
    file("film.mp4", "video/mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom")
}

pub fn song() -> File {
    file("song.mp3", "audio/mpeg", b"ID3\x03\0\0\0\0\0\x21")
}

pub fn voice() -> File {
    file("voice.ogg", "audio/ogg", b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead")
}

pub fn gif() -> File {
    file("loop.gif", "image/gif", b"GIF89a\x0a\0\x0a\0\0\0\0")
}

pub fn report() -> File {
    file("report.pdf", "application/pdf", b"%PDF-1.4\n")
}
