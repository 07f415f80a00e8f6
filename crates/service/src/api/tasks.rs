//! `/api/integrations/tasks`.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use platform::Priority;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{
    Slice,
    tasks::{TaskFilter, TaskRow},
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::openapi::Problem;
use crate::{
    Result,
    app::App,
    http::{Cursor, Json, Limit, Page, Path, Query},
    usecases::{Caller, tasks},
};

const STATUSES: [&str; 5] = ["ready", "waiting", "running", "done", "dead"];

/// A background task.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskView {
    /// Id of the task.
    id: Uuid,
    /// Its kind.
    #[schema(example = "retention")]
    name: String,
    /// The queue it is in.
    queue: Priority,
    /// Work with the same name and key is queued once.
    key: Option<String>,
    /// `ready` (due), `waiting` (not due yet), `running`, `done` or `dead` (failed for good: replay or delete it).
    #[schema(example = "dead")]
    status: String,
    /// What it needs to know; `null` for periodic tasks.
    #[schema(value_type = Object)]
    input: Value,
    /// Attempts since it was queued or replayed.
    attempts: i32,
    /// After so many failed attempts it is dead.
    max_attempts: i32,
    /// It does not run before this time.
    due_at: DateTime<Utc>,
    /// For a periodic task: how long after the end of one run the next one is due, in milliseconds.
    every_ms: Option<i64>,
    /// It is bound to a process, which repeats it by itself; it has a row only while it is dead.
    is_local: bool,
    /// The worker that runs it.
    worker_id: Option<Uuid>,
    /// Why it failed last.
    last_error: Option<String>,
    /// When it was queued for the first time.
    created_at: DateTime<Utc>,
    /// When its last run began.
    started_at: Option<DateTime<Utc>>,
    /// When it was done or dead.
    finished_at: Option<DateTime<Utc>>,
}

impl From<TaskRow> for TaskView {
    fn from(row: TaskRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            queue: Priority::from_rank(row.queue),
            key: row.key,
            status: row.status,
            input: row.input,
            attempts: row.attempts,
            max_attempts: row.max_attempts,
            due_at: row.due_at,
            every_ms: row.every_ms,
            is_local: row.local,
            worker_id: row.worker_id,
            last_error: row.last_error,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

/// A page of background tasks.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskPage {
    /// The tasks, newest first.
    items: Vec<TaskView>,
    /// Pass it as `cursor` to get the next page.
    next_cursor: Option<String>,
}

/// Which tasks to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListTasks {
    /// How many at most, 1 to 200; by default 50.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit,
    /// The `next_cursor` of the previous page.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// In one of these states, separated by commas.
    status: Option<String>,
    /// Of this kind.
    name: Option<String>,
    /// In this queue.
    queue: Option<Priority>,
}

/// Lists background tasks.
#[utoipa::path(
    get, path = "/api/integrations/tasks", tag = "operation", operation_id = "listTasks", params(ListTasks),
    responses(
        (status = 200, description = "A page of tasks, newest first.", body = TaskPage),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>, Query(query): Query<ListTasks>) -> Result<Json<Page<TaskView>>> {
    let filter = TaskFilter {
        statuses: super::statuses(&STATUSES, query.status)?,
        name: query.name,
        queue: query.queue.map(Priority::rank),
    };
    let slice = Slice { rows: query.limit.rows(), before: query.cursor.map(|c| c.0) };
    let rows = tasks::list(&app, &filter, slice).await?;
    Ok(Json(Page::new(rows, query.limit, |row| row.id).map(TaskView::from)))
}

/// Gets a background task.
#[utoipa::path(
    get, path = "/api/integrations/tasks/{id}", tag = "operation", operation_id = "getTask",
    params(("id" = Uuid, Path, description = "Id of the task.")),
    responses(
        (status = 200, description = "The task.", body = TaskView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(State(app): State<Arc<App>>, Path(id): Path<Uuid>) -> Result<Json<TaskView>> {
    Ok(Json(tasks::get(&app, id).await?.into()))
}

/// Lets a dead task begin anew, with all of its attempts.
///
/// One that is bound to a process runs at the one that holds its key; until there is such a process, it stays `ready`.
#[utoipa::path(
    post, path = "/api/integrations/tasks/{id}/replay", tag = "operation", operation_id = "replayTask",
    params(("id" = Uuid, Path, description = "Id of the task.")),
    responses(
        (status = 200, description = "The task as it is now.", body = TaskView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn replay(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<TaskView>> {
    Ok(Json(tasks::replay(&app, &caller, id).await?.into()))
}

/// Removes a dead task for ever.
#[utoipa::path(
    delete, path = "/api/integrations/tasks/{id}", tag = "operation", operation_id = "deleteTask",
    params(("id" = Uuid, Path, description = "Id of the task.")),
    responses(
        (status = 204, description = "Removed."),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn delete(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode> {
    tasks::delete(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
