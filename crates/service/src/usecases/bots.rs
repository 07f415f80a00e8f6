//! Connecting bots and looking after them.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use store::{Slice, events, logs, messages};
use telegram::{
    bot_api::{Bot, BotApi, CallError},
    bots::{
        BotFilter, BotRow, BotStatus, UpdatesMode, inbound,
        table::{self, NewBot},
    },
};
use uuid::Uuid;

use super::{Caller, Change, record};
use crate::{
    Code, Error, Result, app::App, platforms::telegram_bots::webhook::foreign_host, queue::Hint, secrets::Envelope,
    worker::backoff,
};

/// What Telegram tells of the updates of a bot that was just connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Webhook {
    /// No webhook is set.
    None,
    /// Updates go to another system on this host; they still do.
    Elsewhere(String),
    /// Updates went to another system on this host; the webhook was removed, as the caller asked.
    Removed(String),
}

/// What a bot's envelope is bound to.
pub fn token_purpose(id: Uuid) -> String {
    crate::secrets::purpose("telegram_bots", id, "bot_token")
}

/// Connects a bot: checks its token with Telegram, seals it, and stores it.
pub async fn connect(
    app: &App,
    caller: &Caller,
    token: SecretString,
    settings: Value,
    take_over: bool,
    updates: UpdatesMode,
) -> Result<(BotRow, Webhook)> {
    check_updates(app, updates)?;
    let bot = check_token(app, &token).await?;
    if let Some(known) = table::find_by_telegram_id(&app.pool, bot.id).await? {
        return Err(already_connected(caller, &known));
    }
    let id = Uuid::now_v7();
    let webhook = webhook(app, id, &token, take_over).await?;
    let sealed = seal(app, id, &token).await?;
    let new = NewBot {
        id,
        user_id: caller.identity.user_id,
        telegram_bot_id: bot.id,
        username: &bot.username,
        name: &bot.first_name,
        sealed_token: &sealed,
        settings: &settings,
    };
    let mut tx = app.pool.begin().await?;
    let mut row = match table::insert(&mut *tx, &new).await {
        Ok(row) => row,
        Err(sqlx::Error::Database(error)) if error.constraint() == Some(table::UNIQUE_BOT) => {
            drop(tx);
            let known = table::find_by_telegram_id(&app.pool, bot.id).await?;
            return Err(known.map_or_else(
                || Error::new(Code::Conflict, "The bot was connected and removed at the same moment. Try again."),
                |known| already_connected(caller, &known),
            ));
        }
        Err(error) => return Err(error.into()),
    };
    inbound::set_mode(&mut *tx, id, updates).await?;
    row.updates.mode = updates;
    tell(&mut tx, &row, "bot.connected", "connect").await?;
    let change = Change { before: None, after: Some(public(&row)), ..changed(&row, "bot.connect") };
    record(&mut tx, caller, change).await?;
    tx.commit().await?;
    // It is opened at once: its updates are taken, and it is asked for signs of life.
    app.hints.give(Hint::Work(id));
    Ok((row, webhook))
}

fn check_updates(app: &App, updates: UpdatesMode) -> Result<()> {
    if updates == UpdatesMode::Webhook && app.public_url.is_none() {
        return Err(Error::invalid_field(
            "/updates",
            "cannot be `webhook` here: the operator has not set http.public_url, where Telegram would deliver; use `polling`",
        ));
    }
    Ok(())
}

async fn check_token(app: &App, token: &SecretString) -> Result<Bot> {
    if !has_token_form(token.expose_secret()) {
        return Err(Error::new(
            Code::TelegramTokenInvalid,
            "This is not a bot token: it has the form `123456789:AbCd…`, as @BotFather shows it.",
        ));
    }
    app.bot_api.get_me(token).await.map_err(|error| match error {
        CallError::Unauthorized { .. } | CallError::Refused { status: 404, .. } => Error::new(
            Code::TelegramTokenInvalid,
            "Telegram does not accept this bot token. Copy it again from @BotFather.",
        ),
        other => telegram_failed(&other),
    })
}

/// `<bot id>:<secret>`, as narrow as needed to keep the request line intact.
fn has_token_form(token: &str) -> bool {
    token.split_once(':').is_some_and(|(id, secret)| {
        (1..=16).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_digit())
            && (20..=80).contains(&secret.len())
            && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    })
}

fn telegram_failed(error: &CallError) -> Error {
    let public = Error::new(Code::TelegramUnavailable, format!("Telegram did not answer as expected: {error}."));
    match error {
        CallError::Wait { after } => public.with_retry_after(*after),
        _ => public.with_retry_after(std::time::Duration::from_secs(5)),
    }
}

fn already_connected(caller: &Caller, known: &BotRow) -> Error {
    if caller.owner().is_none_or(|user| user == known.user_id) {
        return Error::new(
            Code::BotAlreadyConnected,
            format!("The bot @{} is already connected, as {}. Replace its token there.", known.username, known.id),
        );
    }
    Error::new(Code::BotAlreadyConnected, "This bot is already connected by another user.")
}

