//! Sending for a channel: who sends is chosen among its senders.

use platform::Message;
use serde_json::{Value, json};
use store::{
    idempotency,
    messages::{Accepted, MessageRow, NewMessage},
};
use telegram::channels::{ChannelRow, ChannelStatus, routing, senders};
use uuid::Uuid;

use super::{
    Caller,
    channel_settings::ChannelSettings,
    channels,
    idempotent::replay,
    send::{self, Key, SendText},
};
use crate::{Code, Error, Result, app::App, queue::Hint};

/// How often somebody else is chosen, when who was chosen can send no more at that moment.
const TRIES: usize = 4;

/// Accepts a message for a channel. Answers with the HTTP status and body, which a repeated request with the same key gets again.
pub async fn send(
    app: &App,
    caller: &Caller,
    channel_id: Uuid,
    message: SendText,
    key: Option<Key>,
) -> Result<(u16, Value)> {
    let channel = channels::get(app, caller, channel_id).await?;
    let priority = message.priority;
    let scheduled_at = send::check_schedule(message.scheduled_at)?;
    let message = prepare(&channel, message)?;
    let content = serde_json::to_value(&message).map_err(Error::internal)?;
    let status = if scheduled_at.is_some() { "scheduled" } else { "queued" };
    for _ in 0..TRIES {
        let Some(chosen) = choose(app, &channel, &message, &content).await? else { break };
        let id = Uuid::now_v7();
        let response = json!({
            "id": id, "status": status, "sender_id": chosen.sender_id, "channel_id": channel_id, "priority": priority,
            "scheduled_at": scheduled_at,
        });
        let new = NewMessage {
            id,
            caller: caller.identity.user_id,
            caller_is_admin: caller.is_admin(),
            route: "channel",
            sender_id: chosen.sender_id,
            channel_id: Some(channel_id),
            chat_id: Some(channel.channel_id),
            chat_name: None,
            kind: message.content.kind(),
            content: content.to_string(),
            priority: priority.rank(),
            scheduled_at,
            random_id: rand::random(),
            key: key.clone(),
            response: response.to_string(),
            request_id: caller.request_id.clone(),
            traceparent: caller.traceparent.clone(),
        };
        if app.accept.submit(new).await? == Accepted::Stored {
            if scheduled_at.is_none() {
                app.hints.give(Hint::Work(chosen.sender_id));
            }
            return Ok((202, response));
        }
        if let Some((key, hash)) = &key
            && let Some(state) = idempotency::find(&app.pool, caller.identity.user_id, key, hash).await?
        {
            return replay(state);
        }
    }
    // A repeated request gets its first answer also when nobody could send now.
    if let Some((key, hash)) = &key
        && let Some(state) = idempotency::find(&app.pool, caller.identity.user_id, key, hash).await?
    {
        return replay(state);
    }
    Err(nobody(app, caller, channel_id, &message).await?)
}

/// The message as it is stored: checked, with the defaults of the channel.
pub fn prepare(channel: &ChannelRow, mut message: SendText) -> Result<Message> {
    let settings = channel.settings.clone().unwrap_or_else(|| json!({}));
    let settings = ChannelSettings::read(&settings, None)?;
    message.silent = message.silent.or(Some(settings.silent));
    let mut message = send::check(message)?;
    settings.add_footer(&mut message)?;
    Ok(message)
}

/// Who sends it; `None` when nobody may now.
pub async fn choose(
    app: &App,
    channel: &ChannelRow,
    message: &Message,
    content: &Value,
) -> Result<Option<routing::Choice>> {
    let failover = app.channels.settings.failover;
    Ok(routing::choose(&app.pool, channel.id, message.content.kind(), content, failover).await?)
}

/// Fails when nobody can send a message of a channel again.
pub async fn require_sender(app: &App, caller: &Caller, channel_id: Uuid, row: &MessageRow) -> Result<()> {
    let gone = |_| Error::new(Code::Conflict, "The channel of this message is not connected any more.");
    channels::get(app, caller, channel_id).await.map_err(gone)?;
    let message: Message = serde_json::from_value(row.content.clone()).map_err(Error::internal)?;
    let failover = app.channels.settings.failover;
    match routing::choose(&app.pool, channel_id, &row.kind, &row.content, failover).await? {
        Some(_) => Ok(()),
        None => Err(nobody(app, caller, channel_id, &message).await?),
    }
}

/// Why nobody sends it.
pub async fn nobody(app: &App, caller: &Caller, channel_id: Uuid, message: &Message) -> Result<Error> {
    let channels::Details { channel, senders } = channels::details(app, caller, channel_id).await?;
    let reason = channel.status_reason.unwrap_or_default();
    if channel.status == ChannelStatus::Gone.name() {
        return Ok(Error::new(Code::ChannelInactive, format!("The chat does not exist any more: {reason}")));
    }
    if !channel.is_active {
        return Ok(Error::new(Code::ChannelInactive, "The channel is switched off: switch it on first."));
    }
    let able = |sender: &&senders::ChannelSender| sender.is_active && sender.state == "ok";
    let able: Vec<&senders::ChannelSender> = senders.iter().filter(able).collect();
    if able.is_empty() {
        let why = senders.iter().find_map(|sender| sender.reason.clone()).unwrap_or(reason);
        let why = if why.is_empty() { "It has no active sender: add or reconnect one.".to_owned() } else { why };
        return Ok(Error::new(Code::NoSender, format!("No sender of the channel can post. {why}")));
    }
    if !message.options.buttons.is_empty() && able.iter().all(|sender| sender.kind.as_deref() != Some("bot")) {
        let words = "Buttons can be sent by a bot only, and no bot sends for this channel: add one.";
        return Ok(Error::new(Code::UnsupportedBySender, words));
    }
    let kind = message.content.kind();
    let words = format!(
        "The chat lets no sender of the channel send this kind of content ({kind}): give one of them the right to."
    );
    Ok(Error::new(Code::NoSender, words))
}
