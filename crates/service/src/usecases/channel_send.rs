//! Sending for a channel: who sends is chosen among its senders.

use platform::{Content, Message, TextContent};
use serde_json::{Value, json};
use store::{idempotency, messages::MessageRow};
use telegram::channels::{ChannelRow, ChannelStatus, routing, senders};
use uuid::Uuid;

use super::{
    Caller,
    channel_settings::ChannelSettings,
    channels,
    content::SenderKind,
    idempotent::replay,
    send::{self, ChatTarget, Key, Ready, Sending, Through},
};
use crate::{Code, Error, Result, app::App};

/// How often somebody else is chosen, when who was chosen can send no more at that moment.
const TRIES: usize = 4;

/// Accepts a message for a channel. Answers with the HTTP status and body, which a repeated request with the same key gets again.
pub async fn send(app: &App, caller: &Caller, channel: &ChannelRow, sending: Sending) -> Result<(u16, Value)> {
    let prepared = match prepare(app, caller, channel, sending).await? {
        Ready::Repeated(answer) => return Ok(answer),
        Ready::New(prepared) => prepared,
    };
    // Where a text became several messages, the last one needs most: it has the buttons.
    let message = prepared.messages.last().cloned().ok_or_else(|| Error::internal("a message without parts"))?;
    let content = serde_json::to_value(&message).map_err(Error::internal)?;
    for _ in 0..TRIES {
        let Some(chosen) = choose(app, channel, &message, &content).await? else { break };
        let chat = ChatTarget::Id(channel.channel_id);
        let through = Through { route: "channel", sender_id: chosen.sender_id, channel_id: Some(channel.id), chat };
        if let Some(response) = prepared.offer(app, caller, &through).await? {
            return Ok((202, response));
        }
        if let Some(answer) = repeated(app, caller, prepared.key.as_ref()).await? {
            return Ok(answer);
        }
    }
    // A repeated request gets its first answer also when nobody could send now.
    match repeated(app, caller, prepared.key.as_ref()).await? {
        Some(answer) => Ok(answer),
        None => Err(nobody(app, caller, channel.id, &message).await?),
    }
}

/// What the channel wants of a message that does not say otherwise.
pub(crate) fn add_defaults_to(channel: &ChannelRow, message: &mut Message) -> Result<()> {
    let settings = channel.settings.clone().unwrap_or_else(|| json!({}));
    let settings = ChannelSettings::read(&settings, None)?;
    message.options.silent |= settings.silent;
    settings.add_footer(message)
}

/// Checks a message for a channel, and gives it what the channel wants.
pub(super) async fn prepare(app: &App, caller: &Caller, channel: &ChannelRow, sending: Sending) -> Result<Ready> {
    if sending.draft.chat_id.is_some() {
        return Err(Error::invalid_field("/chat_id", "must be left out: the channel is the destination"));
    }
    let settings = channel.settings.clone().unwrap_or_else(|| json!({}));
    let settings = ChannelSettings::read(&settings, None)?;
    let silent = sending.draft.silent;
    let mut ready = send::prepare(app, caller, channel.id, SenderKind::Any, sending).await?;
    if let Ready::New(prepared) = &mut ready {
        add_defaults(&settings, silent, &mut prepared.messages)?;
    }
    Ok(ready)
}

async fn repeated(app: &App, caller: &Caller, key: Option<&Key>) -> Result<Option<(u16, Value)>> {
    let Some((key, hash)) = key else { return Ok(None) };
    let state = idempotency::find(&app.pool, caller.identity.user_id, key, hash).await?;
    state.map(replay).transpose()
}

/// What the channel wants of every message that does not say otherwise. The footer stands below the last one; where a long text leaves no
/// room for it there, it follows.
fn add_defaults(settings: &ChannelSettings, silent: Option<bool>, messages: &mut Vec<Message>) -> Result<()> {
    for message in messages.iter_mut() {
        message.options.silent = silent.unwrap_or(settings.silent);
    }
    let is_split = messages.len() > 1;
    let Some(last) = messages.last_mut() else { return Ok(()) };
    match settings.add_footer(last) {
        Err(_) if is_split => {
            let mut footer = last.clone();
            last.options.buttons.clear();
            footer.content = Content::Text(TextContent::default());
            settings.add_footer(&mut footer)?;
            messages.push(footer);
            Ok(())
        }
        added => added,
    }
}

/// Puts the channel's footer below a text that was changed; a channel that is connected no more has none.
pub async fn add_footer(app: &App, caller: &Caller, channel_id: Uuid, message: &mut Message) -> Result<()> {
    match channels::get(app, caller, channel_id).await {
        Ok(channel) => {
            let settings = channel.settings.unwrap_or_else(|| json!({}));
            ChannelSettings::read(&settings, None)?.add_footer(message)
        }
        Err(error) if error.code == Code::NotFound => Ok(()),
        Err(error) => Err(error),
    }
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