/// Looks where the updates go, and removes a webhook that is set elsewhere only if the caller says so.
async fn webhook(app: &App, id: Uuid, token: &SecretString, take_over: bool) -> Result<Webhook> {
    let info = app.bot_api.get_webhook_info(token).await.map_err(|error| telegram_failed(&error))?;
    if info.url.is_empty() {
        return Ok(Webhook::None);
    }
    let Some(host) = foreign_host(&info.url, app.public_url.as_deref(), id) else {
        // Left behind by this service.
        app.bot_api.delete_webhook(token, false).await.map_err(|error| telegram_failed(&error))?;
        return Ok(Webhook::None);
    };
    if !take_over {
        return Ok(Webhook::Elsewhere(host));
    }
    app.bot_api.delete_webhook(token, false).await.map_err(|error| telegram_failed(&error))?;
    Ok(Webhook::Removed(host))
}

/// Removes a webhook that another system has set.
async fn take_over(app: &App, id: Uuid, token: &SecretString) -> Result<()> {
    let info = app.bot_api.get_webhook_info(token).await.map_err(|error| telegram_failed(&error))?;
    let foreign = !info.url.is_empty() && foreign_host(&info.url, app.public_url.as_deref(), id).is_some();
    if foreign {
        app.bot_api.delete_webhook(token, false).await.map_err(|error| telegram_failed(&error))?;
    }
    Ok(())
}

async fn seal(app: &App, id: Uuid, token: &SecretString) -> Result<String> {
    let envelope = app.sealer.seal(&token_purpose(id), token.expose_secret().as_bytes()).await?;
    Ok(envelope.to_text())
}

async fn unseal(app: &App, id: Uuid) -> Result<Option<SecretString>> {
    let Some(row) = table::credentials(&app.pool, id).await? else { return Ok(None) };
    let envelope = Envelope::parse(&row.bot_token).map_err(Error::internal)?;
    let token = app.sealer.open(&token_purpose(id), &envelope).await?;
    let token = std::str::from_utf8(&token).map_err(Error::internal)?;
    Ok(Some(SecretString::from(token.to_owned())))
}

/// One bot.
pub async fn get(app: &App, caller: &Caller, id: Uuid) -> Result<BotRow> {
    table::find(&app.pool, id, caller.owner()).await?.ok_or_else(|| Error::not_found("bot"))
}

/// A part of the list of bots.
pub async fn list(app: &App, caller: &Caller, mut filter: BotFilter, slice: Slice) -> Result<Vec<BotRow>> {
    filter.user_id = caller.owner();
    Ok(table::list(&app.pool, &filter, slice).await?)
}

/// What to change of a bot.
#[derive(Debug, Default)]
pub struct BotChange {
    /// A JSON merge patch (RFC 7396) of the settings.
    pub settings: Option<Map<String, Value>>,
    /// On or off.
    pub is_active: Option<bool>,
    /// How its updates are taken.
    pub updates: Option<UpdatesMode>,
    /// Remove a webhook that another system has set.
    pub take_over: bool,
}

/// Changes settings, switches the bot on or off, or changes how its updates are taken.
pub async fn update(app: &App, caller: &Caller, id: Uuid, change: BotChange) -> Result<BotRow> {
    let before = get(app, caller, id).await?;
    let status = match change.is_active {
        Some(true) if before.status == BotStatus::TokenRevoked.name() => {
            return Err(Error::new(
                Code::Conflict,
                "Telegram refuses the bot's token: replace it to switch the bot on.",
            ));
        }
        Some(true) => Some(BotStatus::Active),
        Some(false) => Some(BotStatus::Off),
        None => None,
    };
    let mut settings = before.settings.clone().unwrap_or_else(|| json!({}));
    merge(&mut settings, Value::Object(change.settings.unwrap_or_default()));
    super::send::check_settings(&settings)?;
    check_updates(app, change.updates.unwrap_or_default())?;
    if change.take_over
        && let Some(token) = unseal(app, id).await?
    {
        take_over(app, id, &token).await?;
    }
    let mut tx = app.pool.begin().await?;
    if let Some(mode) = change.updates {
        inbound::set_mode(&mut *tx, id, mode).await?;
    }
    let row = table::update(&mut tx, id, &settings, status).await?.ok_or_else(|| Error::not_found("bot"))?;
    tell(&mut tx, &row, "bot.updated", "update").await?;
    let change = Change { before: Some(public(&before)), after: Some(public(&row)), ..changed(&row, "bot.update") };
    record(&mut tx, caller, change).await?;
    tx.commit().await?;
    app.hints.give(Hint::Changed(id));
    Ok(row)
}

