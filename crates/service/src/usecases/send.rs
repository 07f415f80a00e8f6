//! Accepting a message: checked as Telegram would check it, stored, and hinted at. 202 means that it is never lost.

use chrono::{DateTime, TimeDelta, Utc};
use platform::{Button, Content, Entity, LinkPreview, Message, Options, Priority, Text, TextContent};
use serde_json::{Value, json};
use store::{
    idempotency,
    messages::{Accepted, NewMessage},
};
use telegram::text::{self, ParseMode, TextError};
use uuid::Uuid;

use super::{Caller, idempotent::replay};
use crate::{Code, Error, Result, app::App, queue::Hint};

/// How far ahead a message may be scheduled.
const SCHEDULE_DAYS: i64 = 365;
/// Clocks differ: a time so little ago still means now.
const PAST_TOLERANCE: TimeDelta = TimeDelta::minutes(1);
const MAX_BUTTONS: usize = 100;
const MAX_BUTTONS_PER_ROW: usize = 8;
/// Settings of a sender, as JSON text.
const MAX_SETTINGS_BYTES: usize = 16 * 1024;

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatTarget {
    /// By numeric id.
    Id(i64),
    /// By public name, without `@`, lower case.
    Name(String),
}

/// A message as its caller describes it.
#[derive(Debug, Clone)]
pub struct SendText {
    /// Where it goes.
    pub chat: ChatTarget,
    /// The text, maybe with markup.
    pub text: String,
    /// How markup is written.
    pub parse_mode: Option<ParseMode>,
    /// Formatting, instead of markup.
    pub entities: Option<Vec<Entity>>,
    /// Platform id of the message that is answered.
    pub reply_to: Option<i64>,
    /// Deliver without a sound.
    pub silent: Option<bool>,
    /// Forbid forwarding and saving.
    pub protected: Option<bool>,
    /// How a link is previewed.
    pub link_preview: Option<LinkPreview>,
    /// Rows of inline buttons.
    pub buttons: Vec<Vec<Button>>,
    /// Which queue it waits in.
    pub priority: Priority,
    /// Not before this time.
    pub scheduled_at: Option<DateTime<Utc>>,
}

/// The key of a request and the hash of its body.
pub type Key = (String, Vec<u8>);

/// Accepts a message through a sender of the given kind. Answers with the HTTP status and body, which a repeated request with the
/// same key gets again.
pub async fn send(
    app: &App,
    caller: &Caller,
    route: &'static str,
    sender_id: Uuid,
    message: SendText,
    key: Option<Key>,
) -> Result<(u16, Value)> {
    let id = Uuid::now_v7();
    let scheduled_at = check_schedule(message.scheduled_at)?;
    let (chat_id, chat_name) = match message.chat.clone() {
        ChatTarget::Id(id) => (Some(id), None),
        ChatTarget::Name(name) => (None, Some(name)),
    };
    if route == "account" && !message.buttons.is_empty() {
        return Err(Error::invalid_field("/buttons", "cannot be sent by an account: send them through a bot"));
    }
    let priority = message.priority;
    let message = check(message)?;
    let status = if scheduled_at.is_some() { "scheduled" } else { "queued" };
    let response = json!({
        "id": id, "status": status, "sender_id": sender_id, "priority": priority, "scheduled_at": scheduled_at,
    });
    let new = NewMessage {
        id,
        caller: caller.identity.user_id,
        caller_is_admin: caller.is_admin(),
        route,
        sender_id,
        channel_id: None,
        chat_id,
        chat_name,
        kind: message.content.kind(),
        content: serde_json::to_string(&message).map_err(Error::internal)?,
        priority: priority.rank(),
        scheduled_at,
        random_id: rand::random(),
        key: key.clone(),
        response: response.to_string(),
        request_id: caller.request_id.clone(),
        traceparent: caller.traceparent.clone(),
    };
    match app.accept.submit(new).await? {
        Accepted::Stored => {
            if scheduled_at.is_none() {
                app.hints.give(Hint::Work(sender_id));
            }
            Ok((202, response))
        }
        Accepted::Refused => refused(app, caller, route, sender_id, key).await,
    }
}

/// Finds out why a message was not stored.
async fn refused(app: &App, caller: &Caller, route: &str, sender_id: Uuid, key: Option<Key>) -> Result<(u16, Value)> {
    require_visible(app, caller, route, sender_id).await?;
    let sender = store::senders::find(&app.pool, sender_id).await?.ok_or_else(|| Error::not_found(route))?;
    if let Some((key, hash)) = key
        && let Some(state) = idempotency::find(&app.pool, caller.identity.user_id, &key, &hash).await?
    {
        return replay(state);
    }
    if sender.is_active {
        // The state changed between the two looks.
        return Err(Error::new(Code::Conflict, "The sender changed at this moment. Try again."));
    }
    Err(inactive(&sender.status))
}

pub(super) fn inactive(status: &str) -> Error {
    let what = match status {
        "token_revoked" => "Telegram refuses the bot's token: replace it first.",
        "off" => "The sender is switched off: switch it on first.",
        _ => "The sender is not connected: reconnect it first.",
    };
    Error::new(Code::SenderInactive, what)
}

/// Fails with 404 when the caller sees no such sender.
pub async fn require_visible(app: &App, caller: &Caller, route: &str, sender_id: Uuid) -> Result<()> {
    let sender = store::senders::find(&app.pool, sender_id).await?;
    let visible = sender.is_some_and(|s| s.kind == route && caller.owner().is_none_or(|user| user == s.user_id));
    if visible { Ok(()) } else { Err(Error::not_found(route)) }
}

