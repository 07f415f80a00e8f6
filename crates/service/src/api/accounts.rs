//! `/api/integrations/telegram/accounts`.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use http::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::Slice;
use telegram::{
    accounts::{AccountFilter, AccountRow, AccountStatus},
    mtproto::{
        account::{Chat, ChatKind},
        mask_phone,
    },
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    bots::json_filter,
    logins::{ConnectMethod, accepted, method},
    openapi::Problem,
};
use crate::{
    Result,
    app::App,
    auth::Scope,
    http::{Cursor, Json, Limit, Page, Path, Query},
    usecases::{
        Caller,
        accounts::{self, Reconnected, Update},
    },
};

/// A connected account.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountView {
    /// Its id in this service.
    id: Uuid,
    /// Its owner.
    user_id: i32,
    /// Its phone number; masked for readers without `integrations:write`.
    phone: String,
    /// Its id at Telegram.
    telegram_user_id: Option<i64>,
    /// Its name at Telegram.
    name: String,
    /// Its user name at Telegram, without `@`.
    username: Option<String>,
    /// `active`, `connecting`, `limited` (until `status_until`), `needs_login`, `banned` or `off`.
    #[schema(value_type = AccountStatus)]
    status: String,
    /// Why it is in this state.
    status_reason: Option<String>,
    /// Until when, if Telegram said so.
    status_until: Option<DateTime<Utc>>,
    /// Since when.
    status_changed_at: DateTime<Utc>,
    /// Telegram takes its messages to strangers for spam. Until then, those to people with whom it has no conversation fail with the
    /// code `peer_flood`; all others go on.
    peer_flood_until: Option<DateTime<Utc>>,
    /// Whether it may send.
    is_active: bool,
    /// Your own data about the account.
    #[schema(value_type = Object)]
    metadata: Value,
    /// Its settings.
    #[schema(value_type = Object)]
    settings: Value,
    /// When it was connected.
    created_at: DateTime<Utc>,
    /// When the row last changed.
    updated_at: DateTime<Utc>,
}

fn render(caller: &Caller, row: AccountRow) -> AccountView {
    let sees_phone = caller.identity.scopes.allows(Scope::IntegrationsWrite);
    AccountView {
        id: row.id,
        user_id: row.user_id,
        phone: if sees_phone { row.phone } else { mask_phone(&row.phone) },
        telegram_user_id: row.telegram_user_id,
        name: row.name,
        username: row.username,
        status: row.status,
        status_reason: row.status_reason,
        status_until: row.status_until,
        status_changed_at: row.status_changed_at,
        peer_flood_until: row.strangers_blocked_until,
        is_active: row.is_active,
        metadata: row.metadata.unwrap_or_else(|| json!({})),
        settings: row.settings.unwrap_or_else(|| json!({})),
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// A page of accounts.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountPage {
    /// The accounts, newest first.
    items: Vec<AccountView>,
    /// Pass it as `cursor` to get the next page.
    next_cursor: Option<String>,
}

/// Which accounts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListAccounts {
    /// How many at most, 1 to 200; by default 50.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// The `next_cursor` of the previous page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// With this phone number: digits with a leading `+`.
    phone: Option<String>,
    /// In this state.
    status: Option<AccountStatus>,
    /// Whose metadata contain this JSON object.
    metadata: Option<String>,
}

/// What to change of an account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAccount {
    /// A merge patch (RFC 7396) of the metadata: `null` removes a key.
    metadata: Option<Map<String, Value>>,
    /// A merge patch of the settings.
    settings: Option<Map<String, Value>>,
    /// Switch the account on or off. What is queued waits while it is off.
    is_active: Option<bool>,
}

/// How a dead account is to be logged in anew.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconnect {
    /// By default a QR code.
    method: Option<ConnectMethod>,
    /// With `phone`: the number in the international form.
    phone: Option<String>,
    /// With `import`: a session string.
    #[schema(value_type = Option<String>)]
    session: Option<SecretString>,
}

/// A chat that an account knows.
#[derive(Debug, Serialize, ToSchema)]
pub struct DialogView {
    /// Its id, for `chat_id`.
    chat_id: i64,
    /// What it is.
    kind: ChatKind,
    /// Its title or name.
    title: String,
    /// Its public name, without `@`.
    username: Option<String>,
    /// How many members it has, if Telegram tells.
    members: Option<i32>,
    /// Whether the account may post there.
    can_post: bool,
    /// Whether the account administers it.
    is_admin: bool,
}

