//! A plain client, so that tests see exactly what goes over the wire.

use reqwest::Response;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use telegram_sim::bot_api::Limits;
use telegram_sim::world::{ChatId, ChatKind, MemberStatus, NewChat, UserId};
use telegram_sim::{Sim, SimOptions};

/// A PNG picture of so many bytes: 32 times 16 points, and what a viewer passes over.
pub fn picture(size: usize) -> Vec<u8> {
    let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x20\0\0\0\x10\x08\x06\0\0\0".to_vec();
    picture.extend((picture.len()..size).map(|i| u8::try_from(i % 251).unwrap()));
    picture
}

/// A file of a form.
pub fn part(name: &str, bytes: impl Into<Vec<u8>>) -> Part {
    Part::bytes(bytes.into()).file_name(name.to_owned())
}

/// A simulator with a bot and a user who has started it.
pub struct Fixture {
    pub sim: Sim,
    pub token: String,
    pub user: UserId,
    pub http: reqwest::Client,
}

impl Fixture {
    pub async fn new() -> Self {
        Self::with(SimOptions::default()).await
    }

    pub async fn with(options: SimOptions) -> Self {
        let sim = Sim::start(options).await.unwrap();
        let token = sim.add_bot();
        let user = sim.add_user_of(&token);
        Self { sim, token, user, http: reqwest::Client::new() }
    }

    /// One that does not limit how fast is sent.
    pub async fn unlimited() -> Self {
        let limits = Limits { enabled: false, ..Limits::default() };
        Self::with(SimOptions { limits, ..SimOptions::default() }).await
    }

    /// A chat that the user owns and the bot is in.
    pub fn chat(&self, kind: ChatKind, status: MemberStatus) -> ChatId {
        let members = vec![(self.user, MemberStatus::Creator), (self.bot_id(), status)];
        let title = "Team".to_owned();
        self.sim.world().lock().add_chat(NewChat { kind, id: None, title, username: None, members })
    }

    /// The HTTP status and the body of a form's answer.
    pub async fn form(&self, method: &str, form: Form) -> (u16, Value) {
        let answer = self.http.post(self.url(method)).multipart(form).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The `result` of a form that is taken.
    pub async fn form_ok(&self, method: &str, form: Form) -> Value {
        let (status, mut answer) = self.form(method, form).await;
        assert_eq!((status, &answer["ok"]), (200, &json!(true)), "{answer}");
        answer["result"].take()
    }

    /// The bytes that `getFile` leads to.
    pub async fn download(&self, file_id: &Value) -> Vec<u8> {
        let file = self.ok("getFile", json!({ "file_id": file_id })).await;
        let path = file["file_path"].as_str().unwrap();
        let url = format!("{}/file/bot{}/{path}", self.sim.bot_api_url(), self.token);
        self.http.get(url).send().await.unwrap().bytes().await.unwrap().to_vec()
    }

    pub fn bot_id(&self) -> UserId {
        telegram_sim::bot_api::token_bot_id(&self.token).unwrap()
    }

    pub fn url(&self, method: &str) -> String {
        format!("{}/bot{}/{method}", self.sim.bot_api_url(), self.token)
    }

    pub async fn post(&self, method: &str, body: &Value) -> reqwest::Result<Response> {
        self.http.post(self.url(method)).json(body).send().await
    }

    /// The HTTP status and the body.
    pub async fn call(&self, method: &str, body: Value) -> (u16, Value) {
        let answer = self.post(method, &body).await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The `result` of a call that succeeds.
    pub async fn ok(&self, method: &str, body: Value) -> Value {
        let (status, mut answer) = self.call(method, body).await;
        assert_eq!((status, &answer["ok"]), (200, &json!(true)), "{answer}");
        answer["result"].take()
    }

    /// The HTTP status and the description of a call that fails.
    pub async fn fails(&self, method: &str, body: Value) -> (u16, String) {
        let (status, answer) = self.call(method, body).await;
        assert_eq!((&answer["ok"], &answer["error_code"]), (&json!(false), &json!(status)), "{answer}");
        (status, answer["description"].as_str().unwrap().to_owned())
    }

    /// Sends to the user; the `result`.
    pub async fn send(&self, text: &str) -> Value {
        self.ok("sendMessage", json!({ "chat_id": self.user, "text": text })).await
    }
}
