//! The service's API as its callers see it.

use serde_json::{Value, json};
use uuid::Uuid;

/// A client of one running service.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    /// A client at this address.
    pub fn new(base: &str, token: &str) -> Self {
        Self { http: reqwest::Client::new(), base: base.to_owned(), token: token.to_owned() }
    }

    /// The same caller at another address.
    pub fn at(&self, base: &str) -> Self {
        Self::new(base, &self.token)
    }

    /// The status and the body of a GET.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.token);
        answer(request).await.unwrap()
    }

    /// The body of a GET as it comes.
    pub async fn stream(
        &self,
        path: &str,
    ) -> impl futures::Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin + use<> {
        let response = self.http.get(format!("{}{path}", self.base)).bearer_auth(&self.token).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Box::pin(response.bytes_stream())
    }

    /// The status and the body of a POST; an error when no answer came.
    pub async fn post(&self, path: &str, body: &Value, key: Option<&str>) -> reqwest::Result<(u16, Value)> {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token).json(body);
        answer(key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key))).await
    }

    /// Connects a bot.
    pub async fn connect_bot(&self, token: &str) -> Uuid {
        let body = json!({ "token": token });
        let (status, body) = self.post("/api/integrations/telegram/bots", &body, None).await.unwrap();
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().unwrap().parse().unwrap()
    }

    /// Offers a message; the status and the body, or an error when no answer came.
    pub async fn offer(&self, bot: Uuid, chat: i64, text: &str) -> reqwest::Result<(u16, Value)> {
        let body = json!({ "chat_id": chat, "text": text });
        // The text of a message is its key: every message of a test has another one.
        self.post(&format!("/api/integrations/telegram/bots/{bot}/send"), &body, Some(text)).await
    }

    /// Sends a message that must be accepted; its id.
    pub async fn send(&self, bot: Uuid, chat: i64, text: &str) -> Uuid {
        let (status, body) = self.offer(bot, chat, text).await.unwrap();
        assert_eq!(status, 202, "{body}");
        body["id"].as_str().unwrap().parse().unwrap()
    }

    /// The state of one message.
    pub async fn status(&self, id: Uuid) -> String {
        let (status, body) = self.get(&format!("/api/integrations/messages/{id}")).await;
        assert_eq!(status, 200, "{body}");
        body["status"].as_str().unwrap().to_owned()
    }

    /// A page of messages in these states, newest first, and the cursor of the next page.
    pub async fn messages(&self, statuses: &str, cursor: Option<&str>) -> (Vec<Value>, Option<String>) {
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let path = format!("/api/integrations/messages?limit=200&status={statuses}{cursor}");
        let (status, mut body) = self.get(&path).await;
        assert_eq!(status, 200, "{body}");
        let Value::Array(items) = body["items"].take() else { panic!("no items in {body}") };
        (items, body["next_cursor"].as_str().map(str::to_owned))
    }
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<(u16, Value)> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    Ok((status, response.json().await.unwrap_or(Value::Null)))
}
