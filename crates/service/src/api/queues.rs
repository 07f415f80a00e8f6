//! `/api/integrations/queues`.

use std::sync::Arc;

use axum::extract::State;
use platform::Priority;
use serde::Serialize;
use store::{queues, tasks};
use utoipa::ToSchema;

use super::openapi::Problem;
use crate::{Result, app::App, http::Json};

/// What waits.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueuesView {
    /// The queues of messages.
    messages: Vec<MessageQueueView>,
    /// The queues of background tasks.
    tasks: Vec<TaskQueueView>,
}

/// The messages of one priority.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageQueueView {
    /// Which queue.
    queue: Priority,
    /// Messages that wait to be sent.
    due: i64,
    /// Messages that are scheduled for later.
    scheduled: i64,
    /// For how many seconds the oldest of those that wait has been due; `null` when none waits.
    oldest_seconds: Option<f64>,
}

/// The background tasks of one queue.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskQueueView {
    /// Which queue.
    queue: Priority,
    /// Tasks that are due.
    ready: i64,
    /// Tasks that run.
    running: i64,
    /// Tasks that are not due yet: waiting for their next try, or periodic ones for their next turn.
    waiting: i64,
    /// Tasks that failed for good.
    dead: i64,
    /// For how many seconds the oldest of those that are due has been so; `null` when none is.
    oldest_seconds: Option<f64>,
}

/// Tells how much waits in each queue.
#[utoipa::path(
    get, path = "/api/integrations/queues", tag = "operation", operation_id = "getQueues",
    responses(
        (status = 200, description = "The queues, the highest first.", body = QueuesView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>) -> Result<Json<QueuesView>> {
    let messages = queues::list(&app.pool).await?.into_iter().map(|row| MessageQueueView {
        queue: Priority::from_rank(row.priority),
        due: row.due,
        scheduled: row.scheduled,
        oldest_seconds: row.oldest_seconds,
    });
    let tasks = tasks::queues(&app.pool).await?.into_iter().map(|row| TaskQueueView {
        queue: Priority::from_rank(row.queue),
        ready: row.ready,
        running: row.running,
        waiting: row.waiting,
        dead: row.dead,
        oldest_seconds: row.oldest_seconds,
    });
    Ok(Json(QueuesView { messages: messages.collect(), tasks: tasks.collect() }))
}
