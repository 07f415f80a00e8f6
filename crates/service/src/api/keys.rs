//! `/api/integrations/keys`.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::sealing::{Process, Progress};
use utoipa::ToSchema;

use super::openapi::Problem;
use crate::{
    Result,
    app::App,
    http::Json,
    secrets::Target,
    usecases::{Caller, keys},
};

/// A wrapping key.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyView {
    /// What envelopes call it.
    #[schema(example = "local:2")]
    key: String,
    /// When it was made; `null` where that is not known.
    created_at: Option<DateTime<Utc>>,
    /// It seals what is written now.
    is_current: bool,
    /// How many credentials it has sealed.
    rows: i64,
}

/// How far a column is with being sealed anew.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResealView {
    /// The column.
    #[schema(example = "telegram_bots.bot_token")]
    column: String,
    /// With which key.
    key: String,
    /// Rows that were sealed anew.
    done: i64,
    /// Rows that could not be opened, and stay as they are: the log says which, and why.
    failed: i64,
    /// When it began.
    started_at: DateTime<Utc>,
    /// When nothing was left to do; `null` while it goes on.
    finished_at: Option<DateTime<Utc>>,
}

/// A process that seals.
#[derive(Debug, Serialize, ToSchema)]
pub struct SealingProcess {
    /// The machine it runs on.
    host: String,
    /// Its process id there.
    pid: i32,
    /// The newest version in its keyring file.
    local_version: i32,
    /// The key at Vault that it can use.
    vault_key: Option<String>,
    /// It seals with the current key already.
    is_current: bool,
}

/// The keys that credentials are sealed with.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeysView {
    /// Who keeps the current key.
    target: Target,
    /// Since when it seals.
    changed_at: DateTime<Utc>,
    /// Why the current key cannot be used at the moment.
    problem: Option<String>,
    /// How many credentials other keys have sealed, which are still to be sealed anew.
    left: i64,
    /// All keys.
    keys: Vec<KeyView>,
    /// How far sealing anew is, for each column.
    resealing: Vec<ResealView>,
    /// The processes that live.
    processes: Vec<SealingProcess>,
}

impl From<keys::State> for KeysView {
    fn from(state: keys::State) -> Self {
        let left = state.left();
        let key = |key: keys::KeyState| KeyView {
            key: key.reference,
            created_at: key.created_at,
            is_current: key.is_current,
            rows: key.rows,
        };
        Self {
            target: state.target,
            changed_at: state.changed_at,
            problem: state.problem,
            left,
            keys: state.keys.into_iter().map(key).collect(),
            resealing: state.progress.into_iter().map(ResealView::from).collect(),
            processes: state.processes.into_iter().map(SealingProcess::from).collect(),
        }
    }
}

impl From<Progress> for ResealView {
    fn from(row: Progress) -> Self {
        let Progress { column_name, key, done, failed, started_at, finished_at, .. } = row;
        Self { column: column_name, key, done, failed, started_at, finished_at }
    }
}

impl From<(Process, bool)> for SealingProcess {
    fn from((process, is_current): (Process, bool)) -> Self {
        let Process { host, pid, local_version, vault_key, .. } = process;
        Self { host, pid, local_version, vault_key, is_current }
    }
}

/// Where to move.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveKeys {
    /// Who keeps the key from now on.
    to: Target,
}

/// Shows the keys that credentials are sealed with, and how far sealing anew is.
#[utoipa::path(
    get, path = "/api/integrations/keys", tag = "operation", operation_id = "getKeys",
    responses(
        (status = 200, description = "The keys.", body = KeysView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(State(app): State<Arc<App>>) -> Result<Json<KeysView>> {
    Ok(Json(keys::state(&app.pool, &app.sealer).await?.into()))
}

/// Adds a version to the current key. It seals what is written from now on; everything else is sealed anew in the background.
#[utoipa::path(
    post, path = "/api/integrations/keys/rotate", tag = "operation", operation_id = "rotateKeys",
    responses(
        (status = 200, description = "The keys as they are now.", body = KeysView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn rotate(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<KeysView>> {
    Ok(Json(keys::rotate(&app, &caller).await?.into()))
}

/// Moves from the keyring file to Vault, or back. What is written from now on is sealed there; everything else is sealed anew in the background.
#[utoipa::path(
    post, path = "/api/integrations/keys/move", tag = "operation", operation_id = "moveKeys", request_body = MoveKeys,
    responses(
        (status = 200, description = "The keys as they are now.", body = KeysView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn move_to(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(body): Json<MoveKeys>,
) -> Result<Json<KeysView>> {
    Ok(Json(keys::move_to(&app, &caller, body.to).await?.into()))
}

/// Gives up all versions of the current key but the one that seals, once nothing is sealed with them any more.
#[utoipa::path(
    post, path = "/api/integrations/keys/retire", tag = "operation", operation_id = "retireKeys",
    responses(
        (status = 200, description = "The keys as they are now.", body = KeysView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn retire(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<KeysView>> {
    Ok(Json(keys::retire(&app, &caller).await?.into()))
}
