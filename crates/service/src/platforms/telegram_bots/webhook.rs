//! Keeps the webhook of a bot set, and takes it away.

use std::time::Duration;

use chrono::{DateTime, Utc};
use telegram::{
    bot_api::{SetWebhook, WebhookInfo},
    bots::{UpdatesState, inbound, updates},
};
use tokio::time::sleep;
use uuid::Uuid;

use super::{
    live::{Follows, LiveBot},
    secret,
};
use crate::worker::backoff;

/// A delivery that was refused for its secret so long after the secret was set was sent with another one.
const SETTLED: Duration = Duration::from_secs(30);

/// The path of the route that takes what Telegram delivers.
pub fn path(id: Uuid) -> String {
    format!("/api/integrations/telegram/webhooks/{id}")
}

/// The host of a webhook's address, unless the webhook is this service's own: below its public address, or with the bot's own path,
/// from before the public address changed.
pub fn foreign_host(url: &str, public_url: Option<&str>, id: Uuid) -> Option<String> {
    let own_path = path(Uuid::nil());
    let own_path = own_path.trim_end_matches(&Uuid::nil().to_string());
    let is_below = public_url.and_then(|own| url.strip_prefix(own)).is_some_and(|rest| rest.starts_with(own_path));
    if is_below || url.ends_with(&path(id)) {
        return None;
    }
    Some(url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default())
}

/// What the owner of a bot is told of a webhook that is left alone.
pub fn goes_to(host: &str) -> String {
    format!("The updates go to the webhook of another system, at {host}. Set `take_over` to remove it.")
}

/// Sets the webhook, and looks after it until the bot is dead. Can be dropped at any time.
pub async fn keep(bot: &LiveBot, mut has_secret: bool) {
    let Some(public_url) = bot.shared.public_url.clone() else {
        let reason = "A webhook needs the setting http.public_url, which the operator has not set.";
        bot.show(UpdatesState::Failing, Some(reason)).await;
        return;
    };
    let url = format!("{public_url}{}", path(bot.id));
    let (mut failures, mut set_at, mut kinds_set) = (0, None, false);
    loop {
        let step = async {
            let info = bot.shared.bot_api.get_webhook_info(&bot.token).await?;
            bot.lives();
            if let Some(host) = Some(&info.url).filter(|url| !url.is_empty()).and_then(|url| bot.foreign_host(url)) {
                bot.show(UpdatesState::Elsewhere, Some(&goes_to(&host))).await;
                return Ok(());
            }
            let kinds_differ =
                !kinds_set && !updates::ALLOWED.iter().all(|kind| info.allowed_updates.iter().any(|k| k == kind));
            if info.url != url || !has_secret || kinds_differ || is_secret_lost(&info, set_at) {
                set(bot, &url).await?;
                (has_secret, set_at, kinds_set) = (true, Some(Utc::now()), true);
            }
            bot.show(UpdatesState::Webhook, None).await;
            keep_last_error(bot, &info).await;
            Ok(())
        };
        let wait = match step.await {
            Ok(()) => {
                failures = 0;
                bot.shared.probe_every
            }
            Err(error) => {
                failures += 1;
                match bot.judge(error).await {
                    Follows::Dead => return,
                    Follows::Wait(after) => after,
                    Follows::Refused { words, .. } => {
                        bot.show(UpdatesState::Failing, Some(&words)).await;
                        backoff(failures).max(Duration::from_secs(5))
                    }
                    Follows::Away(reason) => {
                        tracing::debug!(reason, bot_id = %bot.id, "the webhook of a bot cannot be looked at now");
                        backoff(failures)
                    }
                }
            }
        };
        sleep(wait).await;
    }
}

/// Takes the service's own webhook away, if there is one, and leaves it at that.
pub async fn leave(bot: &LiveBot, has_webhook: bool) {
    for failures in 1.. {
        if !has_webhook {
            break;
        }
        match bot.shared.bot_api.get_webhook_info(&bot.token).await {
            Ok(info) if info.url.is_empty() || bot.foreign_host(&info.url).is_some() => {
                forget_secrets(bot).await;
                break;
            }
            Ok(_) if remove(bot).await => break,
            Ok(_) => {}
            Err(error) => match bot.judge(error).await {
                Follows::Dead => return,
                Follows::Wait(after) => sleep(after).await,
                Follows::Refused { .. } | Follows::Away(_) => {}
            },
        }
        sleep(backoff(failures)).await;
    }
    bot.show(UpdatesState::Off, None).await;
}

