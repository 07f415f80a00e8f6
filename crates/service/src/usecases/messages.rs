//! Looking at messages, and deciding about them.

use store::{
    Slice, changes,
    messages::{self, AttemptRow, Change as MessageChange, MessageFilter, MessageRow},
};
use uuid::Uuid;

use super::{Caller, Change, record};
use crate::{Code, Error, Result, app::App, queue::Hint};

/// A part of the list of messages.
pub async fn list(app: &App, caller: &Caller, mut filter: MessageFilter, slice: Slice) -> Result<Vec<MessageRow>> {
    filter.user_id = caller.owner();
    Ok(messages::list(&app.pool, &filter, slice).await?)
}

/// A message with all that is known of it.
pub struct Details {
    /// The message.
    pub message: MessageRow,
    /// Every attempt, in order.
    pub attempts: Vec<AttemptRow>,
    /// Its ids at the platform, in the order of its parts.
    pub platform_ids: Vec<i64>,
    /// The public name of its chat, if that is known.
    pub chat_name: Option<String>,
}

/// One message with its attempts and parts.
pub async fn get(app: &App, caller: &Caller, id: Uuid) -> Result<Details> {
    let message = find(app, caller, id).await?;
    let attempts = messages::attempts(&app.pool, id).await?;
    let parts = changes::parts(&app.pool, id).await?;
    let mut platform_ids: Vec<i64> = parts.into_iter().filter_map(|part| part.platform_message_id).collect();
    if platform_ids.is_empty() {
        platform_ids.extend(message.platform_message_id);
    }
    let chat_name = match message.chat_id {
        Some(chat_id) if chat_id < 0 => changes::chat_name(&app.pool, &message).await?,
        _ => None,
    };
    Ok(Details { message, attempts, platform_ids, chat_name })
}

pub(super) async fn find(app: &App, caller: &Caller, id: Uuid) -> Result<MessageRow> {
    messages::find(&app.pool, id, caller.owner()).await?.ok_or_else(|| Error::not_found("message"))
}

/// Cancels, resends or dismisses a message, if its state allows it.
pub async fn change(app: &App, caller: &Caller, id: Uuid, change: MessageChange) -> Result<MessageRow> {
    let before = find(app, caller, id).await?;
    if change == MessageChange::Resend {
        match before.channel_id {
            // Whoever may send for the channel then.
            Some(channel_id) => super::channel_send::require_sender(app, caller, channel_id, &before).await?,
            None => super::send::require_sender(app, before.sender_id, before.user_id).await?,
        }
    }
    let mut tx = app.pool.begin().await?;
    let Some(row) = messages::change(&mut tx, id, change, rand::random()).await? else {
        return Err(refused(change, &before.status));
    };
    let entry = Change {
        action: match change {
            MessageChange::Cancel => "message.cancel",
            MessageChange::Resend => "message.resend",
            MessageChange::Dismiss => "message.dismiss",
        },
        resource_type: "message",
        resource_id: id.to_string(),
        before: Some(serde_json::json!({ "status": before.status })),
        after: Some(serde_json::json!({ "status": row.status })),
    };
    record(&mut tx, caller, entry).await?;
    tx.commit().await?;
    if change == MessageChange::Resend {
        app.hints.give(Hint::Work(row.sender_id));
    }
    Ok(row)
}

fn refused(change: MessageChange, status: &str) -> Error {
    let (code, allowed) = match change {
        MessageChange::Cancel => (Code::MessageNotCancellable, "scheduled or queued"),
        MessageChange::Resend => (Code::MessageNotResendable, "failed, unknown or cancelled"),
        MessageChange::Dismiss => (Code::MessageNotDismissable, "unknown"),
    };
    Error::new(code, format!("The message is `{status}`; this needs one that is {allowed}."))
}
