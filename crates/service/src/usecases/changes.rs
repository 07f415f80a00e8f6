//! What a caller does with a message that it has sent, or that still waits: changing what it says, taking it back, pinning it, forwarding it.

use std::time::Duration;

use platform::{Button, Change as Sent, ChangeSent, Content, LinkPreview, Message, Priority};
use serde_json::{Value, json};
use sqlx::PgPool;
use store::{
    changes::{self, Done},
    messages::{self, MessageRow},
};
use telegram::{media::text_of, text};
use uuid::Uuid;

use super::{
    Caller, Change, channel_send,
    content::{self, SenderKind, options, unsupported},
    draft::{ChatId, ForwardDraft, SendMessage, TextDraft},
    messages::find,
    record,
    send::{self, Sending},
};
use crate::{
    Code, Error, Result,
    app::App,
    questions::{Answer, Question, Questions},
};

/// How long the owner of a sender and Telegram may take.
const ASK_WITHIN: Duration = Duration::from_secs(20);
/// A change that its process could not finish stands in the way of others for so long.
const RESERVED_SECONDS: f64 = 30.0;
/// The first id of supergroups and channels, whose messages have the same ids for everybody.
const SHARED_IDS: i64 = -1_000_000_000_000;

/// What a message is to say from now on. What is not given stays as it is.
#[derive(Debug, Default)]
pub struct Edit {
    /// The text of a text message.
    pub text: Option<String>,
    /// What is written below a medium; an empty one takes it away.
    pub caption: Option<String>,
    /// How the formatting of either is given.
    pub formatting: TextDraft,
    /// The buttons; an empty list takes them away.
    pub buttons: Option<Vec<Vec<Button>>>,
    /// How a link is previewed.
    pub link_preview: Option<LinkPreview>,
}

/// Where a message is forwarded to.
#[derive(Debug)]
pub struct Forwarding {
    /// The chat.
    pub chat_id: ChatId,
    /// Through this sender, instead of the one that sent it.
    pub via: Option<Uuid>,
    /// Without saying where it comes from.
    pub as_copy: bool,
    /// The topic of a forum.
    pub topic_id: Option<i64>,
    /// Deliver without a sound.
    pub silent: Option<bool>,
    /// Forbid forwarding and saving.
    pub protected: Option<bool>,
    /// Which of the sender's queues it waits in.
    pub priority: Priority,
    /// Not before this time.
    pub scheduled_at: Option<chrono::DateTime<chrono::Utc>>,
    /// The `Idempotency-Key`.
    pub key: Option<String>,
}

/// Fails with 404 when the caller sees no such message.
pub async fn require(app: &App, caller: &Caller, id: Uuid) -> Result<()> {
    find(app, caller, id).await.map(drop)
}

/// Changes what a message says: in its row while it waits, at Telegram once it was sent.
pub async fn edit(app: &App, caller: &Caller, id: Uuid, edit: Edit) -> Result<MessageRow> {
    let before = find(app, caller, id).await?;
    let mut message: Message = serde_json::from_value(before.content.clone()).map_err(Error::internal)?;
    let kind = sender_kind(app, &before).await?;
    let says_more = edit.text.is_some() || edit.caption.is_some();
    apply(&mut message, edit, kind)?;
    if let Some(channel_id) = before.channel_id.filter(|_| says_more) {
        channel_send::add_footer(app, caller, channel_id, &mut message).await?;
    }
    let content = serde_json::to_value(&message).map_err(Error::internal)?;
    if matches!(before.status.as_str(), "scheduled" | "queued") {
        let mut tx = app.pool.begin().await?;
        if let Some(row) = changes::rewrite(&mut tx, id, &before.content, &content).await? {
            record(&mut tx, caller, entry("message.edit", &before, &row)).await?;
            tx.commit().await?;
            return Ok(row);
        }
        drop(tx);
        let now = find(app, caller, id).await?;
        if now.content != before.content {
            return Err(changed_meanwhile());
        }
        if now.status == before.status {
            return Err(may_have_arrived());
        }
        return change_sent(app, caller, now, Sent::Edit(Box::new(message)), Done::Edited(content)).await;
    }
    change_sent(app, caller, before, Sent::Edit(Box::new(message)), Done::Edited(content)).await
}