/// Takes the service's own webhook away; what waits for delivery stays at Telegram. Returns whether that was done.
pub async fn remove(bot: &LiveBot) -> bool {
    match bot.shared.bot_api.delete_webhook(&bot.token, false).await {
        Ok(()) => {
            forget_secrets(bot).await;
            true
        }
        Err(error) => {
            tracing::debug!(%error, bot_id = %bot.id, "a webhook could not be taken away");
            false
        }
    }
}

async fn forget_secrets(bot: &LiveBot) {
    if let Err(error) = inbound::forget_secrets(&bot.shared.pool, bot.id).await {
        tracing::debug!(%error, bot_id = %bot.id, "the secret of a webhook that is gone stays for now");
    }
}

/// Sets the webhook with a new secret. Both the former and the new one are accepted until Telegram has confirmed it.
async fn set(bot: &LiveBot, url: &str) -> Result<(), telegram::bot_api::CallError> {
    let unavailable =
        |error: sqlx::Error| telegram::bot_api::CallError::Unavailable { reason: format!("the database: {error}") };
    let (secret_token, hash) = secret::generate();
    inbound::begin_secret(&bot.shared.pool, bot.id, &hash).await.map_err(unavailable)?;
    let webhook = SetWebhook {
        url: url.to_owned(),
        secret_token,
        max_connections: bot.shared.updates.connections,
        allowed_updates: updates::ALLOWED,
        drop_pending_updates: false,
    };
    bot.shared.bot_api.set_webhook(&bot.token, &webhook).await?;
    inbound::confirm_secret(&bot.shared.pool, bot.id, &hash).await.map_err(unavailable)
}

/// Whether Telegram sends another secret than the service accepts: its deliveries were refused for that.
fn is_secret_lost(info: &WebhookInfo, set_at: Option<DateTime<Utc>>) -> bool {
    let refused = info.last_error_message.as_deref().is_some_and(|message| message.contains("401"));
    let failed_at = info.last_error_date.and_then(|date| DateTime::from_timestamp(date, 0));
    let (true, Some(failed_at)) = (refused, failed_at) else { return false };
    match set_at {
        Some(at) => (failed_at - at).to_std().is_ok_and(|after| after > SETTLED),
        // From before this process had the bot: an old failure says nothing.
        None => (Utc::now() - failed_at).num_seconds() < 300,
    }
}

async fn keep_last_error(bot: &LiveBot, info: &WebhookInfo) {
    let at = info.last_error_date.and_then(|date| DateTime::from_timestamp(date, 0));
    let kept = inbound::set_last_error(&bot.shared.pool, bot.id, info.last_error_message.as_deref(), at).await;
    if let Err(error) = kept {
        tracing::debug!(%error, bot_id = %bot.id, "the last error of a webhook could not be kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_known_by_its_address() {
        let (id, other) = (Uuid::now_v7(), Uuid::now_v7());
        let public = Some("https://own.example/base");
        for own in [
            format!("https://own.example/base/api/integrations/telegram/webhooks/{id}"),
            format!("https://own.example/base/api/integrations/telegram/webhooks/{other}"),
            format!("https://former.example/api/integrations/telegram/webhooks/{id}"),
        ] {
            assert_eq!(foreign_host(&own, public, id), None, "{own}");
        }
        for foreign in [
            format!("https://other.example/api/integrations/telegram/webhooks/{other}"),
            "https://other.example/hook".to_owned(),
            "https://own.example/base/other".to_owned(),
        ] {
            assert!(foreign_host(&foreign, public, id).is_some_and(|host| host.ends_with(".example")), "{foreign}");
        }
        assert!(foreign_host("https://own.example/x", None, id).is_some());
    }

    #[test]
    fn a_lost_secret_shows_in_what_telegram_says() {
        let now = Utc::now();
        let info = |message: &str, ago: i64| WebhookInfo {
            url: String::new(),
            pending_update_count: 0,
            last_error_date: Some(now.timestamp() - ago),
            last_error_message: Some(message.to_owned()),
            allowed_updates: Vec::new(),
        };
        let unauthorized = "Wrong response from the webhook: 401 Unauthorized";
        assert!(is_secret_lost(&info(unauthorized, 10), None));
        assert!(!is_secret_lost(&info(unauthorized, 1000), None));
        assert!(!is_secret_lost(&info("Connection refused", 10), None));
        let set = |ago| Some(now - chrono::TimeDelta::seconds(ago));
        assert!(is_secret_lost(&info(unauthorized, 10), set(60)));
        assert!(!is_secret_lost(&info(unauthorized, 10), set(15)));
        assert!(!is_secret_lost(&info(unauthorized, 10), set(5)));
    }
}
