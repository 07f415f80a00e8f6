//! Answers of the Bot API and their HTTP form.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::world::{ChatKind, ContentKind, MediaKind, SendError};

/// A finished HTTP answer.
pub type HttpAnswer = Response<Full<Bytes>>;

/// What a method returns.
pub type MethodResult = Result<Done, ApiError>;

/// The result of a method that succeeded.
#[derive(Debug)]
pub struct Done {
    result: Value,
    description: Option<&'static str>,
}

impl Done {
    /// `true`, with a sentence about what was done.
    pub fn described(description: &'static str) -> Self {
        Self { result: Value::Bool(true), description: Some(description) }
    }

    /// `true`.
    pub fn yes() -> Self {
        Value::Bool(true).into()
    }
}

impl From<Value> for Done {
    fn from(result: Value) -> Self {
        Self { result, description: None }
    }
}

/// An error as the Bot API reports it: `error_code`, `description` and sometimes `parameters`.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    code: u16,
    description: Cow<'static, str>,
    parameters: Option<Value>,
}

impl ApiError {
    /// An error with this `error_code` (also the HTTP status) and `description`.
    pub fn new(code: u16, description: impl Into<Cow<'static, str>>) -> Self {
        Self { code, description: description.into(), parameters: None }
    }

    /// 400 with the prefix that the Bot API gives it.
    pub fn bad_request(what: impl std::fmt::Display) -> Self {
        Self::new(400, format!("Bad Request: {what}"))
    }

    /// The chat does not exist or the bot has never met it.
    pub fn chat_not_found() -> Self {
        Self::bad_request("chat not found")
    }

    /// 429, with the seconds to wait.
    pub fn too_many_requests(retry_after: u64) -> Self {
        let description = format!("Too Many Requests: retry after {retry_after}");
        Self::new(429, description).with_parameters(json!({ "retry_after": retry_after }))
    }

    /// Adds `parameters`.
    #[must_use]
    pub fn with_parameters(self, parameters: Value) -> Self {
        Self { parameters: Some(parameters), ..self }
    }

    /// The same, of one item of an album: what Telegram's servers say is quoted, with the item's number.
    pub fn of_item(self, index: usize) -> Self {
        let said = self.description.strip_prefix("Bad Request: ").unwrap_or_default();
        if said.is_empty() || !said.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
            return self;
        }
        let number = index + 1;
        Self::bad_request(format_args!("failed to send message #{number} with the error message \"{said}\""))
    }

    /// The `description`.
    pub fn description(&self) -> &str {
        &self.description
    }
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        let forbidden = |what: &str| Self::new(403, format!("Forbidden: {what}"));
        match error {
            SendError::ChatNotFound => Self::chat_not_found(),
            SendError::Blocked => forbidden("bot was blocked by the user"),
            SendError::Deactivated => forbidden("user is deactivated"),
            SendError::NotStarted => forbidden("bot can't initiate conversation with a user"),
            SendError::BotToBot => forbidden("bot can't send messages to bots"),
            SendError::Deleted(ChatKind::Group) => forbidden("the group chat was deleted"),
            SendError::Kicked(kind) | SendError::Deleted(kind) => {
                forbidden(&format!("bot was kicked from the {} chat", kind.name()))
            }
            SendError::NotMember(kind) => forbidden(&format!("bot is not a member of the {} chat", kind.name())),
            SendError::NoRights(ChatKind::Channel, _) => {
                Self::bad_request("need administrator rights in the channel chat")
            }
            SendError::NoRights(_, content) | SendError::NoContent(content) => {
                Self::bad_request(format_args!("not enough rights to send {} to the chat", plural(content)))
            }
            SendError::TopicNotFound => Self::bad_request("message thread not found"),
            SendError::TopicClosed => Self::bad_request("TOPIC_CLOSED"),
            SendError::Migrated(chat) => Self::bad_request("group chat was upgraded to a supergroup chat")
                .with_parameters(json!({ "migrate_to_chat_id": chat })),
            SendError::ReplyNotFound => Self::bad_request("message to be replied not found"),
            SendError::SlowMode(seconds) => Self::too_many_requests(seconds.into()),
        }
    }
}

fn plural(content: ContentKind) -> &'static str {
    match content {
        ContentKind::Text => "text messages",
        ContentKind::Poll => "polls",
        ContentKind::Location => "locations",
        ContentKind::File(MediaKind::Photo) => "photos",
        ContentKind::File(MediaKind::Video) => "videos",
        ContentKind::File(MediaKind::Document) => "documents",
        ContentKind::File(MediaKind::Audio) => "music",
        ContentKind::File(MediaKind::Voice) => "voice notes",
        ContentKind::File(MediaKind::Animation) => "animations",
    }
}

/// The HTTP form of a method's result.
pub fn respond(result: MethodResult) -> HttpAnswer {
    match result {
        Ok(Done { result, description: None }) => json_answer(200, &json!({ "ok": true, "result": result })),
        Ok(Done { result, description }) => {
            json_answer(200, &json!({ "ok": true, "result": result, "description": description }))
        }
        Err(error) => {
            let mut body = json!({ "ok": false, "error_code": error.code, "description": error.description });
            let retry_after = error.parameters.as_ref().and_then(|parameters| parameters["retry_after"].as_u64());
            if let Some(parameters) = error.parameters {
                body["parameters"] = parameters;
            }
            let mut answer = json_answer(error.code, &body);
            if let Some(seconds) = retry_after {
                answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            answer
        }
    }
}

/// An answer with any status and body, such as a gateway's error page.
pub fn raw_answer(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> HttpAnswer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    answer
}

fn json_answer(status: u16, body: &Value) -> HttpAnswer {
    raw_answer(status, "application/json", body.to_string())
}
