//! Health and metrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header::CONTENT_TYPE};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::ApiState;
use crate::{
    health::{DependencyView, Readiness},
    http::Json,
    metrics::Metrics,
};

/// What is needed to tell of a process's health.
#[derive(Clone)]
pub struct HealthState {
    /// The database.
    pub pool: PgPool,
    /// The state of each dependency.
    pub readiness: Arc<Readiness>,
    /// The process's metrics.
    pub metrics: Metrics,
}

impl FromRef<ApiState> for HealthState {
    fn from_ref(state: &ApiState) -> Self {
        Self { pool: state.app.pool.clone(), readiness: state.readiness.clone(), metrics: state.metrics.clone() }
    }
}

/// These routes alone, for a process without an API.
pub fn router(state: HealthState) -> Router {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(state)
}

/// The process lives.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiveView {
    /// Always `ok`.
    status: &'static str,
    /// Version of the service.
    version: &'static str,
}

/// Whether the service can work.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadyView {
    /// `ok`, `degraded` (it works, but something is wrong) or `unavailable`.
    #[schema(value_type = String, example = "ok")]
    status: &'static str,
    /// Each dependency.
    dependencies: Vec<DependencyView>,
}

/// Tells that the process lives.
#[utoipa::path(
    get, path = "/health/live", tag = "operation", operation_id = "live", security(()),
    responses((status = 200, description = "It lives.", body = LiveView))
)]
pub async fn live() -> Json<LiveView> {
    Json(LiveView { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Tells whether the service can work, with the state of each dependency.
#[utoipa::path(
    get, path = "/health/ready", tag = "operation", operation_id = "ready", security(()),
    responses(
        (status = 200, description = "Ready; `degraded` when something is wrong without which it works, such as the broker.", body = ReadyView),
        (status = 503, description = "Not ready: it starts, stops, or the database does not answer.", body = ReadyView),
    )
)]
pub async fn ready(State(state): State<HealthState>) -> Response {
    let (ready, dependencies) = state.readiness.check(&state.pool).await;
    let status = match ready {
        true if dependencies.iter().all(DependencyView::is_ok) => "ok",
        true => "degraded",
        false => "unavailable",
    };
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(ReadyView { status, dependencies })).into_response()
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "operation", operation_id = "metrics", security(()),
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain"))
)]
pub async fn metrics(State(state): State<HealthState>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.render()).into_response()
}