/// Fails when a sender that a message needs is gone or inactive.
pub async fn require_sender(app: &App, sender_id: Uuid, user_id: i32) -> Result<()> {
    match store::senders::find(&app.pool, sender_id).await? {
        Some(sender) if sender.user_id == user_id && sender.is_active => Ok(()),
        Some(sender) if sender.user_id == user_id => Err(inactive(&sender.status)),
        _ => Err(Error::new(Code::Conflict, "The sender of this message is not connected any more.")),
    }
}

pub(super) fn check_schedule(at: Option<DateTime<Utc>>) -> Result<Option<DateTime<Utc>>> {
    let Some(at) = at else { return Ok(None) };
    let now = Utc::now();
    if at > now + TimeDelta::days(SCHEDULE_DAYS) {
        return Err(Error::invalid_field("/scheduled_at", format!("must be at most {SCHEDULE_DAYS} days ahead")));
    }
    if at < now - PAST_TOLERANCE {
        return Err(Error::invalid_field("/scheduled_at", "must not be in the past; leave it out to send at once"));
    }
    Ok((at > now).then_some(at))
}

/// Checks the content as Telegram would, so that a bad message is refused now and not when its turn comes.
pub(super) fn check(message: SendText) -> Result<Message> {
    let text = match (message.parse_mode, message.entities) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid_field("/entities", "cannot be combined with `parse_mode`: send one of the two"));
        }
        (Some(mode), None) => text::parse(&message.text, mode, text::MAX_MESSAGE),
        (None, entities) => {
            let plain = Text { text: message.text, entities: entities.unwrap_or_default() };
            text::validate(plain, text::MAX_MESSAGE)
        }
    };
    let text = text.map_err(|error| text_error(&error))?;
    check_buttons(&message.buttons)?;
    if let Some(url) = message.link_preview.as_ref().and_then(|preview| preview.url.as_ref()) {
        check_url("/link_preview/url", url, &["http", "https"])?;
    }
    if message.reply_to.is_some_and(|id| id < 1 || id > i64::from(i32::MAX)) {
        return Err(Error::invalid_field("/reply_to_message_id", "must be the id of a message, 1 to 2147483647"));
    }
    Ok(Message {
        content: Content::Text(TextContent { text, link_preview: message.link_preview }),
        options: Options {
            reply_to: message.reply_to,
            topic: None,
            silent: message.silent.unwrap_or_default(),
            protected: message.protected.unwrap_or_default(),
            buttons: message.buttons,
        },
    })
}

fn text_error(error: &TextError) -> Error {
    let pointer = match error {
        TextError::Entity { index, .. } => format!("/entities/{index}"),
        TextError::TooManyEntities { .. } => "/entities".into(),
        _ => "/text".into(),
    };
    Error::invalid_field(pointer, error.to_string())
}

fn check_buttons(rows: &[Vec<Button>]) -> Result<()> {
    if rows.iter().map(Vec::len).sum::<usize>() > MAX_BUTTONS {
        return Err(Error::invalid_field("/buttons", format!("must hold at most {MAX_BUTTONS} buttons in all")));
    }
    for (y, row) in rows.iter().enumerate() {
        if row.is_empty() || row.len() > MAX_BUTTONS_PER_ROW {
            return Err(Error::invalid_field(
                format!("/buttons/{y}"),
                format!("must hold 1 to {MAX_BUTTONS_PER_ROW} buttons"),
            ));
        }
        for (x, button) in row.iter().enumerate() {
            check_button(&format!("/buttons/{y}/{x}"), button)?;
        }
    }
    Ok(())
}

fn check_button(at: &str, button: &Button) -> Result<()> {
    if button.text.trim().is_empty() || button.text.chars().count() > 64 {
        return Err(Error::invalid_field(format!("{at}/text"), "must have 1 to 64 characters"));
    }
    match (&button.url, &button.callback_data) {
        (Some(url), None) => check_url(&format!("{at}/url"), url, &["http", "https", "tg"]),
        (None, Some(data)) if (1..=64).contains(&data.len()) => Ok(()),
        (None, Some(_)) => Err(Error::invalid_field(format!("{at}/callback_data"), "must have 1 to 64 bytes")),
        _ => Err(Error::invalid_field(at, "must have exactly one of `url` and `callback_data`")),
    }
}

fn check_url(at: &str, url: &str, schemes: &[&str]) -> Result<()> {
    let scheme = url.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    let good = url.len() <= 2048
        && !url.chars().any(|c| c.is_whitespace() || c.is_control())
        && scheme.is_some_and(|(scheme, rest)| schemes.contains(&scheme.as_str()) && !rest.is_empty());
    if good {
        return Ok(());
    }
    Err(Error::invalid_field(at, format!("must be an address with one of the schemes: {}", schemes.join(", "))))
}

/// Checks the settings of a sender: an object of moderate size, whose content is its owner's.
pub fn check_settings(settings: &Value) -> Result<()> {
    if !settings.is_object() {
        return Err(Error::invalid_field("/settings", "must be an object"));
    }
    if settings.to_string().len() > MAX_SETTINGS_BYTES {
        return Err(Error::invalid_field("/settings", format!("must have at most {MAX_SETTINGS_BYTES} bytes as JSON")));
    }
    Ok(())
}
