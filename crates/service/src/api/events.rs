//! `/api/integrations/events`: every change of state, live, as server-sent events.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, stream};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::events::{self, Cursor, EventRow};
use tokio::sync::watch;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::openapi::Problem;
use crate::{Error, Result, app::App, http::Query, usecases::Caller};

/// Events read at once.
const CHUNK: i64 = 200;

/// The data of one event.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "describes the answer in the API document")]
pub struct EventView {
    /// Id of the event.
    id: Uuid,
    /// What happened, such as `message.sent`.
    r#type: String,
    /// What it happened to.
    resource_id: Uuid,
    /// Whom it concerns.
    user_id: i32,
    /// The new state.
    data: Value,
    /// When it happened.
    created_at: chrono::DateTime<chrono::Utc>,
}

/// Which events to stream.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamEvents {
    /// Only events whose type begins with this, such as `message.` or `bot.token_revoked`.
    r#type: Option<String>,
    /// The same as the header `Last-Event-ID`, for clients that cannot set it.
    last_event_id: Option<String>,
}

/// Streams every change of state as server-sent events.
///
/// Each event has an `id`. A client that reconnects with `Last-Event-ID` gets what it missed, for at least 24 hours; without it the
/// stream begins now. The last id of an idle stream stays valid.
#[utoipa::path(
    get, path = "/api/integrations/events", tag = "events", operation_id = "streamEvents",
    params(StreamEvents, ("Last-Event-ID" = Option<String>, Header, description = "Continue after this event.")),
    responses(
        (status = 200, description = "The stream. `data` is JSON.", body = EventView, content_type = "text/event-stream"),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn stream(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<StreamEvents>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let last = match headers.get("Last-Event-ID") {
        Some(value) => Some(value.to_str().unwrap_or_default().to_owned()),
        None => query.last_event_id,
    };
    // Subscribed before the cursor is taken, so that nothing falls between.
    let grown = app.events.subscribe();
    let cursor = match last.filter(|id| !id.is_empty()) {
        Some(id) => id.parse::<Cursor>().map_err(|()| {
            Error::invalid_parameter("Last-Event-ID", "must be the `id` of an event of this stream, unchanged")
        })?,
        None => events::tail(&app.pool).await?,
    };
    let reader =
        Reader { app, owner: caller.owner(), prefix: query.r#type, cursor, grown, waiting: VecDeque::new(), more: true };
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)).text("")))
}

struct Reader {
    app: Arc<App>,
    owner: Option<i32>,
    prefix: Option<String>,
    cursor: Cursor,
    grown: watch::Receiver<Option<Cursor>>,
    waiting: VecDeque<EventRow>,
    /// The last read was full: there may be more.
    more: bool,
}

impl Reader {
    /// The next event; `None` when the process stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(row) = self.waiting.pop_front() {
                self.cursor = row.cursor();
                if self.prefix.as_ref().is_none_or(|prefix| row.kind.starts_with(prefix)) {
                    return Some(render(&row));
                }
            }
            if !self.more {
                tokio::select! {
                    () = self.app.events.stopped() => return None,
                    grown = self.grown.changed() => grown.ok()?,
                }
            }
            self.grown.mark_unchanged();
            match events::after(&self.app.pool, self.cursor, self.owner, CHUNK).await {
                Ok(rows) => {
                    self.more = i64::try_from(rows.len()).unwrap_or(CHUNK) >= CHUNK;
                    self.waiting = rows.into();
                }
                Err(error) => {
                    tracing::debug!(%error, "an event stream waits for the database");
                    self.more = true;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

fn render(row: &EventRow) -> Event {
    let data = json!({
        "id": row.id, "type": row.kind, "resource_id": row.resource_id, "user_id": row.user_id, "data": row.data,
        "created_at": row.created_at,
    });
    Event::default().id(row.cursor().to_string()).event(&row.kind).data(data.to_string())
}
