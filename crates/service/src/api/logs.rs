//! `/api/integrations/logs`.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::{
    Slice,
    logs::{self, LogFilter, LogRow},
};
use utoipa::{IntoParams, ToSchema};

use super::{bots::json_filter, openapi::Problem};
use crate::{
    Error, Result,
    app::App,
    http::{Cursor, Json, Limit, Page, Query},
    usecases::Caller,
};

/// A page of log entries.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogPage {
    /// The entries, newest first.
    items: Vec<LogRow>,
    /// Pass it as `cursor` to get the next page.
    next_cursor: Option<String>,
}

/// Which entries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListLogs {
    /// How many at most, 1 to 200; by default 50.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// The `next_cursor` of the previous page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// `telegram_bot`, `telegram_account` or `telegram_channel`.
    integration_type: Option<String>,
    /// Such as `connect`, `disconnect`, `send`.
    action: Option<String>,
    /// `success` or `error`.
    status: Option<String>,
    /// Whose details contain this JSON object.
    details: Option<String>,
    /// Written at this time or later.
    from: Option<DateTime<Utc>>,
    /// Written before this time.
    to: Option<DateTime<Utc>>,
}

/// Lists what the service did with the caller's integrations.
#[utoipa::path(
    get, path = "/api/integrations/logs", tag = "logs", operation_id = "listLogs", params(ListLogs),
    responses(
        (status = 200, description = "A page of entries, newest first.", body = LogPage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListLogs>,
) -> Result<Json<Page<LogRow>>> {
    if query.status.as_ref().is_some_and(|status| status != "success" && status != "error") {
        return Err(Error::invalid_parameter("status", "must be `success` or `error`"));
    }
    let filter = LogFilter {
        user_id: caller.owner(),
        integration_type: query.integration_type,
        action: query.action,
        status: query.status,
        details: json_filter("details", query.details)?,
        from: query.from,
        to: query.to,
    };
    let slice = Slice { rows: query.limit.rows(), before: query.cursor.map(|c| c.0) };
    let rows = logs::list(&app.pool, &filter, slice).await?;
    Ok(Json(Page::new(rows, query.limit, |row| row.id)))
}
