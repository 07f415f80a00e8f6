//! Sending: `POST …/bots/{id}/send`.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use platform::{Button, Entity, LinkPreview, Priority};
use serde::{Deserialize, Serialize};
use telegram::text::ParseMode;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    answer,
    dry_run::{DryRunView, SendQuery},
    openapi::Problem,
};
use crate::{
    Error, Result,
    app::App,
    http::{IdempotencyKey, Json, Path, Query},
    usecases::{
        Caller, channel_send, channels, dry_run,
        idempotent::body_hash,
        send::{self, ChatTarget, SendText},
    },
};

/// Ids of chats have at most 52 significant bits.
const MAX_CHAT_ID: u64 = 1 << 52;

/// A message to send.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// Numeric id of the chat, or the `@name` of a public channel or group. Required, but for sends to a connected channel, which have
    /// none.
    #[schema(value_type = Option<ChatId>)]
    chat_id: Option<ChatId>,
    /// The text: at most 4096 characters after its markup is parsed.
    text: String,
    /// How markup in the text is written. Without it the text is plain, or formatted by `entities`.
    parse_mode: Option<ParseMode>,
    /// Formatting by ranges, instead of markup. Offsets and lengths count UTF-16 code units.
    entities: Option<Vec<Entity>>,
    /// Id of the message at Telegram that is answered.
    reply_to_message_id: Option<i64>,
    /// Deliver without a sound.
    silent: Option<bool>,
    /// Forbid forwarding and saving.
    protected: Option<bool>,
    /// How a link in the text is previewed.
    link_preview: Option<LinkPreview>,
    /// Rows of inline buttons.
    #[serde(default)]
    buttons: Vec<Vec<Button>>,
    /// Which of the sender's queues the message waits in.
    #[serde(default)]
    priority: Priority,
    /// Not before this time (RFC 3339), at most 365 days ahead.
    scheduled_at: Option<DateTime<Utc>>,
}

/// A chat: its numeric id, or `@name`.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged, expecting = "a numeric chat id or an `@name`")]
pub enum ChatId {
    /// Negative for groups and channels.
    Id(i64),
    /// Public name with `@`.
    Name(String),
}

/// A message that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedMessage {
    /// Id of the message: follow it under `/api/integrations/messages/{id}`.
    id: Uuid,
    /// `queued` or `scheduled`.
    #[schema(example = "queued")]
    status: String,
    /// The sender it goes through. Of a channel, another one may take over.
    sender_id: Uuid,
    /// The channel it was sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<Uuid>,
    /// The queue it waits in.
    priority: Priority,
    /// Not before this time.
    scheduled_at: Option<DateTime<Utc>>,
}

