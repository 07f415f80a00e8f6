//! Faults, limits, counters and the reset.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Refusal, done};
use crate::bot_api::{Fault, Limits};
use crate::sim::Core;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    limits: Option<Limits>,
    open_world: Option<bool>,
    keep_file_bytes: Option<usize>,
}

pub(super) async fn list_faults(State(core): State<Core>) -> Json<Value> {
    Json(json!(core.api.faults().list()))
}

pub(super) async fn add_fault(State(core): State<Core>, Json(fault): Json<Fault>) -> Json<Value> {
    Json(json!({ "id": core.api.faults().add(fault) }))
}

pub(super) async fn clear_faults(State(core): State<Core>) -> Json<Value> {
    core.api.faults().clear();
    done()
}

pub(super) async fn remove_fault(State(core): State<Core>, Path(id): Path<u64>) -> Answer {
    if core.api.faults().remove(id) { Ok(done()) } else { Err(Refusal::not_found(format_args!("fault {id}"))) }
}

pub(super) async fn get(State(core): State<Core>) -> Json<Value> {
    let keep_file_bytes = core.world.lock().files().keep_bytes();
    let (limits, open_world) = (core.api.limiter().limits(), core.api.open_world());
    Json(json!({ "limits": limits, "open_world": open_world, "keep_file_bytes": keep_file_bytes }))
}

pub(super) async fn change(State(core): State<Core>, Json(settings): Json<Settings>) -> Json<Value> {
    if let Some(limits) = settings.limits {
        core.api.limiter().set(limits);
    }
    if let Some(open) = settings.open_world {
        core.api.set_open_world(open);
    }
    if let Some(keep) = settings.keep_file_bytes {
        core.world.lock().files_mut().set_keep_bytes(keep);
    }
    get(State(core)).await
}

pub(super) async fn counters(State(core): State<Core>) -> Json<Value> {
    Json(json!(core.api.counters().get()))
}

pub(super) async fn reset_counters(State(core): State<Core>) -> Json<Value> {
    core.api.counters().reset();
    done()
}

pub(super) async fn reset(State(core): State<Core>) -> Json<Value> {
    core.reset();
    done()
}
