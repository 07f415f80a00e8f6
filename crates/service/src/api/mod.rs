//! The REST API: one file per resource. A handler parses, calls one use case, and renders.

pub mod accounts;
pub mod bots;
pub mod broadcasts;
pub mod caller;
pub mod changes;
pub mod channels;
pub mod dry_run;
pub mod events;
pub mod files;
pub mod health;
pub mod keys;
pub mod logins;
pub mod logs;
pub mod message_body;
pub mod messages;
pub mod openapi;
pub mod queues;
pub mod send;
pub mod stats;
pub mod tasks;
pub mod webhooks;
pub mod workers;

use std::{collections::HashSet, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Error, Result,
    app::App,
    auth::Identity,
    cache::{self, HotReads},
    error::page,
    health::Readiness,
    http::{query, route},
    metrics::Metrics,
};

/// What handlers share.
#[derive(Clone)]
pub struct ApiState {
    /// The service.
    pub app: Arc<App>,
    /// Answers to reads that come again and again, if they are kept.
    pub reads: Option<Arc<HotReads>>,
    /// The state of each dependency.
    pub readiness: Arc<Readiness>,
    /// The process's metrics.
    pub metrics: Metrics,
}

impl axum::extract::FromRef<ApiState> for Arc<App> {
    fn from_ref(state: &ApiState) -> Self {
        state.app.clone()
    }
}

/// Every route, with its description.
pub fn documented() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(logins::connect))
        .routes(routes!(logins::get, logins::cancel))
        .routes(routes!(logins::events))
        .routes(routes!(logins::code))
        .routes(routes!(logins::password))
        .routes(routes!(logins::resend))
        .routes(routes!(accounts::list))
        .routes(routes!(accounts::get, accounts::update, accounts::disconnect))
        .routes(routes!(accounts::reconnect))
        .routes(routes!(accounts::dialogs))
        .routes(routes!(send::send_by_account))
        .routes(routes!(bots::connect, bots::list))
        .routes(routes!(bots::get, bots::update, bots::disconnect))
        .routes(routes!(bots::replace_token))
        .routes(routes!(send::send_by_bot))
        .routes(routes!(channels::connect, channels::list))
        .routes(routes!(channels::get, channels::update, channels::disconnect))
        .routes(routes!(channels::check))
        .routes(routes!(channels::add_sender))
        .routes(routes!(channels::remove_sender))
        .routes(routes!(send::send_to_channel))
        .routes(routes!(webhooks::take))
        .routes(routes!(messages::list))
        .routes(routes!(messages::get, changes::edit, changes::delete))
        .routes(routes!(changes::pin))
        .routes(routes!(changes::forward))
        .routes(routes!(messages::cancel))
        .routes(routes!(messages::resend))
        .routes(routes!(messages::dismiss))
        .merge(broadcasts::with_large_bodies())
        .routes(routes!(broadcasts::get, broadcasts::correct))
        .routes(routes!(broadcasts::targets))
        .routes(routes!(broadcasts::pause))
        .routes(routes!(broadcasts::resume))
        .routes(routes!(broadcasts::cancel))
        .routes(routes!(broadcasts::recall))
        .routes(routes!(files::upload, files::list))
        .routes(routes!(files::fetch))
        .routes(routes!(files::get, files::delete))
        .routes(routes!(files::content))
        .routes(routes!(logs::list))
        .routes(routes!(stats::get))
        .routes(routes!(events::stream))
        .routes(routes!(workers::list))
        .routes(routes!(queues::list))
        .routes(routes!(keys::get))
        .routes(routes!(keys::rotate))
        .routes(routes!(keys::move_to))
        .routes(routes!(keys::retire))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::get, tasks::delete))
        .routes(routes!(tasks::replay))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
}

/// The router with all routes; the layers come from [`crate::http`]. Users are made known inside of the guard.
pub fn router(state: ApiState) -> Router {
    let (router, mut document) = documented().split_for_parts();
    openapi::add_scopes(&mut document);
    let with_query = Arc::new(openapi::with_query(&mut document));
    let docs = utoipa_swagger_ui::SwaggerUi::new("/docs")
        .url("/openapi.json", document)
        .config(utoipa_swagger_ui::Config::from("../openapi.json").persist_authorization(true));
    router
        .route("/docs/errors", axum::routing::get(page::page))
        .merge(docs)
        .layer(middleware::from_fn_with_state(with_query, refuse_parameters))
        .layer(middleware::from_fn_with_state(state.reads.clone(), cache::layer::answer))
        .layer(middleware::from_fn_with_state(state.app.clone(), ensure_user))
        .with_state(state)
}

async fn ensure_user(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if let Some(identity) = request.extensions().get::<Identity>()
        && let Err(error) = app.ensure_user(identity.user_id).await
    {
        return error.into_response();
    }
    next.run(request).await
}

/// The parameters of a route that takes none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

/// Refuses parameters in the query of routes that take none, where a misspelt one would pass unnoticed. Routes with parameters
/// check them by themselves; probes and pages may have any.
async fn refuse_parameters(
    State(with_query): State<Arc<HashSet<(Method, &'static str)>>>,
    request: Request,
    next: Next,
) -> Response {
    // Of shorter life, so that the pattern of a request can be looked up.
    let with_query: &HashSet<(Method, &str)> = &with_query;
    let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    let pattern = route::pattern(request.extensions()).unwrap_or_default();
    if pattern.starts_with("/api/")
        && !with_query.contains(&(method, pattern))
        && let Err(error) = query::parse::<NoParameters>(request.uri().query().unwrap_or_default())
    {
        return error.into_response();
    }
    next.run(request).await
}

/// A status with a JSON body, as a stored answer has them.
fn answer(status: u16, body: serde_json::Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    (status, crate::http::Json(body)).into_response()
}

/// The states that a list is asked for, separated by commas; none is all.
fn statuses(known: &[&str], text: Option<String>) -> Result<Vec<String>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    if let Some(bad) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let message = format!("has the unknown state `{}`; there are: {}", bad.escape_debug(), known.join(", "));
        return Err(Error::invalid_parameter("status", message));
    }
    Ok(names)
}
