//! The control API: what a test or a person does to the simulated world, and the page that shows it. JSON in and out;
//! `docs/TELEGRAM-SIM.md` lists it.

mod accounts;
mod chats;
mod files;
mod messages;
mod page;
mod people;
mod settings;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server;
use crate::sim::Core;

/// Largest picture of a chat (bytes); what is not a photo by Telegram's rules is refused with a reason.
const MAX_PICTURE: usize = 11 << 20;

/// Serves on this listener until `stop`.
pub(crate) async fn serve(listener: TcpListener, core: Core, stop: CancellationToken) {
    let router = routes().with_state(core);
    server::serve(listener, stop, || TowerToHyperService::new(router.clone())).await;
}

fn routes() -> Router<Core> {
    Router::new()
        .merge(page::routes())
        .nest("/mtproto", accounts::routes())
        .route("/bots", get(people::list_bots).post(people::add_bot))
        .route("/bots/{id}", patch(people::change_bot))
        .route("/bots/{id}/revoke", post(people::revoke))
        .route("/bots/{id}/updates", post(people::tell))
        .route("/users", get(people::list_users).post(people::add_user))
        .route("/users/{id}", patch(people::change_user))
        .route("/users/{id}/{verb}/{other}", post(people::act))
        .route("/chats", get(chats::list).post(chats::add))
        .route("/chats/{id}", patch(chats::change).delete(chats::remove))
        .route(
            "/chats/{id}/photo",
            put(files::set_photo).layer(DefaultBodyLimit::max(MAX_PICTURE)).delete(files::remove_photo),
        )
        .route("/chats/{id}/invite", post(chats::new_invite).delete(chats::revoke_invite))
        .route("/chats/{id}/topics", post(chats::add_topic))
        .route("/chats/{id}/topics/{topic}", patch(chats::change_topic).delete(chats::remove_topic))
        .route("/files/expire", post(files::expire))
        .route("/files/{id}", get(files::content))
        .route("/chats/{id}/migrate", post(chats::migrate))
        .route("/chats/{id}/members/{user}", put(chats::set_member))
        .route("/messages", get(messages::find).post(messages::write).delete(messages::clear))
        .route("/messages/counts", get(messages::counts))
        .route("/messages/{uid}", patch(messages::edit).delete(messages::remove))
        .route("/messages/{uid}/press", post(messages::press))
        .route("/faults", get(settings::list_faults).post(settings::add_fault).delete(settings::clear_faults))
        .route("/faults/{id}", delete(settings::remove_fault))
        .route("/settings", get(settings::get).patch(settings::change))
        .route("/counters", get(settings::counters).delete(settings::reset_counters))
        .route("/reset", post(settings::reset))
}

/// A refusal: status and what is wrong.
#[derive(Debug)]
pub(crate) struct Refusal(StatusCode, String);

impl Refusal {
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        Self(StatusCode::NOT_FOUND, format!("there is no {what}"))
    }

    pub(crate) fn bad(what: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, what.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, axum::Json(json!({ "error": self.1 }))).into_response()
    }
}

/// The usual answer.
pub(crate) type Answer = Result<axum::Json<Value>, Refusal>;

/// `{"ok": true}`.
pub(crate) fn done() -> axum::Json<Value> {
    axum::Json(json!({ "ok": true }))
}