/// What this request would not change could else be what it was before the other one.
fn changed_meanwhile() -> Error {
    let detail = "The message is being changed by another request at this moment. Repeat this one.";
    Error::new(Code::MessageBusy, detail).with_retry_after(Duration::from_secs(1))
}

/// The next attempt of an account is recognised by Telegram if the last one arrived: it must be the same.
fn may_have_arrived() -> Error {
    let detail = "An attempt to send the message had no answer, so that it may have arrived. Wait for the next one.";
    Error::new(Code::MessageBusy, detail).with_retry_after(Duration::from_secs(5))
}

/// Takes a message back: one that waits is cancelled, one that was sent is deleted at Telegram with all its parts.
pub async fn delete(app: &App, caller: &Caller, id: Uuid) -> Result<MessageRow> {
    let row = find(app, caller, id).await?;
    if row.deleted_at.is_some() {
        return Ok(row);
    }
    if matches!(row.status.as_str(), "scheduled" | "queued") {
        if row.attempts > 0 && store::delivery::may_have_arrived(&app.pool, id).await? {
            return Err(may_have_arrived());
        }
        match super::messages::change(app, caller, id, messages::Change::Cancel).await {
            Err(error) if error.code == Code::MessageNotCancellable => {}
            cancelled => return cancelled,
        }
    }
    let row = find(app, caller, id).await?;
    change_sent(app, caller, row, Sent::Delete, Done::Deleted).await
}

/// Pins a message in its chat, or takes the pin away.
pub async fn pin(app: &App, caller: &Caller, id: Uuid, pinned: bool, silent: bool) -> Result<MessageRow> {
    let row = find(app, caller, id).await?;
    let change = if pinned { Sent::Pin { silent } } else { Sent::Unpin };
    change_sent(app, caller, row, change, Done::Pinned(pinned)).await
}

/// Accepts a new message that forwards this one.
pub async fn forward(app: &App, caller: &Caller, id: Uuid, to: Forwarding) -> Result<(u16, Value)> {
    let row = find(app, caller, id).await?;
    let (from_chat_id, message_ids) = place(&app.pool, &row).await?;
    let sender_id = to.via.unwrap_or(row.sender_id);
    let sender = store::senders::find(&app.pool, sender_id).await?;
    let sender = sender.filter(|sender| caller.owner().is_none_or(|user| user == sender.user_id)).ok_or_else(|| {
        let field = Error::invalid_field("/via", "is no sender of yours");
        if to.via.is_some() {
            field
        } else {
            Error::new(Code::Conflict, "The sender of this message is not connected any more.")
        }
    })?;
    if sender_id != row.sender_id && from_chat_id > SHARED_IDS {
        let who =
            "only the sender that sent it can, since in this chat every member has numbers of its own for a message";
        return Err(unsupported("/via", "does not see the message under this number", who));
    }
    let route = if sender.kind == "account" { "account" } else { "bot" };
    let draft = SendMessage {
        chat_id: Some(to.chat_id),
        forward: Some(ForwardDraft { from_chat_id, message_ids, as_copy: to.as_copy }),
        topic_id: to.topic_id,
        silent: to.silent,
        protected: to.protected,
        priority: to.priority,
        scheduled_at: to.scheduled_at,
        ..SendMessage::default()
    };
    let sending = Sending { draft, attached: std::collections::HashMap::new(), key: to.key };
    let (status, body) = send::send(app, caller, route, sender_id, sending).await?;
    let mut db = app.pool.acquire().await?;
    let entry = Change {
        action: "message.forward",
        resource_type: "message",
        resource_id: id.to_string(),
        before: None,
        after: Some(json!({ "id": body["id"], "sender_id": sender_id })),
    };
    record(&mut db, caller, entry).await?;
    Ok((status, body))
}

