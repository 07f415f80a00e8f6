//! `/api/integrations/telegram/bots`.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use http::{StatusCode, header::LOCATION};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::Slice;
use telegram::bots::{BotFilter, BotRow, BotStatus, UpdatesMode, inbound::Updates};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{answer, openapi::Problem};
use crate::{
    Error, Result,
    app::App,
    http::{Cursor, IdempotencyKey, Json, Limit, Page, Path, Query},
    usecases::{
        Caller,
        bots::{self, BotChange, Webhook},
        idempotent::{body_hash, idempotent},
        send::check_settings,
    },
};

/// A bot to connect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectBot {
    /// The token, as @BotFather shows it. It is sealed at once and never shown again.
    #[schema(value_type = String, example = "123456789:AAEfG...")]
    token: SecretString,
    /// Your own data about the bot, an object of up to 16 KiB.
    #[serde(default)]
    settings: Map<String, Value>,
    /// Remove a webhook that another system has set. Without it the webhook stays.
    #[serde(default)]
    take_over: bool,
    /// How its updates are taken; by default as the service is configured.
    #[serde(default)]
    updates: UpdatesMode,
}

/// What to change of a bot.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateBot {
    /// A merge patch (RFC 7396) of the settings: `null` removes a key.
    settings: Option<Map<String, Value>>,
    /// Switch the bot on or off. What is queued waits while it is off.
    is_active: Option<bool>,
    /// How its updates are taken: `off`, `polling`, `webhook`, or `default`, as the service is configured.
    updates: Option<UpdatesMode>,
    /// Remove a webhook that another system has set. Without it the webhook stays.
    #[serde(default)]
    take_over: bool,
}

/// Another token of the same bot.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceToken {
    /// The new token, as @BotFather shows it.
    #[schema(value_type = String)]
    token: SecretString,
}

/// A connected bot.
#[derive(Debug, Serialize, ToSchema)]
pub struct BotView {
    /// Its id in this service.
    id: Uuid,
    /// Its owner.
    user_id: i32,
    /// Its id at Telegram.
    telegram_bot_id: i64,
    /// Its name at Telegram, without `@`.
    username: String,
    /// Its display name.
    name: String,
    /// `active`, `token_revoked` (replace the token) or `off`.
    #[schema(value_type = BotStatus)]
    status: String,
    /// Why it is in this state.
    status_reason: Option<String>,
    /// Since when.
    status_changed_at: DateTime<Utc>,
    /// Whether it may send.
    is_active: bool,
    /// Your own data about the bot.
    #[schema(value_type = Object)]
    settings: Value,
    /// How its updates are taken, and how that goes.
    updates: Updates,
    /// When it was connected.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl From<BotRow> for BotView {
    fn from(row: BotRow) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            telegram_bot_id: row.telegram_bot_id,
            username: row.username,
            name: row.name,
            status: row.status,
            status_reason: row.status_reason,
            status_changed_at: row.status_changed_at,
            is_active: row.is_active,
            settings: row.settings.unwrap_or_else(|| json!({})),
            updates: row.updates,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A bot that was just connected.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectedBot {
    #[serde(flatten)]
    bot: BotView,
    /// Where its updates went before: `null`, or the host and whether the webhook was removed.
    webhook: Option<WebhookView>,
}

/// A webhook that was set elsewhere.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookView {
    /// Host of the webhook.
    host: String,
    /// Removed, as `take_over` asked. `false`: updates still go there.
    removed: bool,
}

/// A page of bots.
#[derive(Debug, Serialize, ToSchema)]
pub struct BotPage {
    /// The bots, newest first.
    items: Vec<BotView>,
    /// Pass it as `cursor` to get the next page.
    next_cursor: Option<String>,
}

/// Which bots to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListBots {
    /// How many at most, 1 to 200; by default 50.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// The `next_cursor` of the previous page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// With this name at Telegram, without `@`.
    username: Option<String>,
    /// In this state.
    status: Option<BotStatus>,
    /// Whose settings contain this JSON object.
    settings: Option<String>,
}

