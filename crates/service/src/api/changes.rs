//! What is done with a message after it was accepted: `PATCH` and `DELETE …/messages/{id}`, `POST …/messages/{id}/pin | forward`.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use chrono::{DateTime, Utc};
use platform::{Button, Entity, LinkPreview, Priority};
use serde::Deserialize;
use telegram::text::ParseMode;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{answer, messages::MessageView, openapi::Problem, send::AcceptedMessage};
use crate::{
    Result,
    app::App,
    http::{IdempotencyKey, Json, Path},
    usecases::{
        Caller,
        changes::{self, Edit, Forwarding},
        draft::{ChatId, TextDraft},
    },
};

/// What a message is to say from now on. What is not given stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditMessage {
    /// The text of a text message: at most 4096 characters after its markup is parsed.
    text: Option<String>,
    /// What is written below a medium (of an album: below the first), at most 1024 characters; an empty one takes it away.
    caption: Option<String>,
    /// How markup in the text or caption is written.
    parse_mode: Option<ParseMode>,
    /// Formatting by ranges, instead of markup.
    entities: Option<Vec<Entity>>,
    /// Rows of inline buttons; an empty list takes them away.
    buttons: Option<Vec<Vec<Button>>>,
    /// How a link in the text is previewed.
    link_preview: Option<LinkPreview>,
}

/// How a message is pinned.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PinMessage {
    /// Nobody is told.
    #[serde(default)]
    silent: bool,
    /// Take the pin away instead.
    #[serde(default)]
    unpin: bool,
}

/// Where a message is forwarded to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardMessage {
    /// Numeric id of the chat, or the `@name` of a public channel or group.
    #[schema(value_type = ChatId)]
    chat_id: ChatId,
    /// Through this sender, instead of the one that sent it: it has to see the message.
    via: Option<Uuid>,
    /// Without saying where it comes from.
    #[serde(default)]
    as_copy: bool,
    /// The topic of a forum that it goes to.
    topic_id: Option<i64>,
    /// Deliver without a sound.
    silent: Option<bool>,
    /// Forbid forwarding and saving.
    protected: Option<bool>,
    /// Which of the sender's queues it waits in.
    #[serde(default)]
    priority: Priority,
    /// Not before this time (RFC 3339), at most 365 days ahead.
    scheduled_at: Option<DateTime<Utc>>,
}

/// Changes what a message says.
///
/// A message that waits is changed before it is sent; one that was sent is edited at Telegram, and the answer tells that it was.
#[utoipa::path(
    patch, path = "/api/integrations/messages/{id}", tag = "messages", operation_id = "editMessage",
    params(("id" = Uuid, Path, description = "Id of the message.")),
    request_body = EditMessage,
    responses(
        (status = 200, description = "The message as it is now.", body = MessageView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn edit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Result<Json<EditMessage>>,
) -> Result<Json<MessageView>> {
    changes::require(&app, &caller, id).await?;
    let Json(body) = body?;
    let EditMessage { text, caption, parse_mode, entities, buttons, link_preview } = body;
    let formatting = TextDraft { text: None, parse_mode, entities };
    let edit = Edit { text, caption, formatting, buttons, link_preview };
    Ok(Json(changes::edit(&app, &caller, id, edit).await?.into()))
}

/// Takes a message back.
///
/// A message that waits is cancelled; one that was sent is deleted at Telegram for everybody, with all its parts.
#[utoipa::path(
    delete, path = "/api/integrations/messages/{id}", tag = "messages", operation_id = "deleteMessage",
    params(("id" = Uuid, Path, description = "Id of the message.")),
    responses(
        (status = 200, description = "The message as it is now.", body = MessageView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<MessageView>> {
    Ok(Json(changes::delete(&app, &caller, id).await?.into()))
}

/// Pins a message that was sent at the top of its chat, or takes the pin away.
#[utoipa::path(
    post, path = "/api/integrations/messages/{id}/pin", tag = "messages", operation_id = "pinMessage",
    params(("id" = Uuid, Path, description = "Id of the message.")),
    request_body = PinMessage,
    responses(
        (status = 200, description = "The message as it is now.", body = MessageView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn pin(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Result<Json<PinMessage>>,
) -> Result<Json<MessageView>> {
    changes::require(&app, &caller, id).await?;
    let Json(body) = body?;
    Ok(Json(changes::pin(&app, &caller, id, !body.unpin, body.silent).await?.into()))
}

/// Forwards a message that was sent: accepts a new message, of the kind `forward`.
#[utoipa::path(
    post, path = "/api/integrations/messages/{id}/forward", tag = "messages", operation_id = "forwardMessage",
    params(
        ("id" = Uuid, Path, description = "Id of the message."),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeat a request safely for 24 hours."),
    ),
    request_body = ForwardMessage,
    responses(
        (status = 202, description = "Accepted.", body = AcceptedMessage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn forward(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: Result<IdempotencyKey>,
    body: Result<Json<ForwardMessage>>,
) -> Result<Response> {
    changes::require(&app, &caller, id).await?;
    let (Json(body), key) = (body?, key?.0);
    let ForwardMessage { chat_id, via, as_copy, topic_id, silent, protected, priority, scheduled_at } = body;
    let to = Forwarding { chat_id, via, as_copy, topic_id, silent, protected, priority, scheduled_at, key };
    let (status, body) = changes::forward(&app, &caller, id, to).await?;
    Ok(answer(status, body))
}
