//! Connecting channels and groups, and looking after them.

use std::time::Duration;

use platform::{ChatInfo, ChatKind, ChatRef, Standing};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use store::{Slice, events, logs, senders::SenderRow};
use telegram::channels::{
    ChannelFilter, ChannelRow, ChannelSender, checks, moves, routing,
    senders::{self, Cause, Found, obstacle},
    table,
};
use uuid::Uuid;

use super::{Caller, Change, bots::merge, channel_settings::ChannelSettings, record};
use crate::{
    Code, Error, Result,
    app::App,
    questions::{Answer, Question},
    queue::Hint,
};

/// How long the owner of a sender may take to answer.
const ASK_WITHIN: Duration = Duration::from_secs(20);
/// Senders of one channel.
const MAX_SENDERS: usize = 20;

/// Through whom a channel is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via {
    /// `bot` or `account`.
    pub kind: &'static str,
    /// Its row.
    pub sender_id: Uuid,
}

/// A channel with those who send for it.
pub struct Details {
    /// The channel.
    pub channel: ChannelRow,
    /// Who sends, in the order of preference.
    pub senders: Vec<ChannelSender>,
}

/// One channel.
pub async fn get(app: &App, caller: &Caller, id: Uuid) -> Result<ChannelRow> {
    table::find(&app.pool, id, caller.owner()).await?.ok_or_else(|| Error::not_found("channel"))
}

/// One channel with its senders.
pub async fn details(app: &App, caller: &Caller, id: Uuid) -> Result<Details> {
    let channel = get(app, caller, id).await?;
    let senders = senders::of(&app.pool, id).await?;
    Ok(Details { channel, senders })
}

/// A part of the list of channels.
pub async fn list(app: &App, caller: &Caller, mut filter: ChannelFilter, slice: Slice) -> Result<Vec<ChannelRow>> {
    filter.user_id = caller.owner();
    Ok(table::list(&app.pool, &filter, slice).await?)
}

/// Connects a channel or group that a sender can post to; says whether it is new. One that its owner has already is found, and gets the
/// sender as a further one.
pub async fn connect(
    app: &App,
    caller: &Caller,
    via: Via,
    chat: &ChatRef,
    join: bool,
    settings: Value,
) -> Result<(Details, bool)> {
    ChannelSettings::read(&settings, Some(&[via.sender_id]))?;
    let sender = sender(app, caller, via, "/via").await?;
    let info = reach(app, &sender, chat, join).await?;
    let mut tx = app.pool.begin().await?;
    if let Some(former) = info.former_id {
        follow(&mut tx, sender.user_id, former, info.id).await?;
    }
    let (id, new) = table::upsert(&mut tx, Uuid::now_v7(), sender.user_id, &info, &settings).await?;
    let added = attach(&mut tx, caller, sender.user_id, id, sender.id, &info).await?;
    if new {
        checks::schedule(&mut tx, id, app.channels.settings.refresh).await?;
        tell(&mut tx, &info, id, sender.user_id, "channel.connected", "connect").await?;
    }
    let rerouted = routing::reroute(&mut tx, id, app.channels.settings.failover).await?;
    let row = found(&mut tx, id).await?;
    if new || added {
        let action = if new { "channel.connect" } else { "channel.add_sender" };
        let after = json!({ "channel": public(&row), "sender_id": sender.id });
        record(&mut tx, caller, change(id, action, None, Some(after))).await?;
    }
    tx.commit().await?;
    wake(app, rerouted);
    Ok((Details { channel: row, senders: senders::of(&app.pool, id).await? }, new))
}

/// Adds a sender to a channel.
pub async fn add_sender(app: &App, caller: &Caller, id: Uuid, via: Via, join: bool) -> Result<Details> {
    let row = get(app, caller, id).await?;
    let sender = sender(app, caller, via, "").await?;
    if sender.user_id != row.user_id {
        return Err(Error::invalid_field(format!("/{}_id", via.kind), "belongs to another user than the channel"));
    }
    // By its name, also who never met the chat finds it.
    let by_id = ChatRef::Id(row.channel_id);
    let info = match (reach(app, &sender, &by_id, join).await, &row.username) {
        (Err(error), Some(name)) if error.code == Code::ChatNotFound => {
            reach(app, &sender, &ChatRef::Name(name.clone()), join).await?
        }
        (info, _) => info?,
    };
    if info.id != row.channel_id {
        return Err(Error::new(
            Code::Conflict,
            "The sender knows another chat under this name. Check the channel first.",
        ));
    }
    let mut tx = app.pool.begin().await?;
    let added = attach(&mut tx, caller, row.user_id, id, sender.id, &info).await?;
    let rerouted = routing::reroute(&mut tx, id, app.channels.settings.failover).await?;
    if added {
        let after = Some(json!({ "sender_id": sender.id }));
        record(&mut tx, caller, change(id, "channel.add_sender", None, after)).await?;
    }
    tx.commit().await?;
    wake(app, rerouted);
    details(app, caller, id).await
}

