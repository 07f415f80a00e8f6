//! Accepting a message: checked as Telegram would check it, stored, and hinted at. 202 means that it is never lost.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use platform::{FileRef, Message, Priority};
use serde_json::{Value, json};
use store::{
    group::GroupError,
    idempotency,
    messages::{self, Accepted, NewMessage, NewPart},
};
use uuid::Uuid;

use super::{
    Caller,
    content::{self, SenderKind, media::Shelf},
    draft::{ChatId, SendMessage},
    idempotent::{body_hash, replay},
};
use crate::{Code, Error, Result, app::App, queue::Hint};

/// How far ahead a message may be scheduled.
const SCHEDULE_DAYS: i64 = 365;
/// Clocks differ: a time so little ago still means now.
const PAST_TOLERANCE: TimeDelta = TimeDelta::minutes(1);
/// Ids of chats have at most 52 significant bits.
const MAX_CHAT_ID: u64 = 1 << 52;
/// Settings of a sender, as JSON text.
const MAX_SETTINGS_BYTES: usize = 16 * 1024;

/// The key of a request and the hash of its body.
pub(super) type Key = (String, Vec<u8>);

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ChatTarget {
    /// By numeric id.
    Id(i64),
    /// By public name, without `@`, lower case.
    Name(String),
}

/// A message that somebody wants to send.
#[derive(Debug)]
pub struct Sending {
    /// What it says.
    pub draft: SendMessage,
    /// The files that came with the request, by the names of their parts.
    pub attached: HashMap<String, FileRef>,
    /// The `Idempotency-Key`.
    pub key: Option<String>,
}

/// A message that was checked, or several that a long text became.
pub(super) struct Prepared {
    pub messages: Vec<Message>,
    pub key: Option<Key>,
    pub priority: Priority,
    pub scheduled_at: Option<DateTime<Utc>>,
    split: bool,
}

/// What became of checking.
pub(super) enum Ready {
    /// It was sent before, with this answer.
    Repeated((u16, Value)),
    /// It can be sent.
    New(Prepared),
}

/// The way of a message.
pub(super) struct Through {
    pub route: &'static str,
    pub sender_id: Uuid,
    pub channel_id: Option<Uuid>,
    pub chat: ChatTarget,
}

/// Accepts a message through a sender of the given kind. Answers with the HTTP status and body, which a repeated request with the
/// same key gets again.
pub async fn send(
    app: &App,
    caller: &Caller,
    route: &'static str,
    sender_id: Uuid,
    sending: Sending,
) -> Result<(u16, Value)> {
    let kind = if route == "account" { SenderKind::Account } else { SenderKind::Bot };
    let through = Through { route, sender_id, channel_id: None, chat: destination(&sending.draft)? };
    let prepared = match prepare(app, caller, sender_id, kind, sending).await? {
        Ready::Repeated(answer) => return Ok(answer),
        Ready::New(prepared) => prepared,
    };
    match prepared.offer(app, caller, &through).await? {
        Some(response) => Ok((202, response)),
        None => refused(app, caller, route, sender_id, prepared.key).await,
    }
}

/// Checks what somebody wants to send. `of` is the sender or channel that a repeated request has to name again.
pub(super) async fn prepare(app: &App, caller: &Caller, of: Uuid, kind: SenderKind, sending: Sending) -> Result<Ready> {
    let Sending { mut draft, attached, key } = sending;
    let key = key.map(|key| (key, hash(of, &draft, &attached)));
    if let Some((key, hash)) = key.as_ref().filter(|_| draft.fetches()) {
        // A repeated request should not fetch again what may have changed or gone meanwhile.
        if let Some(state) = idempotency::find(&app.pool, caller.identity.user_id, key, hash).await? {
            return replay(state).map(Ready::Repeated);
        }
    }
    let scheduled_at = check_schedule(draft.scheduled_at)?;
    let (priority, split) = (draft.priority, draft.split.unwrap_or_default());
    let mut shelf = Shelf::new(&app.files, caller, kind, attached);
    let messages = content::messages(&mut draft, kind, &mut shelf).await?;
    shelf.check_all_named()?;
    Ok(Ready::New(Prepared { messages, key, priority, scheduled_at, split }))
}

