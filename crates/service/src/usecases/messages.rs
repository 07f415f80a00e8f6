//! Looking at messages, and deciding about them.

use store::{
    Slice,
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

/// One message with its attempts.
pub async fn get(app: &App, caller: &Caller, id: Uuid) -> Result<(MessageRow, Vec<AttemptRow>)> {
    let message = find(app, caller, id).await?;
    let attempts = messages::attempts(&app.pool, id).await?;
    Ok((message, attempts))
}

async fn find(app: &App, caller: &Caller, id: Uuid) -> Result<MessageRow> {
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
