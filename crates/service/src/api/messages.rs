//! `/api/integrations/messages`.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use platform::Priority;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    Slice,
    messages::{AttemptRow, Change, MessageFilter, MessageRow},
};
use telegram::channels::routing;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::openapi::Problem;
use crate::{
    Result,
    app::App,
    http::{Cursor, Json, Limit, Page, Path, Query},
    usecases::{Caller, messages},
};

const STATUSES: [&str; 7] = ["scheduled", "queued", "sending", "sent", "failed", "unknown", "cancelled"];

/// A message.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageView {
    /// Id of the message.
    id: Uuid,
    /// Whose message it is.
    user_id: i32,
    /// `scheduled`, `queued`, `sending`, `sent`, `failed`, `unknown` (it may have arrived or not: resend or dismiss it) or `cancelled`.
    #[schema(example = "sent")]
    status: String,
    /// The route that was called: `bot`, `account` or `channel`.
    route: String,
    /// The sender it goes through, or went through; `null` while no sender of its channel can send it.
    sender_id: Option<Uuid>,
    /// The channel it was sent to.
    channel_id: Option<Uuid>,
    /// Numeric id of the chat; `null` until a name is resolved.
    chat_id: Option<i64>,
    /// Public name of the chat, if that was given.
    chat_name: Option<String>,
    /// The content, with its markup parsed.
    #[schema(value_type = platform::Message)]
    content: Value,
    /// The queue it waits in.
    priority: Priority,
    /// Not before this time.
    scheduled_at: Option<DateTime<Utc>>,
    /// The next attempt is not made before this time.
    not_before: Option<DateTime<Utc>>,
    /// Id at Telegram, once it is sent.
    platform_message_id: Option<i64>,
    /// How many attempts were made.
    attempts: i32,
    /// Stable code of what went wrong last.
    error_code: Option<String>,
    /// The same in words.
    error_message: Option<String>,
    /// The request that brought it.
    request_id: Option<String>,
    /// When it was accepted.
    created_at: DateTime<Utc>,
    /// When it reached its end.
    finished_at: Option<DateTime<Utc>>,
    /// When its content was last changed at Telegram.
    edited_at: Option<DateTime<Utc>>,
    /// When it was taken back at Telegram.
    deleted_at: Option<DateTime<Utc>>,
    /// Whether it was pinned in its chat through the service.
    pinned: bool,
}

impl From<MessageRow> for MessageView {
    fn from(row: MessageRow) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            status: row.status,
            route: row.route,
            sender_id: Some(row.sender_id).filter(|id| *id != routing::NOBODY),
            channel_id: row.channel_id,
            chat_id: row.chat_id,
            chat_name: row.chat_name,
            content: row.content,
            priority: Priority::from_rank(row.priority),
            scheduled_at: row.scheduled_at,
            not_before: row.not_before,
            platform_message_id: row.platform_message_id,
            attempts: row.attempts,
            error_code: row.error_code,
            error_message: row.error_message,
            request_id: row.request_id,
            created_at: row.created_at,
            finished_at: row.finished_at,
            edited_at: row.edited_at,
            deleted_at: row.deleted_at,
            pinned: row.pinned,
        }
    }
}

/// One attempt to send a message.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptView {
    /// Id of the attempt.
    id: Uuid,
    /// The sender that made it: for a channel, several may.
    sender_id: Uuid,
    /// When it began.
    started_at: DateTime<Utc>,
    /// When its outcome was known; `null` while it runs.
    finished_at: Option<DateTime<Utc>>,
    /// `sent`, `refused` (certainly not sent) or `unknown`; `null` while it runs.
    outcome: Option<String>,
    /// Stable code of what went wrong.
    code: Option<String>,
    /// Telegram's words.
    description: Option<String>,
    /// How long Telegram, or the retry policy, made it wait, in milliseconds.
    retry_after_ms: Option<i64>,
}

impl From<AttemptRow> for AttemptView {
    fn from(row: AttemptRow) -> Self {
        Self {
            id: row.id,
            sender_id: row.sender_id,
            started_at: row.started_at,
            finished_at: row.finished_at,
            outcome: row.outcome,
            code: row.code,
            description: row.description,
            retry_after_ms: row.retry_after_ms,
        }
    }
}

/// One of a message's parts at Telegram: an album has several, most messages one.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartView {
    /// Its id at Telegram.
    platform_message_id: i64,
    /// Its address, for those who may see the chat; `null` where Telegram has none: in private chats and basic groups.
    link: Option<String>,
}

/// A message with its attempts.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageDetails {
    #[serde(flatten)]
    message: MessageView,
    /// Its address at Telegram, for those who may see the chat; `null` where there is none: in private chats and basic groups.
    #[schema(example = "https://t.me/example/12")]
    link: Option<String>,
    /// What it is at Telegram, once it is sent.
    parts: Vec<PartView>,
    /// Every attempt, in order.
    attempt_list: Vec<AttemptView>,
}

