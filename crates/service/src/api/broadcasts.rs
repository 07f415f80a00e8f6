//! `/api/integrations/broadcasts`.

use std::{collections::HashMap, sync::Arc};

use axum::{Extension, extract::State, response::Response};
use chrono::{DateTime, Utc};
use platform::Priority;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{
    Slice,
    broadcasts::{BroadcastRow, TargetRow},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{ApiState, answer, openapi::Problem};
use crate::{
    Error, Result,
    app::App,
    http::{BodyLimits, Cursor, IdempotencyKey, Json, Limit, Page, Path, Query},
    usecases::{
        Caller,
        broadcasts::{self, NewCall, NewTarget, Order, Progress},
        draft::{ChatId, SendMessage},
        idempotent::{body_hash, idempotent},
        send::target,
    },
};

/// Ten thousand targets with some variables each.
const BODY_BYTES: usize = 16 * 1024 * 1024;

/// The route that takes large bodies, and what shares its path.
pub fn with_large_bodies() -> OpenApiRouter<ApiState> {
    let limits = BodyLimits { bytes: BODY_BYTES, ..BodyLimits::default() };
    OpenApiRouter::new().routes(routes!(create, list)).layer(Extension(limits))
}

const STATUSES: [&str; 5] = ["scheduled", "running", "paused", "done", "cancelled"];
const TARGET_STATUSES: [&str; 8] =
    ["waiting", "scheduled", "queued", "sending", "sent", "failed", "unknown", "cancelled"];

/// A message to many chats.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBroadcast {
    /// What you call it, 1 to 200 characters.
    name: Option<String>,
    /// The body of a send, without `chat_id`, `split` and `scheduled_at`; its `priority` is that of the broadcast. Its texts may hold variables: `{{name}}`, or
    /// `{{name|friend}}` with what stands there for targets without one. Their values are text and never markup.
    #[schema(example = json!({ "text": "Dear {{name|friend}}, we open at <b>{{hour}}</b>.", "parse_mode": "HTML" }))]
    message: SendMessage,
    /// What sends, for targets that do not say it themselves.
    via: Option<Via>,
    /// Where it goes: 1 to 10,000, each once.
    targets: Vec<BroadcastTarget>,
    /// The queue of its messages; by default `low`, so that other messages of the same senders go first.
    #[serde(default = "low")]
    priority: Priority,
    /// Not before this time (RFC 3339), at most 365 days ahead.
    scheduled_at: Option<DateTime<Utc>>,
}

fn low() -> Priority {
    Priority::Low
}

/// What sends: exactly one of the two.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Via {
    /// A bot.
    bot_id: Option<Uuid>,
    /// An account.
    account_id: Option<Uuid>,
}

/// One destination.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BroadcastTarget {
    /// The chat, as in a send; none for a channel.
    chat_id: Option<ChatId>,
    /// The connected channel or group that gets it, through whichever of its senders can.
    channel_id: Option<Uuid>,
    /// The bot that sends to it.
    bot_id: Option<Uuid>,
    /// The account that sends to it.
    account_id: Option<Uuid>,
    /// The values of the message's variables: strings, numbers, true or false.
    #[serde(default)]
    variables: Map<String, Value>,
}

/// A broadcast that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedBroadcast {
    /// Id of the broadcast: follow it under `/api/integrations/broadcasts/{id}`.
    id: Uuid,
    /// `running` or `scheduled`.
    #[schema(example = "running")]
    status: String,
    /// How many targets it has.
    total: usize,
    /// Not before this time.
    scheduled_at: Option<DateTime<Utc>>,
}

/// A broadcast.
#[derive(Debug, Serialize, ToSchema)]
pub struct BroadcastView {
    /// Id of the broadcast.
    id: Uuid,
    /// Whose it is.
    user_id: i32,
    /// What its owner calls it.
    name: Option<String>,
    /// `scheduled`, `running`, `paused`, `done` (each target has its result) or `cancelled`.
    #[schema(example = "running")]
    status: String,
    /// The message with its variables, its markup parsed.
    #[schema(value_type = platform::Message)]
    message: Value,
    /// The queue of its messages.
    priority: Priority,
    /// How many targets it has.
    total: i32,
    /// Not before this time.
    scheduled_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    created_at: DateTime<Utc>,
    /// When the last of its messages came to its end.
    finished_at: Option<DateTime<Utc>>,
}

