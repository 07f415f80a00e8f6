//! `/api/integrations/telegram/webhooks/{bot_id}`: what Telegram delivers.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use http::StatusCode;
use uuid::Uuid;

use super::openapi::Problem;
use crate::{Result, app::App, http::json::read_body, usecases::inbound};

/// The header in which Telegram repeats the secret.
const SECRET: &str = "X-Telegram-Bot-Api-Secret-Token";

/// Takes an update of a bot from Telegram.
///
/// The service sets the webhook and its secret by itself. An update is answered with 200 when it is stored; a repeated one is
/// stored once.
#[utoipa::path(
    post, path = "/api/integrations/telegram/webhooks/{bot_id}", tag = "bots", operation_id = "takeUpdate",
    params(("bot_id" = Uuid, Path, description = "Id of the bot.")),
    request_body(content = Object, description = "An update of the Bot API."),
    responses(
        (status = 200, description = "The update is stored."),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn take(State(app): State<Arc<App>>, Path(bot_id): Path<String>, request: Request) -> Result<StatusCode> {
    // Before the body is read: whoever does not know the secret is to cost nothing.
    let secret = request.headers().get(SECRET).and_then(|value| value.to_str().ok());
    let bot_id = inbound::admit(&app, bot_id.parse::<Uuid>().ok(), secret).await?;
    let body = read_body(request).await?;
    inbound::deliver(&app, bot_id, &body).await?;
    Ok(StatusCode::OK)
}