/// Puts an edit into a message, checked as the message itself was.
fn apply(message: &mut Message, edit: Edit, kind: SenderKind) -> Result<()> {
    let Edit { text, caption, formatting, buttons, link_preview } = edit;
    if text.is_none() && caption.is_none() && buttons.is_none() && link_preview.is_none() {
        return Err(Error::invalid_field(
            "",
            "must have at least one of `text`, `caption`, `buttons` and `link_preview`",
        ));
    }
    let is_text = matches!(message.content, Content::Text(_));
    if let Some(buttons) = buttons {
        options::check_buttons(&buttons)?;
        if kind == SenderKind::Account && !buttons.is_empty() {
            return Err(unsupported("/buttons", "is an account, which cannot send buttons", "a bot can"));
        }
        if matches!(message.content, Content::Album(_)) && !buttons.is_empty() {
            return Err(Error::invalid_field("/buttons", "cannot be sent with an album"));
        }
        message.options.buttons = buttons;
    }
    if let Some(preview) = link_preview {
        content::check_preview(&preview)?;
        match &mut message.content {
            Content::Text(content) => content.link_preview = Some(preview),
            _ => return Err(Error::invalid_field("/link_preview", "goes with a text only")),
        }
    }
    let new = match (text, caption) {
        (Some(_), Some(_)) => return Err(Error::invalid_field("/caption", "cannot be combined with `text`")),
        (Some(text), None) if is_text => {
            let draft = TextDraft { text: Some(text), ..formatting };
            content::parse_text(draft, "", "text", text::MAX_MESSAGE)?
        }
        (Some(_), None) => {
            return Err(Error::invalid_field("/text", "is for text messages: this one has a `caption`, or neither"));
        }
        (None, Some(_)) if is_text => {
            return Err(Error::invalid_field("/caption", "is for media: this one has a `text`"));
        }
        (None, Some(caption)) => content::parse_caption(TextDraft { text: Some(caption), ..formatting }, "")?,
        (None, None) => return Ok(()),
    };
    match text_of(&mut message.content) {
        Some(target) => *target = new,
        None => return Err(Error::invalid_field("/caption", "cannot be given to a message of this kind")),
    }
    Ok(())
}

async fn sender_kind(app: &App, row: &MessageRow) -> Result<SenderKind> {
    let sender = store::senders::find(&app.pool, row.sender_id).await?;
    Ok(match sender.as_ref().map(|sender| sender.kind.as_str()) {
        Some("account") => SenderKind::Account,
        Some(_) => SenderKind::Bot,
        None => SenderKind::Any,
    })
}

/// Where a message that was sent is: its chat, and its ids there.
async fn place(pool: &PgPool, row: &MessageRow) -> Result<(i64, Vec<i64>)> {
    if row.deleted_at.is_some() {
        return Err(Error::new(Code::MessageGone, "The message was deleted."));
    }
    if row.status == "sending" {
        let busy = Error::new(Code::MessageBusy, "The message is being sent at this moment.");
        return Err(busy.with_retry_after(Duration::from_secs(1)));
    }
    if row.status != "sent" {
        return Err(Error::new(
            Code::MessageNotSent,
            format!("The message is `{}`, so there is nothing at Telegram.", row.status),
        ));
    }
    let parts: Vec<i64> =
        changes::parts(pool, row.id).await?.into_iter().filter_map(|part| part.platform_message_id).collect();
    let ids = if parts.is_empty() { row.platform_message_id.into_iter().collect() } else { parts };
    match (row.chat_id, ids.is_empty()) {
        (Some(chat_id), false) => Ok((chat_id, ids)),
        _ => Err(Error::new(
            Code::MessageNotSent,
            "Telegram has the message, but its id there is not known: the answer to the attempt that sent it was lost.",
        )),
    }
}