impl From<BroadcastRow> for BroadcastView {
    fn from(row: BroadcastRow) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            name: row.name,
            status: row.status,
            message: row.content,
            priority: Priority::from_rank(row.priority),
            total: row.total,
            scheduled_at: row.scheduled_at,
            created_at: row.created_at,
            finished_at: row.finished_at,
        }
    }
}

/// A message in place of another.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CorrectBroadcast {
    /// The message, as when the broadcast was made: of the same kind and with the same files.
    message: SendMessage,
}

/// A broadcast with its progress.
#[derive(Debug, Serialize, ToSchema)]
pub struct BroadcastDetails {
    #[serde(flatten)]
    broadcast: BroadcastView,
    /// How many targets are in which state: `waiting` (their message is not queued yet), or the state of their message.
    counts: HashMap<String, i64>,
    /// What is being done to what was sent already: `correct` or `recall`; `null` when nothing is, or it is done.
    follow_up: Option<String>,
    /// How many of the messages that were sent are `waiting` to be corrected or recalled, `done`, or `failed`.
    follow_up_counts: HashMap<String, i64>,
}

impl From<Progress> for BroadcastDetails {
    fn from(progress: Progress) -> Self {
        let follow_up = progress.row.follow_up.clone();
        let (counts, follow_up_counts) = (progress.counts, progress.follow_up);
        Self { broadcast: progress.row.into(), counts, follow_up, follow_up_counts }
    }
}

/// The result of one target.
#[derive(Debug, Serialize, ToSchema)]
pub struct TargetView {
    /// Id of the target.
    id: Uuid,
    /// The bot that sends to it.
    bot_id: Option<Uuid>,
    /// The account that sends to it.
    account_id: Option<Uuid>,
    /// The channel that gets it.
    channel_id: Option<Uuid>,
    /// Numeric id of the chat, if that was given.
    chat_id: Option<i64>,
    /// Public name of the chat, if that was given.
    chat_name: Option<String>,
    /// `waiting`, or the state of its message.
    #[schema(example = "sent")]
    status: String,
    /// Its message, once that is queued.
    message_id: Option<Uuid>,
    /// Stable code of what went wrong.
    error_code: Option<String>,
    /// The same in words.
    error_message: Option<String>,
    /// Of the last correction or recall: `waiting`, `done` or `failed`.
    follow_up: Option<String>,
    /// Stable code of why that failed.
    follow_up_code: Option<String>,
    /// The same in words.
    follow_up_message: Option<String>,
}

impl From<TargetRow> for TargetView {
    fn from(row: TargetRow) -> Self {
        let via = |route: &str| (row.route == route).then_some(row.via);
        Self {
            bot_id: via("bot"),
            account_id: via("account"),
            channel_id: via("channel"),
            id: row.id,
            chat_id: row.chat_id,
            chat_name: row.chat_name,
            status: row.status,
            message_id: row.message_id,
            error_code: row.error_code,
            error_message: row.error_message,
            follow_up: row.follow_up,
            follow_up_code: row.follow_up_code,
            follow_up_message: row.follow_up_message,
        }
    }
}

/// A page of broadcasts.
#[derive(Debug, Serialize, ToSchema)]
pub struct BroadcastPage {
    /// The broadcasts, newest first.
    items: Vec<BroadcastView>,
    /// Pass it as `cursor` to get the next page.
    next_cursor: Option<String>,
}

/// A page of targets.
#[derive(Debug, Serialize, ToSchema)]
pub struct TargetPage {
    /// The targets, the last first.
    items: Vec<TargetView>,
    /// Pass it as `cursor` to get the next page.
    next_cursor: Option<String>,
}