/// Replaces the token by another one of the same bot. Messages, history and settings stay.
pub async fn replace_token(app: &App, caller: &Caller, id: Uuid, token: SecretString) -> Result<BotRow> {
    let before = get(app, caller, id).await?;
    let bot = check_token(app, &token).await?;
    if bot.id != before.telegram_bot_id {
        return Err(Error::new(
            Code::BotMismatch,
            format!(
                "The token belongs to @{}, not to @{}. Connect it as a bot of its own.",
                bot.username, before.username
            ),
        ));
    }
    let sealed = seal(app, id, &token).await?;
    let mut tx = app.pool.begin().await?;
    let row = table::replace_token(&mut tx, id, &sealed, &bot.username, &bot.first_name)
        .await?
        .ok_or_else(|| Error::not_found("bot"))?;
    // The worker sets the webhook anew, with a secret that whoever had the former token does not know.
    inbound::forget_secrets(&mut *tx, id).await?;
    tell(&mut tx, &row, "bot.token_replaced", "replace_token").await?;
    let change =
        Change { before: Some(public(&before)), after: Some(public(&row)), ..changed(&row, "bot.replace_token") };
    record(&mut tx, caller, change).await?;
    tx.commit().await?;
    app.hints.give(Hint::Changed(id));
    Ok(row)
}

/// Disconnects a bot: what waits is cancelled, the token is erased; messages and logs stay.
pub async fn disconnect(app: &App, caller: &Caller, id: Uuid) -> Result<()> {
    let row = get(app, caller, id).await?;
    let with_webhook = !inbound::secret_hashes(&app.pool, id).await?.is_empty();
    let token = if with_webhook { unseal(app, id).await? } else { None };
    let mut tx = app.pool.begin().await?;
    if !table::delete(&mut tx, id).await? {
        return Err(Error::not_found("bot"));
    }
    let wake = telegram::channels::routing::sender_gone(&mut tx, id, app.channels.settings.failover).await?;
    messages::cancel_all(&mut tx, id, "sender_deleted").await?;
    tell(&mut tx, &row, "bot.disconnected", "disconnect").await?;
    let change = Change { before: Some(public(&row)), after: None, ..changed(&row, "bot.disconnect") };
    record(&mut tx, caller, change).await?;
    tx.commit().await?;
    app.hints.give(Hint::Changed(id));
    for sender in wake {
        app.hints.give(Hint::Work(sender));
    }
    if let Some(token) = token {
        tokio::spawn(remove_webhook(app.bot_api.clone(), token, id));
    }
    Ok(())
}

/// Takes the webhook of a bot that is gone away. The token is nowhere else any more, so a process that ends first leaves the webhook
/// to Telegram, whose deliveries are refused.
async fn remove_webhook(bot_api: BotApi, token: SecretString, id: Uuid) {
    for tries in 1..=8 {
        match bot_api.delete_webhook(&token, false).await {
            Err(error) if error.is_retryable() => {
                tracing::debug!(%error, bot_id = %id, "the webhook of a bot that is gone is still there");
                tokio::time::sleep(backoff(tries)).await;
            }
            // Done; or the token is dead, so that nothing is left to take away.
            _ => return,
        }
    }
    tracing::warn!(bot_id = %id, "the webhook of a bot that is gone could not be taken away; Telegram's deliveries are refused");
}

/// Writes event and log entry of a change.
async fn tell(
    tx: &mut sqlx::PgConnection,
    row: &BotRow,
    event: &str,
    action: &str,
) -> std::result::Result<(), sqlx::Error> {
    let data = json!({
        "status": row.status, "username": row.username, "telegram_bot_id": row.telegram_bot_id,
        "is_active": row.is_active,
    });
    events::insert(&mut *tx, row.user_id, event, row.id, &data).await?;
    let log = logs::NewLog {
        user_id: row.user_id,
        integration_type: "telegram_bot",
        action,
        error: None,
        details: Some(json!({ "bot_id": row.id, "username": row.username })),
    };
    logs::insert(tx, &log).await
}

fn changed<'a>(row: &BotRow, action: &'a str) -> Change<'a> {
    Change { action, resource_type: "bot", resource_id: row.id.to_string(), before: None, after: None }
}

/// What the audit keeps of a bot.
fn public(row: &BotRow) -> Value {
    json!({
        "user_id": row.user_id, "telegram_bot_id": row.telegram_bot_id, "username": row.username,
        "status": row.status, "settings": row.settings, "updates": row.updates.mode,
    })
}

/// JSON merge patch, RFC 7396.
pub(super) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(&key);
            } else {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_patches_follow_the_rfc() {
        // RFC 7396, appendix A.
        for (original, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut target = original.clone();
            merge(&mut target, patch.clone());
            assert_eq!(target, result, "{original} + {patch}");
        }
    }

    #[test]
    fn only_what_can_be_a_token_reaches_telegram() {
        assert!(has_token_form("123456789:AAF0123456789abcdefghijklmnopqrstuv"));
        for bad in [
            "",
            "123",
            "123:",
            "abc:AAF0123456789abcdefghijklmnopqrstuv",
            "1:short",
            "1:AAF0123456789abcdefghijklmnopqrst/../x",
            "1:AAF0123456789abcdefghijklmnop qrst",
        ] {
            assert!(!has_token_form(bad), "{bad}");
        }
    }
}