impl Prepared {
    /// Stores it, and hints at it; `None` when it was not taken: the sender is not the caller's or not active, or the key is taken.
    pub async fn offer(&self, app: &App, caller: &Caller, through: &Through) -> Result<Option<Value>> {
        let parts = self.messages.iter().map(new_part).collect::<Result<Vec<_>>>()?;
        let ids: Vec<Uuid> = parts.iter().map(|part| part.id).collect();
        let id = ids.first().copied().ok_or_else(|| Error::internal("a message without parts"))?;
        let status = if self.scheduled_at.is_some() { "scheduled" } else { "queued" };
        let mut response = json!({
            "id": id, "status": status, "sender_id": through.sender_id, "priority": self.priority,
            "scheduled_at": self.scheduled_at,
        });
        if let Some(channel_id) = through.channel_id {
            response["channel_id"] = json!(channel_id);
        }
        if self.split {
            response["parts"] = json!(ids);
        }
        let (chat_id, chat_name) = match &through.chat {
            ChatTarget::Id(id) => (Some(*id), None),
            ChatTarget::Name(name) => (None, Some(name.clone())),
        };
        let new = NewMessage {
            id,
            parts,
            caller: caller.identity.user_id,
            caller_is_admin: caller.is_admin(),
            route: through.route,
            sender_id: through.sender_id,
            channel_id: through.channel_id,
            chat_id,
            chat_name,
            priority: self.priority.rank(),
            scheduled_at: self.scheduled_at,
            key: self.key.clone(),
            response: response.to_string(),
            request_id: caller.request_id.clone(),
            traceparent: caller.traceparent.clone(),
        };
        match app.accept.submit(new).await {
            Ok(Accepted::Stored) => {
                if self.scheduled_at.is_none() {
                    app.hints.give(Hint::Work(through.sender_id));
                }
                Ok(Some(response))
            }
            Ok(Accepted::Refused) => Ok(None),
            Err(GroupError::Database(error)) if messages::lacks_file(&error) => {
                let detail = "A file of the message was removed at this moment. Upload it again.";
                Err(Error::new(Code::FileGone, detail))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Tells whether a repeated request is the same one: files that came with it count by their content.
fn hash(sender_id: Uuid, draft: &SendMessage, attached: &HashMap<String, FileRef>) -> Vec<u8> {
    let route = sender_id.to_string();
    if attached.is_empty() {
        return body_hash(&route, draft);
    }
    let mut files: Vec<(&String, Uuid)> = attached.iter().map(|(part, file)| (part, file.id)).collect();
    files.sort();
    body_hash(&route, &(draft, files))
}

pub(crate) fn new_part(message: &Message) -> Result<NewPart> {
    let mut files: Vec<Uuid> =
        telegram::media::media_of(&message.content).iter().map(|(_, media)| media.file.id).collect();
    files.sort_unstable();
    files.dedup();
    Ok(NewPart {
        id: Uuid::now_v7(),
        kind: message.content.kind(),
        content: serde_json::to_string(message).map_err(Error::internal)?,
        random_id: rand::random(),
        files,
    })
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

/// Where a message that goes through a bot or an account is to go.
pub(super) fn destination(draft: &SendMessage) -> Result<ChatTarget> {
    target(draft.chat_id.as_ref().ok_or_else(|| Error::invalid_field("/chat_id", "is required"))?)
}

pub(crate) fn target(chat: &ChatId) -> Result<ChatTarget> {
    match chat {
        ChatId::Id(id) if *id != 0 && id.unsigned_abs() < MAX_CHAT_ID => Ok(ChatTarget::Id(*id)),
        ChatId::Id(_) => Err(Error::invalid_field("/chat_id", "must be the id of a chat: not 0 and below 2^52")),
        ChatId::Name(name) => {
            let bare = name.strip_prefix('@').unwrap_or_default();
            let good = (4..=32).contains(&bare.len())
                && bare.starts_with(|c: char| c.is_ascii_alphabetic())
                && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if good {
                return Ok(ChatTarget::Name(bare.to_ascii_lowercase()));
            }
            let hint =
                "must be a number, or the public name of a channel or group: `@` and 4 to 32 letters, digits or _";
            Err(Error::invalid_field("/chat_id", hint))
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_are_numbers_or_names() {
        assert_eq!(target(&ChatId::Id(-100_123)).unwrap(), ChatTarget::Id(-100_123));
        assert_eq!(target(&ChatId::Name("@News_24".into())).unwrap(), ChatTarget::Name("news_24".into()));
        for bad in ["news", "@", "@abc", "@1news", "@ne ws", "@новости", "123"] {
            assert!(target(&ChatId::Name(bad.into())).is_err(), "{bad}");
        }
        for bad in [0, i64::MAX, i64::MIN, 1 << 52] {
            assert!(target(&ChatId::Id(bad)).is_err(), "{bad}");
        }
    }
}
