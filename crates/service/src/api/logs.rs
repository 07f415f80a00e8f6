//! `/api/integrations/logs`.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::{TryStream, stream};
use http::{HeaderMap, HeaderValue, header::VARY};
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
    http::{Cursor, Json, Limit, Page, Query, csv},
    usecases::Caller,
};

/// Entries that are read at a time for CSV.
const CSV_PAGE: i64 = 2_000;
/// Entries in one CSV: about as many as spreadsheets are still usable with.
const CSV_MOST: i64 = 100_000;
/// The columns of CSV.
const CSV_HEADER: [&str; 8] =
    ["id", "created_at", "user_id", "integration_type", "action", "status", "error_message", "details"];

/// A page of log entries.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogPage {
    /// The entries, newest first.
    items: Vec<LogRow>,
    /// Pass it as `cursor` to get the next page.
    next_cursor: Option<String>,
}

/// As what to list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pages, as JSON.
    Json,
    /// The newest 100,000 at once, as CSV.
    Csv,
}

/// Which entries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListLogs {
    /// `json` or `csv`; by default what the header `Accept` prefers, JSON unless it names `text/csv`.
    #[param(inline)]
    format: Option<LogFormat>,
    /// How many at most, 1 to 200; by default 50. Not with CSV.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous page. Not with CSV.
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
///
/// As JSON in pages, or as CSV (`format=csv` or `Accept: text/csv`) all at once: the newest 100,000 entries that fit, under a row of names. Ask
/// with `to` for older ones. Texts that a spreadsheet would take for a formula begin with an apostrophe there.
#[utoipa::path(
    get, path = "/api/integrations/logs", tag = "logs", operation_id = "listLogs", params(ListLogs),
    responses(
        (
            status = 200, description = "A page of entries, or all of them as CSV, newest first.",
            content((LogPage = "application/json"), (String = "text/csv")),
        ),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<ListLogs>,
) -> Result<Response> {
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
    let is_csv = query.format.map_or_else(|| csv::is_preferred(&headers), |format| format == LogFormat::Csv);
    let mut answer = if is_csv {
        let of_pages = [("limit", query.limit.is_some()), ("cursor", query.cursor.is_some())];
        if let Some((name, _)) = of_pages.into_iter().find(|(_, is_given)| *is_given) {
            return Err(Error::invalid_parameter(name, "is for pages: CSV has all entries at once, leave it out"));
        }
        as_csv(app, filter).await?
    } else {
        let limit = query.limit.unwrap_or_default();
        let slice = Slice { rows: limit.rows(), before: query.cursor.map(|c| c.0) };
        let rows = logs::list(&app.pool, &filter, slice).await?;
        Json(Page::new(rows, limit, |row| row.id)).into_response()
    };
    answer.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    Ok(answer)
}

/// The first page is read before the answer begins, so that a failure there is told as such.
async fn as_csv(app: Arc<App>, filter: LogFilter) -> Result<Response> {
    let slice = Slice { rows: CSV_PAGE, before: None };
    let first = logs::list(&app.pool, &filter, slice).await?;
    Ok(csv::answer("logs.csv", csv_pages(app, filter, first)))
}

/// Where a CSV goes on.
struct Rest {
    rows: Vec<LogRow>,
    told: i64,
}

fn csv_pages(app: Arc<App>, filter: LogFilter, first: Vec<LogRow>) -> impl TryStream<Ok = Bytes, Error = Error> + Send {
    let rest = Some(Rest { rows: first, told: 0 });
    stream::try_unfold((app, filter, rest), async |(app, filter, rest)| {
        let Some(Rest { rows, told }) = rest else { return Ok::<_, Error>(None) };
        let header = (told == 0).then(|| CSV_HEADER.map(Cow::from));
        let page = csv::write(header.into_iter().chain(rows.iter().map(cells)))?;
        let told = told + i64::try_from(rows.len()).unwrap_or(CSV_MOST);
        let slice = Slice { rows: CSV_PAGE.min(CSV_MOST - told), before: rows.last().map(|row| row.id) };
        let next =
            if rows.is_empty() || slice.rows <= 0 { Vec::new() } else { logs::list(&app.pool, &filter, slice).await? };
        let rest = (!next.is_empty()).then_some(Rest { rows: next, told });
        Ok(Some((page, (app, filter, rest))))
    })
}

fn cells(row: &LogRow) -> [Cow<'_, str>; 8] {
    [
        row.id.to_string().into(),
        row.created_at.to_rfc3339_opts(SecondsFormat::Micros, true).into(),
        row.user_id.to_string().into(),
        row.integration_type.as_str().into(),
        row.action.as_str().into(),
        row.status.as_str().into(),
        row.error_message.as_deref().unwrap_or_default().into(),
        row.details.as_ref().map(ToString::to_string).unwrap_or_default().into(),
    ]
}
