//! `/api/integrations/workers`.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use store::workers::{self, WorkerRow};
use utoipa::ToSchema;
use uuid::Uuid;

use super::openapi::Problem;
use crate::{Result, app::App, http::Json};

/// A process that sends.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerView {
    /// Made anew at each start of a process.
    id: Uuid,
    /// The machine it runs on.
    host: String,
    /// Its process id there.
    pid: i32,
    /// Its version.
    version: String,
    /// When it started.
    started_at: DateTime<Utc>,
    /// When others may take over what it owns, unless it renews its row before.
    valid_until: DateTime<Utc>,
    /// Whether that time is still to come. One that was killed is shown for a day.
    is_alive: bool,
    /// Since when it does not reach Telegram, if so: then its accounts go to workers that do.
    cut_off_since: Option<DateTime<Utc>>,
    /// The senders it speaks for.
    senders: SenderCounts,
    /// Background tasks that it runs now.
    running_tasks: i64,
}

/// Senders by kind.
#[derive(Debug, Serialize, ToSchema)]
pub struct SenderCounts {
    /// Bots.
    bot: i64,
    /// Accounts.
    account: i64,
}

impl From<WorkerRow> for WorkerView {
    fn from(row: WorkerRow) -> Self {
        Self {
            id: row.id,
            host: row.host,
            pid: row.pid,
            version: row.version,
            started_at: row.started_at,
            valid_until: row.valid_until,
            is_alive: row.is_alive,
            cut_off_since: row.cut_off_since,
            senders: SenderCounts { bot: row.bots, account: row.accounts },
            running_tasks: row.tasks,
        }
    }
}

/// All workers.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkerPage {
    /// The workers, the newest first.
    items: Vec<WorkerView>,
    /// Always `null`: there is one page.
    next_cursor: Option<String>,
}

/// Lists the processes that send, with what they own.
#[utoipa::path(
    get, path = "/api/integrations/workers", tag = "operation", operation_id = "listWorkers",
    responses(
        (status = 200, description = "All workers, the newest first.", body = WorkerPage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<WorkerPage>> {
    let items = workers::list(&app.pool).await?.into_iter().map(WorkerView::from).collect();
    Ok(Json(WorkerPage { items, next_cursor: None }))
}