/// Which of them to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListBroadcasts {
    /// How many at most, 1 to 200; by default 50.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// The `next_cursor` of the previous page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// In one of these states, separated by commas.
    status: Option<String>,
}

impl ListBroadcasts {
    fn slice(&self) -> Slice {
        Slice { rows: self.limit.rows(), before: self.cursor.map(|c| c.0) }
    }
}

/// Sends one message to many chats.
///
/// 202 means that the broadcast is stored, and that its message was tried with the variables of each target. Messages are given to the
/// senders little by little, within the limits of each, and can be followed one by one. Nothing is sent twice.
#[utoipa::path(
    post, path = "/api/integrations/broadcasts", tag = "broadcasts", operation_id = "createBroadcast",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeat a request safely for 24 hours.")),
    request_body = NewBroadcast,
    responses(
        (status = 202, description = "Accepted.", body = AcceptedBroadcast),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    key: IdempotencyKey,
    Json(body): Json<NewBroadcast>,
) -> Result<Response> {
    let hash = body_hash("broadcasts", &body);
    let create = async { broadcasts::create(&app, &caller, convert(body)?).await };
    let (status, body) = Box::pin(idempotent(&app, &caller, key.0.as_deref(), &hash, create)).await?;
    Ok(answer(status, body))
}

fn convert(body: NewBroadcast) -> Result<NewCall> {
    let default = body.via.map(|via| sender("/via", via.bot_id, via.account_id)).transpose()?;
    let targets = body.targets.into_iter().enumerate().map(|(index, each)| {
        let at = format!("/targets/{index}");
        if let Some(channel_id) = each.channel_id {
            if each.chat_id.is_some() || each.bot_id.is_some() || each.account_id.is_some() {
                let hint = "has a `channel_id`, which says where and through what it goes: leave the others out";
                return Err(Error::invalid_field(at, hint));
            }
            return Ok(NewTarget { route: "channel", via: channel_id, chat: None, variables: each.variables });
        }
        let (route, via) = match (&each.bot_id, &each.account_id, default) {
            (None, None, Some(default)) => default,
            _ => sender(&at, each.bot_id, each.account_id)?,
        };
        let chat = each.chat_id.ok_or_else(|| Error::invalid_field(format!("{at}/chat_id"), "is missing"))?;
        let chat = target(&chat).map_err(|mut error| {
            error.fields.iter_mut().for_each(|field| field.pointer = format!("{at}{}", field.pointer));
            error
        })?;
        Ok(NewTarget { route, via, chat: Some(chat), variables: each.variables })
    });
    Ok(NewCall {
        targets: targets.collect::<Result<_>>()?,
        name: body.name,
        message: body.message,
        priority: body.priority,
        scheduled_at: body.scheduled_at,
    })
}

fn sender(at: &str, bot_id: Option<Uuid>, account_id: Option<Uuid>) -> Result<(&'static str, Uuid)> {
    match (bot_id, account_id) {
        (Some(bot), None) => Ok(("bot", bot)),
        (None, Some(account)) => Ok(("account", account)),
        _ => Err(Error::invalid_field(
            at,
            "needs exactly one of `bot_id`, `account_id` and `channel_id`; or give a bot or an account in `/via` for all",
        )),
    }
}