/// A page of messages.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessagePage {
    /// The messages, newest first.
    items: Vec<MessageView>,
    /// Pass it as `cursor` to get the next page.
    next_cursor: Option<String>,
}

/// Which messages to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListMessages {
    /// How many at most, 1 to 200; by default 50.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// The `next_cursor` of the previous page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// In one of these states, separated by commas.
    status: Option<String>,
    /// Through this sender.
    sender_id: Option<Uuid>,
    /// For this channel.
    channel_id: Option<Uuid>,
    /// To this chat.
    chat_id: Option<i64>,
    /// Accepted at this time or later.
    from: Option<DateTime<Utc>>,
    /// Accepted before this time.
    to: Option<DateTime<Utc>>,
}

/// Lists messages.
#[utoipa::path(
    get, path = "/api/integrations/messages", tag = "messages", operation_id = "listMessages", params(ListMessages),
    responses(
        (status = 200, description = "A page of messages, newest first.", body = MessagePage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListMessages>,
) -> Result<Json<Page<MessageView>>> {
    let filter = MessageFilter {
        user_id: None,
        statuses: super::statuses(&STATUSES, query.status)?,
        sender_id: query.sender_id,
        channel_id: query.channel_id,
        chat_id: query.chat_id,
        from: query.from,
        to: query.to,
    };
    let slice = Slice { rows: query.limit.rows(), before: query.cursor.map(|c| c.0) };
    let rows = messages::list(&app, &caller, filter, slice).await?;
    Ok(Json(Page::new(rows, query.limit, |row| row.id).map(MessageView::from)))
}

/// Gets a message with its attempts.
#[utoipa::path(
    get, path = "/api/integrations/messages/{id}", tag = "messages", operation_id = "getMessage",
    params(("id" = Uuid, Path, description = "Id of the message.")),
    responses(
        (status = 200, description = "The message.", body = MessageDetails),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<MessageDetails>> {
    let messages::Details { message, attempts, platform_ids, chat_name } = messages::get(&app, &caller, id).await?;
    let link = |platform_message_id| link(message.chat_id?, chat_name.as_deref(), platform_message_id);
    let parts: Vec<PartView> =
        platform_ids.into_iter().map(|id| PartView { platform_message_id: id, link: link(id) }).collect();
    Ok(Json(MessageDetails {
        link: parts.first().and_then(|part| part.link.clone()),
        parts,
        message: message.into(),
        attempt_list: attempts.into_iter().map(AttemptView::from).collect(),
    }))
}

/// The address of a message: by the public name of its channel or group, or by its number where only members see it.
fn link(chat_id: i64, chat_name: Option<&str>, message_id: i64) -> Option<String> {
    const CHANNELS: i64 = -1_000_000_000_000;
    if chat_id >= CHANNELS {
        return None;
    }
    Some(match chat_name {
        Some(name) => format!("https://t.me/{name}/{message_id}"),
        None => format!("https://t.me/c/{}/{message_id}", CHANNELS - chat_id),
    })
}

/// Cancels a message that is scheduled or queued.
#[utoipa::path(
    post, path = "/api/integrations/messages/{id}/cancel", tag = "messages", operation_id = "cancelMessage",
    params(("id" = Uuid, Path, description = "Id of the message.")),
    responses(
        (status = 200, description = "The message as it is now.", body = MessageView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn cancel(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<MessageView>> {
    Ok(Json(messages::change(&app, &caller, id, Change::Cancel).await?.into()))
}

/// Sends a failed, unknown or cancelled message again.
///
/// It joins the tail of its queue. A message whose outcome is unknown may then arrive twice: that is the caller's decision.
#[utoipa::path(
    post, path = "/api/integrations/messages/{id}/resend", tag = "messages", operation_id = "resendMessage",
    params(("id" = Uuid, Path, description = "Id of the message.")),
    responses(
        (status = 200, description = "The message as it is now.", body = MessageView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn resend(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<MessageView>> {
    Ok(Json(messages::change(&app, &caller, id, Change::Resend).await?.into()))
}

/// Dismisses a message whose outcome is unknown: it is `failed` with the code `dismissed`.
#[utoipa::path(
    post, path = "/api/integrations/messages/{id}/dismiss", tag = "messages", operation_id = "dismissMessage",
    params(("id" = Uuid, Path, description = "Id of the message.")),
    responses(
        (status = 200, description = "The message as it is now.", body = MessageView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn dismiss(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<MessageView>> {
    Ok(Json(messages::change(&app, &caller, id, Change::Dismiss).await?.into()))
}

#[cfg(test)]
mod tests {
    use super::link;

    #[test]
    fn only_messages_of_channels_and_supergroups_have_an_address() {
        assert_eq!(link(7, Some("bob"), 5), None);
        assert_eq!(link(-7, None, 5), None);
        assert_eq!(link(-1_000_000_000_123, None, 5).unwrap(), "https://t.me/c/123/5");
        assert_eq!(link(-1_000_000_000_123, Some("news"), 5).unwrap(), "https://t.me/news/5");
    }
}
