//! `/api/integrations/telegram/channels`.

mod views;

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use http::{StatusCode, header::LOCATION};
use platform::{ChatKind, ChatRef};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::Slice;
use telegram::channels::{
    ChannelFilter,
    reference::{self, ReferenceError},
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use views::render;
pub use views::{ChannelDetails, ChannelView, RightsView};

use super::{answer, bots::json_filter, openapi::Problem};
use crate::{
    Error, Result,
    app::App,
    http::{Cursor, IdempotencyKey, Json, Limit, Page, Path, Query},
    usecases::{
        Caller,
        channels::{self, Via},
        idempotent::{body_hash, idempotent},
    },
};

const STATUSES: [&str; 4] = ["active", "no_sender", "gone", "off"];
/// The fewest code points of a search: a shorter text has no trigram.
const MIN_QUERY: usize = 3;
/// The most.
const MAX_QUERY: usize = 128;

/// A channel or group to connect.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectChannel {
    /// Through whom: exactly one of the two.
    via: SenderRef,
    /// `@name`, a link (`https://t.me/name`, `https://t.me/c/1234567890`, an invite link `https://t.me/+AbCd…`), or a numeric id: as bots
    /// know it (`-1001234567890`, a basic group `-4567`) or bare, as MTProto has it.
    #[schema(example = "@news")]
    channel: ChannelRef,
    /// An account that is not in the chat joins it. Bots cannot.
    #[serde(default)]
    join: bool,
    /// `silent`: deliver without a sound by default; `footer` with `footer_parse_mode`: put below each text and caption;
    /// `preferred_sender_id`: who sends when it can. Other keys are your own; up to 16 KiB in all.
    #[serde(default)]
    settings: Map<String, Value>,
}

/// A sender: a bot or an account.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SenderRef {
    /// A connected account.
    account_id: Option<Uuid>,
    /// A connected bot.
    bot_id: Option<Uuid>,
}

impl SenderRef {
    fn via(&self, at: &str) -> Result<Via> {
        match (self.bot_id, self.account_id) {
            (Some(sender_id), None) => Ok(Via { kind: "bot", sender_id }),
            (None, Some(sender_id)) => Ok(Via { kind: "account", sender_id }),
            _ => Err(Error::invalid_field(at, "must have exactly one of `account_id` and `bot_id`")),
        }
    }
}

/// A channel, by name, link or number.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged, expecting = "must be a `@name`, a link or a numeric id")]
pub enum ChannelRef {
    /// A number.
    Id(i64),
    /// A text.
    Text(String),
}

impl ChannelRef {
    fn parse(&self) -> Result<ChatRef> {
        let parsed = match self {
            Self::Id(id) => reference::by_number(*id),
            Self::Text(text) => reference::parse(text),
        };
        parsed.map_err(|error: ReferenceError| Error::invalid_field("/channel", error.to_string()))
    }
}

/// Who sends for a channel, too.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddSender {
    /// A connected account.
    account_id: Option<Uuid>,
    /// A connected bot.
    bot_id: Option<Uuid>,
    /// An account that is not in the chat joins it. Bots cannot.
    #[serde(default)]
    join: bool,
}

/// What to change of a channel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateChannel {
    /// A merge patch (RFC 7396) of the settings: `null` removes a key.
    settings: Option<Map<String, Value>>,
    /// Switch the channel on or off. What is queued waits while it is off.
    is_active: Option<bool>,
    /// Its senders in the order of preference; those that are left out follow.
    senders: Option<Vec<Uuid>>,
}

/// A page of channels.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelPage {
    /// The channels, newest first.
    items: Vec<ChannelView>,
    /// Pass it as `cursor` to get the next page.
    next_cursor: Option<String>,
}

/// Which channels to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListChannels {
    /// How many at most, 1 to 200; by default 50.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// The `next_cursor` of the previous page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// Whose title or name contains this, or has its words in any form (Russian and English): 3 to 128 characters.
    q: Option<String>,
    /// `channel` or `group`.
    #[serde(rename = "type")]
    kind: Option<ChannelType>,
    /// Switched on or off.
    is_active: Option<bool>,
    /// In one of these states, separated by commas.
    status: Option<String>,
    /// Through this sender.
    sender_id: Option<Uuid>,
    /// Whose settings contain this JSON object.
    settings: Option<String>,
    /// Connected at this time or later.
    from: Option<DateTime<Utc>>,
    /// Connected before this time.
    to: Option<DateTime<Utc>>,
}

/// The types of chats that can be connected.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelType {
    /// Only administrators post.
    Channel,
    /// Members write to each other.
    Group,
}