/// Lists broadcasts.
#[utoipa::path(
    get, path = "/api/integrations/broadcasts", tag = "broadcasts", operation_id = "listBroadcasts", params(ListBroadcasts),
    responses(
        (status = 200, description = "A page of broadcasts, newest first.", body = BroadcastPage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListBroadcasts>,
) -> Result<Json<Page<BroadcastView>>> {
    let slice = query.slice();
    let rows = broadcasts::list(&app, &caller, super::statuses(&STATUSES, query.status)?, slice).await?;
    Ok(Json(Page::new(rows, query.limit, |row| row.id).map(BroadcastView::from)))
}

/// Gets a broadcast with its progress.
#[utoipa::path(
    get, path = "/api/integrations/broadcasts/{id}", tag = "broadcasts", operation_id = "getBroadcast",
    params(("id" = Uuid, Path, description = "Id of the broadcast.")),
    responses(
        (status = 200, description = "The broadcast.", body = BroadcastDetails),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<BroadcastDetails>> {
    Ok(Json(broadcasts::get(&app, &caller, id).await?.into()))
}

/// Lists the targets of a broadcast with their results.
#[utoipa::path(
    get, path = "/api/integrations/broadcasts/{id}/targets", tag = "broadcasts", operation_id = "listBroadcastTargets",
    params(("id" = Uuid, Path, description = "Id of the broadcast."), ListBroadcasts),
    responses(
        (status = 200, description = "A page of targets, the last first.", body = TargetPage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn targets(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<ListBroadcasts>,
) -> Result<Json<Page<TargetView>>> {
    let slice = query.slice();
    let statuses = super::statuses(&TARGET_STATUSES, query.status)?;
    let rows = broadcasts::targets(&app, &caller, id, &statuses, slice).await?;
    Ok(Json(Page::new(rows, query.limit, |row| row.id).map(TargetView::from)))
}

/// Pauses a broadcast: nothing more is sent until it is resumed, but what is on its way to Telegram at this moment.
#[utoipa::path(
    post, path = "/api/integrations/broadcasts/{id}/pause", tag = "broadcasts", operation_id = "pauseBroadcast",
    params(("id" = Uuid, Path, description = "Id of the broadcast.")),
    responses(
        (status = 200, description = "The broadcast as it is now.", body = BroadcastDetails),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn pause(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<BroadcastDetails>> {
    Ok(Json(broadcasts::order(&app, &caller, id, Order::Pause).await?.into()))
}

/// Resumes a broadcast that is paused.
#[utoipa::path(
    post, path = "/api/integrations/broadcasts/{id}/resume", tag = "broadcasts", operation_id = "resumeBroadcast",
    params(("id" = Uuid, Path, description = "Id of the broadcast.")),
    responses(
        (status = 200, description = "The broadcast as it is now.", body = BroadcastDetails),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<BroadcastDetails>> {
    Ok(Json(broadcasts::order(&app, &caller, id, Order::Resume).await?.into()))
}

/// Cancels a broadcast: what was not sent yet never is.
#[utoipa::path(
    post, path = "/api/integrations/broadcasts/{id}/cancel", tag = "broadcasts", operation_id = "cancelBroadcast",
    params(("id" = Uuid, Path, description = "Id of the broadcast.")),
    responses(
        (status = 200, description = "The broadcast as it is now.", body = BroadcastDetails),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<BroadcastDetails>> {
    Ok(Json(broadcasts::order(&app, &caller, id, Order::Cancel).await?.into()))
}

/// Corrects a broadcast: its message is replaced for targets whose turn has not come, and edited at Telegram where it was sent.
///
/// How far that is, and what Telegram refused, is told with the broadcast and its targets.
#[utoipa::path(
    patch, path = "/api/integrations/broadcasts/{id}", tag = "broadcasts", operation_id = "correctBroadcast",
    params(("id" = Uuid, Path, description = "Id of the broadcast.")),
    request_body = CorrectBroadcast,
    responses(
        (status = 200, description = "The broadcast as it is now.", body = BroadcastDetails),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn correct(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Result<Json<CorrectBroadcast>>,
) -> Result<Json<BroadcastDetails>> {
    // Whether the broadcast exists is told before what is wrong with the body.
    broadcasts::get(&app, &caller, id).await?;
    let Json(body) = body?;
    Ok(Json(broadcasts::correct(&app, &caller, id, &body.message).await?.into()))
}

/// Recalls a broadcast: what was not sent never is, and what was sent is deleted at Telegram.
#[utoipa::path(
    post, path = "/api/integrations/broadcasts/{id}/recall", tag = "broadcasts", operation_id = "recallBroadcast",
    params(("id" = Uuid, Path, description = "Id of the broadcast.")),
    responses(
        (status = 200, description = "The broadcast as it is now.", body = BroadcastDetails),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn recall(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<BroadcastDetails>> {
    Ok(Json(broadcasts::recall(&app, &caller, id).await?.into()))
}