/// Sends a message through a bot.
///
/// 202 means that the message is stored and will be sent: it is never lost and never sent twice. Messages to one chat arrive in the
/// order of their acceptance.
#[utoipa::path(
    post, path = "/api/integrations/telegram/bots/{id}/send", tag = "bots", operation_id = "sendByBot",
    params(
        ("id" = Uuid, Path, description = "Id of the bot."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeat a request safely for 24 hours."),
        SendQuery,
    ),
    request_body = SendMessage,
    responses(
        (status = 200, description = "What would become of it, with `dry_run`.", body = DryRunView),
        (status = 202, description = "Accepted.", body = AcceptedMessage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn send_by_bot(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    query: Result<Query<SendQuery>>,
    key: Result<IdempotencyKey>,
    body: Result<Json<SendMessage>>,
) -> Result<Response> {
    accept(&app, &caller, ("bot", id), query, key, body).await
}

/// Sends a message through an account.
///
/// As through a bot; an account cannot send buttons.
#[utoipa::path(
    post, path = "/api/integrations/telegram/accounts/{id}/send", tag = "accounts", operation_id = "sendByAccount",
    params(
        ("id" = Uuid, Path, description = "Id of the account."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeat a request safely for 24 hours."),
        SendQuery,
    ),
    request_body = SendMessage,
    responses(
        (status = 200, description = "What would become of it, with `dry_run`.", body = DryRunView),
        (status = 202, description = "Accepted.", body = AcceptedMessage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn send_by_account(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    query: Result<Query<SendQuery>>,
    key: Result<IdempotencyKey>,
    body: Result<Json<SendMessage>>,
) -> Result<Response> {
    accept(&app, &caller, ("account", id), query, key, body).await
}

/// Sends a message to a connected channel or group.
///
/// The body is that of other sends, without `chat_id`. It goes through the first of the channel's senders that is active, not held back
/// by Telegram and allowed to send it; when that changes before it was sent, the next one takes over. Messages to one channel arrive in
/// the order of their acceptance, whoever sends them.
#[utoipa::path(
    post, path = "/api/integrations/telegram/channels/{id}/send", tag = "channels", operation_id = "sendToChannel",
    params(
        ("id" = Uuid, Path, description = "Id of the channel."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeat a request safely for 24 hours."),
        SendQuery,
    ),
    request_body = SendMessage,
    responses(
        (status = 200, description = "What would become of it, with `dry_run`.", body = DryRunView),
        (status = 202, description = "Accepted.", body = AcceptedMessage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn send_to_channel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    query: Result<Query<SendQuery>>,
    key: Result<IdempotencyKey>,
    body: Result<Json<SendMessage>>,
) -> Result<Response> {
    let channel = channels::get(&app, &caller, id).await?;
    let (Query(query), Json(body)) = (query?, body?);
    let key = key?.0.map(|key| (key, body_hash(&id.to_string(), &body)));
    if body.chat_id.is_some() {
        return Err(Error::invalid_field("/chat_id", "must be left out: the channel is the destination"));
    }
    let message = convert(body, ChatTarget::Id(channel.channel_id));
    if query.dry_run {
        return Ok(tried(dry_run::to_channel(&app, &caller, id, message).await?));
    }
    let (status, body) = channel_send::send(&app, &caller, id, message, key).await?;
    Ok(answer(status, body))
}

async fn accept(
    app: &App,
    caller: &Caller,
    (route, sender_id): (&'static str, Uuid),
    query: Result<Query<SendQuery>>,
    key: Result<IdempotencyKey>,
    body: Result<Json<SendMessage>>,
) -> Result<Response> {
    let checked = async {
        let (Query(query), Json(body)) = (query?, body?);
        let key = key?.0.map(|key| (key, body_hash(&sender_id.to_string(), &body)));
        let chat = body.chat_id.as_ref().ok_or_else(|| Error::invalid_field("/chat_id", "is required"))?;
        let chat = target(chat)?;
        let message = convert(body, chat);
        if query.dry_run {
            return Ok::<_, Error>(tried(dry_run::through_sender(app, caller, route, sender_id, message).await?));
        }
        let (status, body) = send::send(app, caller, route, sender_id, message, key).await?;
        Ok(answer(status, body))
    };
    match checked.await {
        Ok(answer) => Ok(answer),
        Err(error) if error.code.status().is_client_error() => {
            // Whether the sender exists is told before what is wrong with the body.
            send::require_visible(app, caller, route, sender_id).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

fn tried(run: dry_run::DryRun) -> Response {
    Json(DryRunView::from(run)).into_response()
}

fn convert(body: SendMessage, chat: ChatTarget) -> SendText {
    SendText {
        chat,
        text: body.text,
        parse_mode: body.parse_mode,
        entities: body.entities,
        reply_to: body.reply_to_message_id,
        silent: body.silent,
        protected: body.protected,
        link_preview: body.link_preview,
        buttons: body.buttons,
        priority: body.priority,
        scheduled_at: body.scheduled_at,
    }
}

fn target(chat: &ChatId) -> Result<ChatTarget> {
    match chat {
        ChatId::Id(id) if *id != 0 && id.unsigned_abs() < MAX_CHAT_ID => Ok(ChatTarget::Id(*id)),
        ChatId::Id(_) => Err(Error::invalid_field("/chat_id", "must be the id of a chat: not 0 and below 2^52")),
        ChatId::Name(name) => {
            let bare = name.strip_prefix('@').unwrap_or_default();
            let good = (4..=32).contains(&bare.len())
                && bare.starts_with(|c: char| c.is_ascii_alphabetic())
                && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if good {
                return Ok(ChatTarget::Name(bare.to_ascii_lowercase()));
            }
            let hint =
                "must be a number, or the public name of a channel or group: `@` and 4 to 32 letters, digits or _";
            Err(Error::invalid_field("/chat_id", hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_are_numbers_or_names() {
        assert_eq!(target(&ChatId::Id(-100_123)).unwrap(), ChatTarget::Id(-100_123));
        assert_eq!(target(&ChatId::Name("@News_24".into())).unwrap(), ChatTarget::Name("news_24".into()));
        for bad in ["news", "@", "@abc", "@1news", "@ne ws", "@новости", "123"] {
            assert!(target(&ChatId::Name(bad.into())).is_err(), "{bad}");
        }
        for bad in [0, i64::MAX, i64::MIN, 1 << 52] {
            assert!(target(&ChatId::Id(bad)).is_err(), "{bad}");
        }
    }
}
