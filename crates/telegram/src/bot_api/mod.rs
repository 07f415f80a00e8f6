//! Client of the Bot API, for one server and any number of bots.
//!
//! - `http` makes one exchange over the shared connections and says whether it is certain that nothing was sent;
//! - `send`: sending, as calls that `content` writes, with files as `form`; `change`: what is done with a message afterwards;
//! - `answer` reads what the server answered, and says whether that proves anything;
//! - `classify` gives a refusal its stable code and decides what follows from it;
//! - `chats` asks what a chat is, and what a bot may do there;
//! - [`CallError`] is how calls other than sends fail; sends end in a [`platform::Outcome`].
//!
//! The client never repeats a request: only its caller knows whether that would send something twice. A bot's token
//! stands in the address of each request, so addresses are built just before the call and appear in no error.

mod answer;
mod call_error;
mod change;
mod chats;
mod classify;
mod content;
mod form;
mod http;
mod send;
#[cfg(test)]
mod tests;
mod types;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use self::call_error::CallError;
pub use self::http::SetupError;
pub use self::types::{Bot, Chat, ChatRef, SetWebhook, WebhookInfo};

pub(crate) use self::http::tls;

use self::answer::Answer;
use self::http::{Exchange, Http};
use self::types::{DeleteWebhook, GetChat, GetUpdates, NoParameters};

/// A Bot API server. Cheap to clone: clones share their connections.
#[derive(Clone)]
pub struct BotApi {
    http: Arc<Http>,
}

impl fmt::Debug for BotApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BotApi").field("server", &self.http.server()).finish_non_exhaustive()
    }
}

impl BotApi {
    /// Prepares calls to the server at `base_url` (such as `https://api.telegram.org`); nothing is connected yet.
    /// `request_timeout` bounds one call from connecting to the last byte of the answer.
    ///
    /// # Errors
    /// [`SetupError`] when the address cannot be one of a Bot API server, or when the system has no root certificates.
    pub fn new(base_url: &str, request_timeout: Duration) -> Result<Self, SetupError> {
        Ok(Self { http: Arc::new(Http::new(base_url, request_timeout)?) })
    }

    /// Who the bot is.
    pub async fn get_me(&self, token: &SecretString) -> Result<Bot, CallError> {
        self.call(token, "getMe", &NoParameters {}).await
    }

    /// A chat that the bot can see, by its id or public name.
    pub async fn get_chat(&self, token: &SecretString, chat: &ChatRef) -> Result<Chat, CallError> {
        self.call(token, "getChat", &GetChat { chat_id: chat }).await
    }

    /// Where the bot's updates go.
    pub async fn get_webhook_info(&self, token: &SecretString) -> Result<WebhookInfo, CallError> {
        self.call(token, "getWebhookInfo", &NoParameters {}).await
    }

    /// Sends the bot's updates to an address; a webhook that was set before is replaced.
    pub async fn set_webhook(&self, token: &SecretString, webhook: &SetWebhook) -> Result<(), CallError> {
        self.call_for_true(token, "setWebhook", webhook).await
    }

    /// Takes the bot's webhook away.
    pub async fn delete_webhook(&self, token: &SecretString, drop_pending_updates: bool) -> Result<(), CallError> {
        self.call_for_true(token, "deleteWebhook", &DeleteWebhook { drop_pending_updates }).await
    }

    /// The updates from `offset` on, at most `limit` of these kinds; those before it are forgotten by the server. Without any, the
    /// server answers after `hold` only. Each is left as it came, so that one that cannot be read does not hide the others. Can be
    /// dropped at any time: what was answered and not confirmed by a later `offset` comes again.
    pub async fn get_updates(
        &self,
        token: &SecretString,
        offset: Option<i64>,
        limit: u8,
        hold: Duration,
        allowed_updates: &[&str],
    ) -> Result<Vec<Box<RawValue>>, CallError> {
        let parameters = GetUpdates { offset, limit, timeout: hold.as_secs(), allowed_updates };
        let body =
            serde_json::to_vec(&parameters).map_err(|error| CallError::Unavailable { reason: error.to_string() })?;
        result(read(self.http.long_poll(token, "getUpdates", body, hold).await, token))
    }

    /// Logs the bot out of this server, so that it can be used with another one. Telegram's own server does not take
    /// it back for ten minutes.
    pub async fn log_out(&self, token: &SecretString) -> Result<(), CallError> {
        self.call_for_true(token, "logOut", &NoParameters {}).await
    }

    async fn call_for_true(
        &self,
        token: &SecretString,
        method: &'static str,
        parameters: &impl Serialize,
    ) -> Result<(), CallError> {
        self.call::<bool>(token, method, parameters).await.map(|_| ())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        token: &SecretString,
        method: &'static str,
        parameters: &impl Serialize,
    ) -> Result<T, CallError> {
        result(self.exchange(token, method, parameters).await)
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        token: &SecretString,
        method: &'static str,
        parameters: &impl Serialize,
    ) -> Answer<T> {
        let body = match serde_json::to_vec(parameters) {
            Ok(body) => body,
            Err(error) => return Answer::NothingSent(format!("the request cannot be written as JSON: {error}")),
        };
        read(self.http.post(token, method, body).await, token)
    }
}

fn read<T: DeserializeOwned>(exchange: Exchange, token: &SecretString) -> Answer<T> {
    match exchange {
        Exchange::Answered { status, body, whole_request } => answer::read(status, &body, token, whole_request),
        Exchange::NothingSent(reason) => Answer::NothingSent(reason),
        Exchange::Unclear(reason) => Answer::Unclear(reason),
        Exchange::BadToken => Answer::BadToken,
    }
}

fn result<T>(answer: Answer<T>) -> Result<T, CallError> {
    match answer {
        Answer::Done(result) => Ok(result),
        Answer::Refused(failure) => Err(classify::call_error(failure)),
        Answer::NothingSent(reason) | Answer::Unclear(reason) => Err(CallError::Unavailable { reason }),
        Answer::BadToken => Err(CallError::Unauthorized { description: BAD_TOKEN.to_owned() }),
    }
}

const BAD_TOKEN: &str = "the token does not have the form of a bot token";