/// Takes a sender away from a channel; what waits goes to the others.
pub async fn remove_sender(app: &App, caller: &Caller, id: Uuid, sender_id: Uuid) -> Result<Details> {
    let row = get(app, caller, id).await?;
    let mut tx = app.pool.begin().await?;
    if !senders::remove(&mut tx, id, sender_id).await? {
        return Err(Error::not_found("sender of this channel"));
    }
    let mut settings = row.settings.clone().unwrap_or_else(|| json!({}));
    if settings["preferred_sender_id"] == json!(sender_id) {
        merge(&mut settings, json!({ "preferred_sender_id": null }));
        table::update(&mut tx, id, &settings, None).await?;
    }
    let rerouted = routing::reroute(&mut tx, id, app.channels.settings.failover).await?;
    let before = Some(json!({ "sender_id": sender_id }));
    record(&mut tx, caller, change(id, "channel.remove_sender", before, None)).await?;
    tx.commit().await?;
    wake(app, rerouted);
    details(app, caller, id).await
}

/// What to change of a channel.
#[derive(Debug, Default)]
pub struct Update {
    /// A merge patch of the settings.
    pub settings: Option<Map<String, Value>>,
    /// On or off.
    pub is_active: Option<bool>,
    /// The order of its senders.
    pub senders: Option<Vec<Uuid>>,
}

/// Changes settings and the order of the senders, and switches the channel on or off.
pub async fn update(app: &App, caller: &Caller, id: Uuid, update: Update) -> Result<Details> {
    let Details { channel: before, senders: all } = details(app, caller, id).await?;
    let known: Vec<Uuid> = all.iter().map(|sender| sender.sender_id).collect();
    let patch = update.settings.unwrap_or_default();
    let mut settings = before.settings.clone().unwrap_or_else(|| json!({}));
    let with_preferred = patch.contains_key("preferred_sender_id");
    merge(&mut settings, Value::Object(patch));
    ChannelSettings::read(&settings, with_preferred.then_some(&known))?;
    let order = update.senders.unwrap_or_default();
    for (place, sender) in order.iter().enumerate() {
        if !known.contains(sender) || order[..place].contains(sender) {
            let message = "must be the id of a sender of this channel, and stand in the list once";
            return Err(Error::invalid_field(format!("/senders/{place}"), message));
        }
    }
    let mut tx = app.pool.begin().await?;
    if !table::update(&mut tx, id, &settings, update.is_active).await? {
        return Err(Error::not_found("channel"));
    }
    senders::reorder(&mut tx, id, &order).await?;
    let rerouted = routing::reroute(&mut tx, id, app.channels.settings.failover).await?;
    let row = found(&mut tx, id).await?;
    let data = json!({ "status": row.status, "is_active": row.is_active });
    events::insert(&mut *tx, row.user_id, "channel.updated", id, &data).await?;
    let mut after = public(&row);
    after["senders"] = json!(order);
    record(&mut tx, caller, change(id, "channel.update", Some(public(&before)), Some(after))).await?;
    tx.commit().await?;
    wake(app, rerouted);
    details(app, caller, id).await
}

/// Disconnects a channel: what waits for it is cancelled; messages and logs stay.
pub async fn disconnect(app: &App, caller: &Caller, id: Uuid) -> Result<()> {
    let row = get(app, caller, id).await?;
    let mut tx = app.pool.begin().await?;
    if !table::delete(&mut tx, id).await? {
        return Err(Error::not_found("channel"));
    }
    let data = json!({ "channel_id": row.channel_id, "title": row.title });
    events::insert(&mut *tx, row.user_id, "channel.disconnected", id, &data).await?;
    log(&mut tx, row.user_id, id, "disconnect", &row.title).await?;
    record(&mut tx, caller, change(id, "channel.disconnect", Some(public(&row)), None)).await?;
    tx.commit().await?;
    Ok(())
}

