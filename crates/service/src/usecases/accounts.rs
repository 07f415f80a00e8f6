//! Looking after accounts.

use std::time::Duration;

use serde_json::{Map, Value, json};
use store::{Slice, events, messages};
use telegram::{
    accounts::{AccountFilter, AccountRow, AccountStatus, Client, table},
    mtproto::account::Chat,
};
use uuid::Uuid;

use super::{
    Caller, Change,
    bots::merge,
    logins::{Begin, Method},
    record,
    send::check_settings,
};
use crate::{
    Code, Error, Result,
    app::App,
    questions::{Answer, Question},
    queue::Hint,
};

/// How many dialogs are read at most.
const DIALOGS: usize = 500;
/// How long the owner of an account may take to answer.
const ASK_WITHIN: Duration = Duration::from_secs(20);

/// One account.
pub async fn get(app: &App, caller: &Caller, id: Uuid) -> Result<AccountRow> {
    table::find(&app.pool, id, caller.owner()).await?.ok_or_else(|| Error::not_found("account"))
}

/// A part of the list of accounts.
pub async fn list(app: &App, caller: &Caller, mut filter: AccountFilter, slice: Slice) -> Result<Vec<AccountRow>> {
    filter.user_id = caller.owner();
    Ok(table::list(&app.pool, &filter, slice).await?)
}

/// What to change of an account.
#[derive(Debug, Default)]
pub struct Update {
    /// A merge patch of the metadata.
    pub metadata: Option<Map<String, Value>>,
    /// A merge patch of the settings.
    pub settings: Option<Map<String, Value>>,
    /// On or off.
    pub is_active: Option<bool>,
}

/// Changes metadata and settings, and switches the account on or off.
pub async fn update(app: &App, caller: &Caller, id: Uuid, update: Update) -> Result<AccountRow> {
    let before = get(app, caller, id).await?;
    let dead = before.status == AccountStatus::NeedsLogin.name() || before.status == AccountStatus::Banned.name();
    let status = match update.is_active {
        Some(true) if dead => {
            return Err(Error::new(Code::Conflict, "The account's session is dead: reconnect it to switch it on."));
        }
        Some(true) if before.is_active => None,
        Some(true) => Some(AccountStatus::Connecting),
        Some(false) => Some(AccountStatus::Off),
        None => None,
    };
    let patched = |before: &Option<Value>, patch: Option<Map<String, Value>>| {
        let mut value = before.clone().unwrap_or_else(|| json!({}));
        merge(&mut value, Value::Object(patch.unwrap_or_default()));
        check_settings(&value).map(|()| value)
    };
    let metadata = patched(&before.metadata, update.metadata)?;
    let settings = patched(&before.settings, update.settings)?;
    let mut tx = app.pool.begin().await?;
    let row =
        table::update(&mut tx, id, &metadata, &settings, status).await?.ok_or_else(|| Error::not_found("account"))?;
    if let Some(status) = status {
        table::tell(&mut tx, row.user_id, id, status, None, None).await?;
    }
    let entry = change(id, "account.update", Some(public(&before)), Some(public(&row)));
    record(&mut tx, caller, entry).await?;
    tx.commit().await?;
    if status.is_some() {
        app.hints.give(Hint::Changed(id));
    }
    Ok(row)
}

/// Disconnects an account: what waits is cancelled; the session is logged out at Telegram, with retries, and then erased.
pub async fn disconnect(app: &App, caller: &Caller, id: Uuid) -> Result<()> {
    let row = get(app, caller, id).await?;
    let mut tx = app.pool.begin().await?;
    if !table::request_delete(&mut tx, id).await? {
        return Err(Error::not_found("account"));
    }
    let wake = telegram::channels::routing::sender_gone(&mut tx, id, app.channels.settings.failover).await?;
    messages::cancel_all(&mut tx, id, "sender_deleted").await?;
    let data = json!({ "status": "disconnected", "telegram_user_id": row.telegram_user_id });
    events::insert(&mut *tx, row.user_id, "account.disconnected", id, &data).await?;
    let log = store::logs::NewLog {
        user_id: row.user_id,
        integration_type: "telegram_account",
        action: "disconnect",
        error: None,
        details: Some(json!({ "account_id": id })),
    };
    store::logs::insert(&mut *tx, &log).await?;
    record(&mut tx, caller, change(id, "account.disconnect", Some(public(&row)), None)).await?;
    tx.commit().await?;
    app.hints.give(Hint::Changed(id));
    for sender in wake {
        app.hints.give(Hint::Work(sender));
    }
    Ok(())
}

/// What came of a wish to reconnect.
pub enum Reconnected {
    /// The session lives: the account is or will be connected.
    Alive(Box<AccountRow>),
    /// The session is dead: this login revives the account.
    Login(Uuid),
}

/// Revives an account: connects it if its session lives, else begins a login for the same row.
pub async fn reconnect(app: &App, caller: &Caller, id: Uuid, method: Method) -> Result<Reconnected> {
    let row = get(app, caller, id).await?;
    if row.is_active {
        app.hints.give(Hint::Changed(id));
        return Ok(Reconnected::Alive(Box::new(row)));
    }
    if row.status == AccountStatus::Off.name() {
        let on = Update { is_active: Some(true), ..Update::default() };
        return update(app, caller, id, on).await.map(|row| Reconnected::Alive(Box::new(row)));
    }
    let client: Client = serde_json::from_value(row.client.clone()).map_err(Error::internal)?;
    let login = super::logins::begin(app, caller, Begin { method, client, account_id: Some(id) }).await?;
    Ok(Reconnected::Login(login))
}

/// What the account could post to. Answered by the process that has the account connected.
pub async fn dialogs(app: &App, caller: &Caller, id: Uuid) -> Result<Vec<Chat>> {
    let row = get(app, caller, id).await?;
    if !row.is_active {
        return Err(Error::new(Code::SenderInactive, "The account is not connected: reconnect it first."));
    }
    match app.questions.ask(id, &Question::Dialogs { limit: DIALOGS }, ASK_WITHIN).await? {
        Answer::Dialogs(chats) => Ok(chats),
        _ => Err(Error::internal("dialogs were asked for, and something else was answered")),
    }
}

fn change(id: Uuid, action: &str, before: Option<Value>, after: Option<Value>) -> Change<'_> {
    Change { action, resource_type: "account", resource_id: id.to_string(), before, after }
}

/// What the audit keeps of an account.
fn public(row: &AccountRow) -> Value {
    json!({
        "user_id": row.user_id, "telegram_user_id": row.telegram_user_id, "username": row.username,
        "status": row.status, "metadata": row.metadata, "settings": row.settings,
    })
}