/// Connects a channel or group.
///
/// Telegram is asked what it is and what the sender may do there; nothing is sent. The same chat again is the same row (200): the sender
/// is added to those that send for it.
#[utoipa::path(
    post, path = "/api/integrations/telegram/channels", tag = "channels", operation_id = "connectChannel",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeat a request safely for 24 hours.")),
    request_body = ConnectChannel,
    responses(
        (status = 201, description = "Connected.", body = ChannelDetails),
        (status = 200, description = "It was connected already.", body = ChannelDetails),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn connect(
    State(app): State<Arc<App>>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<ConnectChannel>,
) -> Result<Response> {
    let hash = body_hash("channels", &body);
    let (via, chat) = (body.via.via("/via")?, body.channel.parse()?);
    let settings = Value::Object(body.settings);
    let run = async {
        let (details, new) = channels::connect(&app, &caller, via, &chat, body.join, settings).await?;
        let body = serde_json::to_value(render(details)).map_err(Error::internal)?;
        Ok((if new { 201 } else { 200 }, body))
    };
    let (status, body) = idempotent(&app, &caller, key.as_deref(), &hash, run).await?;
    let location = format!("/api/integrations/telegram/channels/{}", body["id"].as_str().unwrap_or_default());
    Ok(([(LOCATION, location)], answer(status, body)).into_response())
}

/// Lists and searches channels and groups.
#[utoipa::path(
    get, path = "/api/integrations/telegram/channels", tag = "channels", operation_id = "listChannels",
    params(ListChannels),
    responses(
        (status = 200, description = "A page of channels, newest first.", body = ChannelPage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListChannels>,
) -> Result<Json<Page<ChannelView>>> {
    let filter = ChannelFilter {
        user_id: None,
        kind: query.kind.map(|kind| match kind {
            ChannelType::Channel => ChatKind::Channel,
            ChannelType::Group => ChatKind::Group,
        }),
        is_active: query.is_active,
        statuses: super::statuses(&STATUSES, query.status)?,
        sender_id: query.sender_id,
        settings: json_filter("settings", query.settings)?,
        query: query.q.as_deref().map(search).transpose()?,
        from: query.from,
        to: query.to,
    };
    let slice = Slice { rows: query.limit.rows(), before: query.cursor.map(|c| c.0) };
    let rows = channels::list(&app, &caller, filter, slice).await?;
    Ok(Json(Page::new(rows, query.limit, |row| row.id).map(ChannelView::from)))
}

fn search(text: &str) -> Result<String> {
    let text = text.trim();
    if (MIN_QUERY..=MAX_QUERY).contains(&text.chars().count()) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid_parameter("q", format!("must have {MIN_QUERY} to {MAX_QUERY} characters")))
}

/// Gets a channel with its senders and their rights.
#[utoipa::path(
    get, path = "/api/integrations/telegram/channels/{id}", tag = "channels", operation_id = "getChannel",
    params(("id" = Uuid, Path, description = "Id of the channel.")),
    responses(
        (status = 200, description = "The channel.", body = ChannelDetails),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<ChannelDetails>> {
    Ok(Json(render(channels::details(&app, &caller, id).await?)))
}

/// Changes a channel: its settings, the order of its senders, on and off.
#[utoipa::path(
    patch, path = "/api/integrations/telegram/channels/{id}", tag = "channels", operation_id = "updateChannel",
    params(("id" = Uuid, Path, description = "Id of the channel.")),
    request_body = UpdateChannel,
    responses(
        (status = 200, description = "The channel as it is now.", body = ChannelDetails),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Result<Json<UpdateChannel>>,
) -> Result<Json<ChannelDetails>> {
    channels::get(&app, &caller, id).await?;
    let Json(UpdateChannel { settings, is_active, senders }) = body?;
    let update = channels::Update { settings, is_active, senders };
    Ok(Json(render(channels::update(&app, &caller, id, update).await?)))
}

/// Disconnects a channel.
///
/// What waits for it is cancelled; messages and logs stay. Nothing changes at Telegram.
#[utoipa::path(
    delete, path = "/api/integrations/telegram/channels/{id}", tag = "channels", operation_id = "disconnectChannel",
    params(("id" = Uuid, Path, description = "Id of the channel.")),
    responses(
        (status = 204, description = "Disconnected."),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn disconnect(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode> {
    channels::disconnect(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks Telegram now what a channel is and what its senders may do there.
#[utoipa::path(
    post, path = "/api/integrations/telegram/channels/{id}/check", tag = "channels", operation_id = "checkChannel",
    params(("id" = Uuid, Path, description = "Id of the channel.")),
    responses(
        (status = 200, description = "The channel as it is now.", body = ChannelDetails),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn check(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<ChannelDetails>> {
    Ok(Json(render(channels::check(&app, &caller, id).await?)))
}

/// Adds a sender to a channel, at the end of the order.
#[utoipa::path(
    post, path = "/api/integrations/telegram/channels/{id}/senders", tag = "channels", operation_id = "addChannelSender",
    params(("id" = Uuid, Path, description = "Id of the channel.")),
    request_body = AddSender,
    responses(
        (status = 200, description = "The channel as it is now.", body = ChannelDetails),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn add_sender(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Result<Json<AddSender>>,
) -> Result<Json<ChannelDetails>> {
    channels::get(&app, &caller, id).await?;
    let Json(AddSender { account_id, bot_id, join }) = body?;
    let via = SenderRef { account_id, bot_id }.via("")?;
    Ok(Json(render(channels::add_sender(&app, &caller, id, via, join).await?)))
}

/// Takes a sender away from a channel; what waits goes to the others.
#[utoipa::path(
    delete, path = "/api/integrations/telegram/channels/{id}/senders/{sender_id}", tag = "channels",
    operation_id = "removeChannelSender",
    params(
        ("id" = Uuid, Path, description = "Id of the channel."),
        ("sender_id" = Uuid, Path, description = "Id of the bot or account."),
    ),
    responses(
        (status = 200, description = "The channel as it is now.", body = ChannelDetails),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn remove_sender(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path((id, sender_id)): Path<(Uuid, Uuid)>,
) -> Result<Json<ChannelDetails>> {
    Ok(Json(render(channels::remove_sender(&app, &caller, id, sender_id).await?)))
}