/// Changes a message at Telegram, and then its row.
async fn change_sent(app: &App, caller: &Caller, before: MessageRow, change: Sent, done: Done) -> Result<MessageRow> {
    change_at_telegram(&app.pool, &app.questions, &before, change, &done).await?;
    finish(app, caller, before, &done).await
}

/// Changes a message at Telegram; writing that down is the caller's. A refusal is in the log.
///
/// # Errors
/// There is nothing to change, somebody else changes it, Telegram refused, or did not answer.
pub(crate) async fn change_at_telegram(
    pool: &PgPool,
    questions: &Questions,
    before: &MessageRow,
    change: Sent,
    done: &Done,
) -> Result<()> {
    let (chat_id, message_ids) = place(pool, before).await?;
    if matches!(change, Sent::Edit(ref message) if matches!(message.content, Content::Forward(_))) {
        return Err(Error::new(Code::MessageLocked, "A forwarded message cannot be edited."));
    }
    if !changes::begin(pool, before.id, &before.content, RESERVED_SECONDS).await? {
        return Err(changed_meanwhile());
    }
    let question = Question::Change(ChangeSent { chat_id, message_ids, change });
    let answer = questions.ask(before.sender_id, &question, ASK_WITHIN).await;
    let refusal = match answer {
        Ok(Answer::Done) => return Ok(()),
        Ok(Answer::Refused { code, description, .. }) => refused(&code, &description),
        Ok(_) => Error::internal("a change was asked for, and something else was answered"),
        Err(error) => error,
    };
    if let Err(error) = changes::abandon(pool, before.id).await {
        tracing::warn!(%error, message_id = %before.id, "a message stays reserved for half a minute");
    }
    if refusal.code.status().is_client_error() {
        let mut db = pool.acquire().await?;
        changes::refused(&mut db, before, done, &refusal.detail).await?;
    }
    Err(refusal)
}

async fn finish(app: &App, caller: &Caller, before: MessageRow, done: &Done) -> Result<MessageRow> {
    let mut tx = app.pool.begin().await?;
    let row = changes::finish(&mut tx, before.id, done).await?.ok_or_else(|| Error::not_found("message"))?;
    let action = match done {
        Done::Edited(_) => "message.edit",
        Done::Deleted => "message.delete",
        Done::Pinned(true) => "message.pin",
        Done::Pinned(false) => "message.unpin",
    };
    record(&mut tx, caller, entry(action, &before, &row)).await?;
    tx.commit().await?;
    Ok(row)
}

fn entry<'a>(action: &'a str, before: &MessageRow, after: &MessageRow) -> Change<'a> {
    let state =
        |row: &MessageRow| json!({ "content": row.content, "pinned": row.pinned, "deleted_at": row.deleted_at });
    Change {
        action,
        resource_type: "message",
        resource_id: after.id.to_string(),
        before: Some(state(before)),
        after: Some(state(after)),
    }
}

/// What Telegram's refusal means for the caller.
fn refused(code: &str, description: &str) -> Error {
    match code {
        "message_not_found" => {
            Error::new(Code::MessageGone, format!("Telegram has no such message any more: {description}"))
        }
        "message_locked" => {
            Error::new(Code::MessageLocked, format!("Telegram does not let the message be changed: {description}"))
        }
        "not_enough_rights" | "forbidden" | "kicked_from_chat" | "blocked_by_user" | "not_member" => {
            Error::new(Code::ChatForbidden, format!("The sender may not do that in this chat: {description}"))
        }
        "chat_not_found" => {
            Error::new(Code::ChatNotFound, format!("Telegram shows the sender no such chat: {description}"))
        }
        _ => Error::new(Code::TelegramRefused, format!("Telegram refused that: {description}")),
    }
}