/// Connects a bot.
///
/// The token is checked with Telegram, sealed and stored. A bot can be connected once in the whole service.
#[utoipa::path(
    post, path = "/api/integrations/telegram/bots", tag = "bots", operation_id = "connectBot",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeat a request safely for 24 hours.")),
    request_body = ConnectBot,
    responses(
        (status = 201, description = "Connected.", body = ConnectedBot),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn connect(
    State(app): State<Arc<App>>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<ConnectBot>,
) -> Result<Response> {
    let settings = Value::Object(body.settings);
    check_settings(&settings)?;
    let hash = body_hash("bots", &(body.token.expose_secret(), &settings, body.take_over, body.updates));
    let run = async {
        let (row, webhook) = bots::connect(&app, &caller, body.token, settings, body.take_over, body.updates).await?;
        let webhook = match webhook {
            Webhook::None => None,
            Webhook::Elsewhere(host) => Some(WebhookView { host, removed: false }),
            Webhook::Removed(host) => Some(WebhookView { host, removed: true }),
        };
        let view = ConnectedBot { bot: row.into(), webhook };
        Ok((201, serde_json::to_value(view).map_err(Error::internal)?))
    };
    let (status, body) = idempotent(&app, &caller, key.as_deref(), &hash, run).await?;
    let location = format!("/api/integrations/telegram/bots/{}", body["id"].as_str().unwrap_or_default());
    Ok(([(LOCATION, location)], answer(status, body)).into_response())
}

/// Lists bots.
#[utoipa::path(
    get, path = "/api/integrations/telegram/bots", tag = "bots", operation_id = "listBots", params(ListBots),
    responses(
        (status = 200, description = "A page of bots, newest first.", body = BotPage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListBots>,
) -> Result<Json<Page<BotView>>> {
    let filter = BotFilter {
        user_id: None,
        username: query.username,
        status: query.status,
        settings: json_filter("settings", query.settings)?,
    };
    let slice = Slice { rows: query.limit.rows(), before: query.cursor.map(|c| c.0) };
    let rows = bots::list(&app, &caller, filter, slice).await?;
    Ok(Json(Page::new(rows, query.limit, |row| row.id).map(BotView::from)))
}

/// Reads a filter that is a JSON object in a query parameter.
pub(super) fn json_filter(name: &str, text: Option<String>) -> Result<Option<Value>> {
    let Some(text) = text else { return Ok(None) };
    match crate::http::json::parse::<Map<String, Value>>(text.as_bytes()) {
        Ok(object) => Ok(Some(Value::Object(object))),
        Err(_) => Err(Error::invalid_parameter(name, "must be a JSON object, such as {\"team\":\"sales\"}")),
    }
}

/// Gets a bot.
#[utoipa::path(
    get, path = "/api/integrations/telegram/bots/{id}", tag = "bots", operation_id = "getBot",
    params(("id" = Uuid, Path, description = "Id of the bot.")),
    responses(
        (status = 200, description = "The bot.", body = BotView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<BotView>> {
    Ok(Json(bots::get(&app, &caller, id).await?.into()))
}

/// Changes a bot.
#[utoipa::path(
    patch, path = "/api/integrations/telegram/bots/{id}", tag = "bots", operation_id = "updateBot",
    params(("id" = Uuid, Path, description = "Id of the bot.")),
    request_body = UpdateBot,
    responses(
        (status = 200, description = "The bot as it is now.", body = BotView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Result<Json<UpdateBot>>,
) -> Result<Json<BotView>> {
    bots::get(&app, &caller, id).await?;
    let Json(body) = body?;
    let UpdateBot { settings, is_active, updates, take_over } = body;
    let change = BotChange { settings, is_active, updates, take_over };
    Ok(Json(bots::update(&app, &caller, id, change).await?.into()))
}

/// Disconnects a bot.
///
/// What waits for it is cancelled, its token is erased; messages and logs stay.
#[utoipa::path(
    delete, path = "/api/integrations/telegram/bots/{id}", tag = "bots", operation_id = "disconnectBot",
    params(("id" = Uuid, Path, description = "Id of the bot.")),
    responses(
        (status = 204, description = "Disconnected."),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn disconnect(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode> {
    bots::disconnect(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces a bot's token.
///
/// The new token must belong to the same bot. Messages, history and settings stay; what waited because the old token was revoked
/// goes out.
#[utoipa::path(
    post, path = "/api/integrations/telegram/bots/{id}/token", tag = "bots", operation_id = "replaceBotToken",
    params(("id" = Uuid, Path, description = "Id of the bot.")),
    request_body = ReplaceToken,
    responses(
        (status = 200, description = "The bot as it is now.", body = BotView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn replace_token(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Result<Json<ReplaceToken>>,
) -> Result<Json<BotView>> {
    bots::get(&app, &caller, id).await?;
    let Json(body) = body?;
    Ok(Json(bots::replace_token(&app, &caller, id, body.token).await?.into()))
}
