//! A plain client, so that tests see exactly what goes over the wire.

use reqwest::Response;
use serde_json::{Value, json};
use telegram_sim::world::UserId;
use telegram_sim::{Sim, SimOptions};

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
