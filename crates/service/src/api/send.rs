//! Sending: `POST …/bots/{id}/send`.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use platform::Priority;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    answer,
    dry_run::{DryRunView, SendQuery},
    message_body::{self, MessageForm},
    openapi::Problem,
};
use crate::{
    Error, Result,
    app::App,
    http::{IdempotencyKey, Json, Path, Query, upload},
    usecases::{
        Caller, channel_send, channels,
        draft::SendMessage,
        dry_run,
        send::{self, Sending},
    },
};

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
    /// With `split`: the ids of all messages that the text became, in their order.
    parts: Option<Vec<Uuid>>,
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
    request_body(content((SendMessage = "application/json"), (MessageForm = "multipart/form-data"))),
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
    request: Request,
) -> Result<Response> {
    accept(&app, &caller, ("bot", id), query, key, request).await
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
    request_body(content((SendMessage = "application/json"), (MessageForm = "multipart/form-data"))),
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
    request: Request,
) -> Result<Response> {
    accept(&app, &caller, ("account", id), query, key, request).await
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
    request_body(content((SendMessage = "application/json"), (MessageForm = "multipart/form-data"))),
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
    request: Request,
) -> Result<Response> {
    let channel = channels::get(&app, &caller, id).await?;
    let Query(query) = query?;
    let (draft, attached) = message_body::read(&app, &caller, request).await?;
    let sending = Sending { draft, attached, key: key?.0 };
    if query.dry_run {
        return Ok(tried(dry_run::to_channel(&app, &caller, &channel, sending).await?));
    }
    let (status, body) = channel_send::send(&app, &caller, &channel, sending).await?;
    Ok(answer(status, body))
}

async fn accept(
    app: &App,
    caller: &Caller,
    (route, sender_id): (&'static str, Uuid),
    query: Result<Query<SendQuery>>,
    key: Result<IdempotencyKey>,
    request: Request,
) -> Result<Response> {
    if upload::is_form(request.headers()) {
        // Before files are stored for nothing.
        send::require_visible(app, caller, route, sender_id).await?;
    }
    let checked = async {
        let Query(query) = query?;
        let (draft, attached) = message_body::read(app, caller, request).await?;
        let sending = Sending { draft, attached, key: key?.0 };
        if query.dry_run {
            return Ok::<_, Error>(tried(dry_run::through_sender(app, caller, route, sender_id, sending).await?));
        }
        let (status, body) = send::send(app, caller, route, sender_id, sending).await?;
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
