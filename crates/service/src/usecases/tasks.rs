//! Looking at background tasks, and what an operator does with dead ones.

use serde_json::{Value, json};
use store::{
    Slice,
    tasks::{self, TaskFilter, TaskRow},
};
use uuid::Uuid;

use super::{Caller, Change, record};
use crate::{Code, Error, Result, app::App};

/// A part of the list of tasks.
pub async fn list(app: &App, filter: &TaskFilter, slice: Slice) -> Result<Vec<TaskRow>> {
    Ok(tasks::list(&app.pool, filter, slice).await?)
}

/// One task.
pub async fn get(app: &App, id: Uuid) -> Result<TaskRow> {
    tasks::find(&app.pool, id).await?.ok_or_else(|| Error::not_found("task"))
}

/// Lets a dead task begin anew.
pub async fn replay(app: &App, caller: &Caller, id: Uuid) -> Result<TaskRow> {
    let before = get(app, id).await?;
    let mut tx = app.pool.begin().await?;
    let Some(row) = tasks::replay(&mut tx, id).await? else { return Err(not_dead(&before)) };
    let change = Change {
        action: "task.replay",
        resource_type: "task",
        resource_id: id.to_string(),
        before: Some(told(&before)),
        after: Some(json!({ "status": row.status })),
    };
    record(&mut tx, caller, change).await?;
    tx.commit().await?;
    app.hints.task_is_due(platform::Priority::from_rank(row.queue));
    Ok(row)
}

/// Removes a dead task.
pub async fn delete(app: &App, caller: &Caller, id: Uuid) -> Result<()> {
    let before = get(app, id).await?;
    let mut tx = app.pool.begin().await?;
    if !tasks::delete(&mut tx, id).await? {
        return Err(not_dead(&before));
    }
    let change = Change {
        action: "task.delete",
        resource_type: "task",
        resource_id: id.to_string(),
        before: Some(told(&before)),
        after: None,
    };
    record(&mut tx, caller, change).await?;
    tx.commit().await?;
    Ok(())
}

/// What the audit keeps of a task: with it, also a deleted one could be queued again.
fn told(row: &TaskRow) -> Value {
    json!({
        "name": row.name, "key": row.key, "input": row.input, "status": row.status, "attempts": row.attempts,
        "last_error": row.last_error,
    })
}

fn not_dead(row: &TaskRow) -> Error {
    let detail = match &*row.status {
        // It changed since it was looked at.
        "dead" => "The task is not dead any more.".to_owned(),
        status => format!("The task is `{status}`; this needs one that is dead."),
    };
    Error::new(Code::TaskNotDead, detail)
}
