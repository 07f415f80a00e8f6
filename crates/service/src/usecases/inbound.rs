//! What Telegram delivers to the webhooks of bots.

use telegram::bots::updates;
use uuid::Uuid;

use crate::{Code, Error, Result, app::App};

/// Whether a delivery comes from Telegram: only Telegram knows the secret of the bot's webhook.
pub async fn admit(app: &App, bot_id: Option<Uuid>, secret: Option<&str>) -> Result<Uuid> {
    // The same answer for a wrong secret and for a bot that does not exist.
    let refused = || {
        Error::new(
            Code::Unauthorized,
            "The header `X-Telegram-Bot-Api-Secret-Token` is missing, or it does not hold the secret of this webhook.",
        )
    };
    let (Some(bot_id), Some(secret)) = (bot_id, secret) else { return Err(refused()) };
    if app.secrets.are_right(bot_id, secret).await? { Ok(bot_id) } else { Err(refused()) }
}

/// Takes an update. When this succeeds it is committed, now or before: Telegram may forget it.
pub async fn deliver(app: &App, bot_id: Uuid, body: &[u8]) -> Result<()> {
    let update = std::str::from_utf8(body).ok().and_then(updates::read).ok_or_else(|| {
        Error::new(
            Code::InvalidBody,
            "The body is not an update of the Bot API: a JSON object with an integer `update_id`.",
        )
    })?;
    Ok(app.inbox.put(bot_id, update).await?)
}