/// Asks Telegram what the channel is now, and what its senders may do there.
pub async fn check(app: &App, caller: &Caller, id: Uuid) -> Result<Details> {
    get(app, caller, id).await?;
    if !app.channels.at(&app.pool, id, Cause::News).await? {
        let all = senders::of(&app.pool, id).await?;
        return Err(if all.iter().any(|sender| sender.is_active) {
            let message = "None of the channel's senders could ask Telegram at the moment. Try again a little later.";
            Error::new(Code::TelegramUnavailable, message).with_retry_after(Duration::from_secs(5))
        } else {
            Error::new(Code::NoSender, "The channel has no active sender that could ask Telegram: connect or add one.")
        });
    }
    details(app, caller, id).await
}

/// The sender through whom a channel is to be reached.
async fn sender(app: &App, caller: &Caller, via: Via, at: &str) -> Result<SenderRow> {
    let sender = store::senders::find(&app.pool, via.sender_id).await?;
    let visible = |s: &SenderRow| s.kind == via.kind && caller.owner().is_none_or(|user| user == s.user_id);
    let sender = sender.filter(visible).ok_or_else(|| {
        Error::invalid_field(format!("{at}/{}_id", via.kind), format!("is the id of no {} of yours", via.kind))
    })?;
    if !sender.is_active {
        return Err(super::send::inactive(&sender.status));
    }
    Ok(sender)
}

/// Asks a sender for a chat to which it may post.
async fn reach(app: &App, sender: &SenderRow, chat: &ChatRef, join: bool) -> Result<ChatInfo> {
    if join && sender.kind != "account" {
        let message = "A bot cannot join by itself: an administrator of the chat has to add it. Leave out `join`.";
        return Err(Error::new(Code::UnsupportedBySender, message));
    }
    if sender.kind != "account" && matches!(chat, ChatRef::Invite(_)) {
        let message = "Bots cannot use invite links. Add the bot to the chat and name the chat by its @name or id, or connect it \
                       through an account.";
        return Err(Error::new(Code::UnsupportedBySender, message));
    }
    app.hints.give(Hint::Work(sender.id));
    let ask = async |question: Question| app.questions.ask_patiently(sender.id, &question, ASK_WITHIN).await;
    let mut answer = ask(Question::Chat(chat.clone())).await?;
    let outside = match &answer {
        Answer::Chat(info) => info.standing == Standing::Left && info.kind != ChatKind::Person,
        Answer::Refused { code, .. } => code == "not_member",
        Answer::Dialogs(_) | Answer::Done => false,
    };
    if join && outside {
        answer = ask(Question::Join(chat.clone())).await?;
    }
    match answer {
        Answer::Chat(info) => suitable(*info, &sender.kind, join),
        Answer::Refused { code, description, .. } => Err(refused(&code, &description, &sender.kind)),
        Answer::Dialogs(_) | Answer::Done => {
            Err(Error::internal("a chat was asked for, and something else was answered"))
        }
    }
}

fn suitable(info: ChatInfo, sender: &str, joined: bool) -> Result<ChatInfo> {
    if info.kind == ChatKind::Person {
        let message = "This is a person or a bot, not a channel or group. Write to it through a bot or an account.";
        return Err(Error::new(Code::NotAChannel, message));
    }
    match obstacle(&info, sender) {
        None => Ok(info),
        Some(("not_member", words)) if sender == "account" && !joined => {
            Err(Error::new(Code::NotMember, format!("{words} Or let it join by itself: set `join` to true.")))
        }
        Some(("not_member", words)) => Err(Error::new(Code::NotMember, words)),
        Some((_, words)) => Err(Error::new(Code::ChatForbidden, words)),
    }
}

