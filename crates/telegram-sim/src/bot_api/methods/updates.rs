//! `getUpdates` and the methods of webhooks.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::bot_api::reply::{ApiError, Done, MethodResult};
use crate::bot_api::request::Params;
use crate::bot_api::webhooks::Webhook;
use crate::bot_api::{BotApi, render};
use crate::world::UserId;

/// Longest long poll (seconds).
const MAX_TIMEOUT: u64 = 50;

pub(super) async fn get(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let webhook_active = || {
        let what = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the \
                    webhook first";
        if api.webhooks.is_set(bot) { Err(ApiError::new(409, what)) } else { Ok(()) }
    };
    webhook_active()?;
    let limit = params.number("limit").filter(|limit| (1..=100).contains(limit)).unwrap_or(100);
    let seconds = params.number("timeout").unwrap_or(0u64).min(MAX_TIMEOUT);
    let deadline = Instant::now() + Duration::from_secs(seconds);
    set_allowed(api, bot, params);
    let mut poll = api.sessions.begin_poll(bot);
    let subscribed = api.world.lock().bot(bot).map(|bot| bot.updates.subscribe());
    let mut arrived = subscribed.ok_or_else(|| ApiError::new(401, "Unauthorized"))?;
    loop {
        arrived.borrow_and_update();
        let updates = take(api, bot, params.number("offset"), limit);
        if !updates.is_empty() || Instant::now() >= deadline {
            return Ok(Value::from(updates).into());
        }
        tokio::select! {
            reason = poll.interrupted() => {
                webhook_active()?;
                return Err(ApiError::new(409, reason));
            }
            _ = timeout_at(deadline, arrived.changed()) => {}
        }
    }
}

pub(super) fn set_webhook(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let url = params.get("url").trim();
    if url.is_empty() {
        return Ok(delete_webhook(api, bot, params));
    }
    let bad = |what: &str| ApiError::bad_request(format_args!("bad webhook: {what}"));
    let parsed: http::Uri = url.parse().map_err(|_| bad("Invalid URL specified"))?;
    // Plain HTTP on any port is what a local Bot API server accepts too.
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return Err(bad("An HTTPS URL must be provided for webhook"));
    }
    let secret = params.get("secret_token");
    if secret.len() > 256 {
        return Err(ApiError::bad_request("secret token is too long"));
    }
    if !secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err(ApiError::bad_request("secret token contains unallowed characters"));
    }
    set_allowed(api, bot, params);
    drop_pending(api, bot, params);
    let webhook = Webhook {
        url: url.to_owned(),
        secret: Some(secret.to_owned()).filter(|secret| !secret.is_empty()),
        max_connections: params.number("max_connections").unwrap_or(40).clamp(1, 100),
    };
    if !api.webhooks.set(bot, webhook) {
        return Ok(Done::described("Webhook is already set"));
    }
    api.sessions.interrupt_poll(bot, "Conflict: terminated by setWebhook request");
    Ok(Done::described("Webhook was set"))
}

pub(super) fn delete_webhook(api: &BotApi, bot: UserId, params: &Params) -> Done {
    drop_pending(api, bot, params);
    if api.webhooks.remove(bot) {
        Done::described("Webhook was deleted")
    } else {
        Done::described("Webhook is already deleted")
    }
}

pub(super) fn webhook_info(api: &BotApi, bot: UserId) -> Done {
    let state = api.world.lock();
    let updates = state.bot(bot).map(|bot| &bot.updates);
    let mut info = json!({
        "url": "", "has_custom_certificate": false,
        "pending_update_count": updates.map_or(0, crate::world::UpdateQueue::len),
    });
    if let Some((webhook, failure)) = api.webhooks.get(bot) {
        info["url"] = webhook.url.into();
        info["max_connections"] = webhook.max_connections.into();
        if let Some(failure) = failure {
            info["last_error_date"] = failure.date.into();
            info["last_error_message"] = failure.message.into();
        }
    }
    if let Some(allowed) = updates.map(crate::world::UpdateQueue::allowed).filter(|allowed| !allowed.is_empty()) {
        info["allowed_updates"] = json!(allowed);
    }
    info.into()
}

fn take(api: &BotApi, bot: UserId, offset: Option<i64>, limit: usize) -> Vec<Value> {
    let mut state = api.world.lock();
    if let Some(bot) = state.bot_mut(bot) {
        bot.updates.forget_old(chrono::Utc::now().timestamp());
        if let Some(offset) = offset.filter(|offset| *offset != 0) {
            bot.updates.confirm(offset);
        }
    }
    let waiting = state.bot(bot).map(|bot| bot.updates.peek(limit)).unwrap_or_default();
    waiting.iter().map(|update| render::update(&state, bot, update)).collect()
}

fn drop_pending(api: &BotApi, bot: UserId, params: &Params) {
    if params.flag("drop_pending_updates")
        && let Some(bot) = api.world.lock().bot_mut(bot)
    {
        bot.updates.clear();
    }
}

/// As at Telegram, what is missing or unreadable changes nothing, and an empty list means the default.
fn set_allowed(api: &BotApi, bot: UserId, params: &Params) {
    if let Ok(kinds) = serde_json::from_str::<Vec<String>>(params.get("allowed_updates"))
        && let Some(bot) = api.world.lock().bot_mut(bot)
    {
        bot.updates.set_allowed(kinds.into_iter().map(|kind| kind.to_lowercase()).collect());
    }
}