impl From<Chat> for DialogView {
    fn from(chat: Chat) -> Self {
        Self {
            chat_id: chat.id.get(),
            kind: chat.kind,
            title: chat.title,
            username: chat.username,
            members: chat.members,
            can_post: chat.can_post,
            is_admin: chat.is_admin,
        }
    }
}

/// The chats that an account knows.
#[derive(Debug, Serialize, ToSchema)]
pub struct Dialogs {
    /// The most recent first.
    items: Vec<DialogView>,
}

/// Lists accounts.
#[utoipa::path(
    get, path = "/api/integrations/telegram/accounts", tag = "accounts", operation_id = "listAccounts",
    params(ListAccounts),
    responses(
        (status = 200, description = "A page of accounts, newest first.", body = AccountPage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListAccounts>,
) -> Result<Json<Page<AccountView>>> {
    let filter = AccountFilter {
        user_id: None,
        phone: query.phone,
        status: query.status,
        metadata: json_filter("metadata", query.metadata)?,
    };
    let slice = Slice { rows: query.limit.rows(), before: query.cursor.map(|c| c.0) };
    let rows = accounts::list(&app, &caller, filter, slice).await?;
    Ok(Json(Page::new(rows, query.limit, |row| row.id).map(|row| render(&caller, row))))
}

/// Gets an account.
#[utoipa::path(
    get, path = "/api/integrations/telegram/accounts/{id}", tag = "accounts", operation_id = "getAccount",
    params(("id" = Uuid, Path, description = "Id of the account.")),
    responses(
        (status = 200, description = "The account.", body = AccountView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<AccountView>> {
    let row = accounts::get(&app, &caller, id).await?;
    Ok(Json(render(&caller, row)))
}

/// Changes an account.
#[utoipa::path(
    patch, path = "/api/integrations/telegram/accounts/{id}", tag = "accounts", operation_id = "updateAccount",
    params(("id" = Uuid, Path, description = "Id of the account.")), request_body = UpdateAccount,
    responses(
        (status = 200, description = "The account as it is now.", body = AccountView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn update(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Result<Json<UpdateAccount>>,
) -> Result<Json<AccountView>> {
    accounts::get(&app, &caller, id).await?;
    let Json(body) = body?;
    let update = Update { metadata: body.metadata, settings: body.settings, is_active: body.is_active };
    let row = accounts::update(&app, &caller, id, update).await?;
    Ok(Json(render(&caller, row)))
}

/// Disconnects an account.
///
/// What waits for it is cancelled. Its session is logged out at Telegram, with retries if Telegram does not answer, and then erased.
#[utoipa::path(
    delete, path = "/api/integrations/telegram/accounts/{id}", tag = "accounts", operation_id = "disconnectAccount",
    params(("id" = Uuid, Path, description = "Id of the account.")),
    responses(
        (status = 204, description = "Disconnected."),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn disconnect(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode> {
    accounts::disconnect(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Revives an account.
///
/// 200 with the account when its session lives. When it is dead: 202 with a login for the same account, to be followed like one of
/// `POST …/connect`.
#[utoipa::path(
    post, path = "/api/integrations/telegram/accounts/{id}/reconnect", tag = "accounts",
    operation_id = "reconnectAccount",
    params(("id" = Uuid, Path, description = "Id of the account.")), request_body = Reconnect,
    responses(
        (status = 200, description = "The session lives.", body = AccountView),
        (status = 202, description = "A login for the account.", body = super::logins::Login),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn reconnect(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Result<Json<Reconnect>>,
) -> Result<Response> {
    accounts::get(&app, &caller, id).await?;
    let Json(body) = body?;
    let method = method(body.method.unwrap_or(ConnectMethod::Qr), body.phone, body.session)?;
    match accounts::reconnect(&app, &caller, id, method).await? {
        Reconnected::Alive(row) => Ok(Json(render(&caller, *row)).into_response()),
        Reconnected::Login(login) => accepted(&app, &caller, login).await,
    }
}

/// Lists what the account could post to.
#[utoipa::path(
    get, path = "/api/integrations/telegram/accounts/{id}/dialogs", tag = "accounts", operation_id = "listDialogs",
    params(("id" = Uuid, Path, description = "Id of the account.")),
    responses(
        (status = 200, description = "Up to 500 chats, the most recent first.", body = Dialogs),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn dialogs(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<Dialogs>> {
    let chats = accounts::dialogs(&app, &caller, id).await?;
    Ok(Json(Dialogs { items: chats.into_iter().map(DialogView::from).collect() }))
}