fn refused(code: &str, description: &str, sender: &str) -> Error {
    let (code, words) = match code {
        "chat_not_found" if sender == "bot" => (
            Code::ChatNotFound,
            "Telegram shows this bot no such chat. Check the name; to a private chat, add the bot first.".to_owned(),
        ),
        "chat_not_found" => (
            Code::ChatNotFound,
            "Telegram shows this account no such chat. Check the name; join a private chat first, or use its invite link."
                .to_owned(),
        ),
        "kicked_from_chat" => (
            Code::ChatForbidden,
            format!("The chat is closed to the {sender}: it is not in it, or was removed. Add it to the chat."),
        ),
        "not_enough_rights" | "forbidden" => {
            (Code::ChatForbidden, format!("Telegram does not let the {sender} see this chat: {description}."))
        }
        "not_member" => (
            Code::NotMember,
            "The account is not in the chat of this invite link. Join first, or set `join` to true.".to_owned(),
        ),
        "invite_expired" => (Code::ChatNotFound, "The invite link is not valid any more: get a new one.".to_owned()),
        "invite_requested" => (
            Code::Conflict,
            "A request to join was sent. Connect the chat again when an administrator has accepted it.".to_owned(),
        ),
        "join_needs_account" | "invite_needs_account" => (Code::UnsupportedBySender, format!("{description}.")),
        _ => (Code::TelegramRefused, format!("Telegram refused: {description}.")),
    };
    Error::new(code, words)
}

/// The group that its owner connected became this supergroup: its row goes on.
async fn follow(db: &mut PgConnection, user_id: i32, former: i64, now: i64) -> Result<()> {
    let row: Option<Uuid> =
        sqlx::query_scalar("SELECT id FROM telegram_channels WHERE user_id = $1 AND channel_id = $2 FOR UPDATE")
            .bind(user_id)
            .bind(former)
            .fetch_optional(&mut *db)
            .await?;
    if let Some(row) = row {
        moves::move_row(db, row, user_id, former, now).await?;
    }
    Ok(())
}

/// Makes somebody a sender of a channel, or keeps what was found now of one that is. Returns whether it was added.
async fn attach(
    db: &mut PgConnection,
    caller: &Caller,
    user_id: i32,
    id: Uuid,
    sender_id: Uuid,
    info: &ChatInfo,
) -> Result<bool> {
    let added = senders::add(&mut *db, id, sender_id).await?;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM channel_senders WHERE channel_id = $1")
        .bind(id)
        .fetch_one(&mut *db)
        .await?;
    if added && usize::try_from(count).is_ok_and(|count| count > MAX_SENDERS) {
        return Err(Error::new(Code::Conflict, format!("The channel has {MAX_SENDERS} senders: remove one first.")));
    }
    tracing::debug!(channel_id = %id, %sender_id, added, user_id = caller.identity.user_id, "a sender of a channel");
    if let Some(change) = senders::keep(&mut *db, id, sender_id, &Found::Chat(info), Cause::News).await? {
        checks::tell(&mut *db, user_id, id, &change).await?;
    }
    checks::keep_chat(&mut *db, user_id, id, info).await?;
    checks::done(db, id).await?;
    Ok(added)
}

async fn found(db: &mut PgConnection, id: Uuid) -> Result<ChannelRow> {
    table::find(db, id, None).await?.ok_or_else(|| Error::not_found("channel"))
}

async fn tell(
    db: &mut PgConnection,
    info: &ChatInfo,
    id: Uuid,
    user_id: i32,
    event: &str,
    action: &'static str,
) -> Result<()> {
    let data =
        json!({ "channel_id": info.id, "title": info.title, "username": info.username, "type": info.kind.name() });
    events::insert(&mut *db, user_id, event, id, &data).await?;
    log(db, user_id, id, action, &info.title).await
}

async fn log(db: &mut PgConnection, user_id: i32, id: Uuid, action: &'static str, title: &str) -> Result<()> {
    let log = logs::NewLog {
        user_id,
        integration_type: "telegram_channel",
        action,
        error: None,
        details: Some(json!({ "channel_id": id, "title": title })),
    };
    Ok(logs::insert(db, &log).await?)
}

fn wake(app: &App, rerouted: routing::Rerouted) {
    for sender_id in rerouted.wake {
        app.hints.give(Hint::Work(sender_id));
    }
}

fn change(id: Uuid, action: &str, before: Option<Value>, after: Option<Value>) -> Change<'_> {
    Change { action, resource_type: "channel", resource_id: id.to_string(), before, after }
}

/// What the audit keeps of a channel.
fn public(row: &ChannelRow) -> Value {
    json!({
        "user_id": row.user_id, "channel_id": row.channel_id, "title": row.title, "username": row.username,
        "is_active": row.is_active, "settings": row.settings,
    })
}
