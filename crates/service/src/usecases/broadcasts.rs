//! One message to many chats.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use platform::{Message, Priority};
use serde_json::{Map, Value, json};
use store::{
    Slice,
    broadcasts::{self, BroadcastFilter, BroadcastRow, NewBroadcast, PullBack, Target, TargetRow},
    senders,
};
use uuid::Uuid;

use super::{
    Caller, Change,
    content::{self, SenderKind, media::Shelf},
    draft::SendMessage,
    record,
    send::{ChatTarget, check_schedule},
};
use crate::{
    Code, Error, Result,
    app::App,
    broadcasts::{feeder, template},
};

/// The most targets of one broadcast.
pub const MAX_TARGETS: usize = 10_000;
/// The most variables of one target.
const MAX_VARIABLES: usize = 50;
/// The longest value of a variable, in code points: that of a whole message.
const MAX_VALUE: usize = 4096;
/// The longest name, in code points.
const MAX_NAME: usize = 200;

/// A broadcast as its caller describes it.
#[derive(Debug, Clone)]
pub struct NewCall {
    /// What it is called.
    pub name: Option<String>,
    /// The message, with variables.
    pub message: SendMessage,
    /// Where it goes.
    pub targets: Vec<NewTarget>,
    /// Which queues its messages wait in.
    pub priority: Priority,
    /// Not before this time.
    pub scheduled_at: Option<DateTime<Utc>>,
}

/// One destination.
#[derive(Debug, Clone)]
pub struct NewTarget {
    /// `bot`, `account` or `channel`.
    pub route: &'static str,
    /// Its id.
    pub via: Uuid,
    /// The chat, but for a channel.
    pub chat: Option<ChatTarget>,
    /// The values of the variables.
    pub variables: Map<String, Value>,
}

/// How far a broadcast is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The broadcast.
    pub row: BroadcastRow,
    /// How many targets are in which state.
    pub counts: HashMap<String, i64>,
    /// How far its correction or recall is; empty without one.
    pub follow_up: HashMap<String, i64>,
}

/// Accepts a broadcast: 202 means that each of its targets gets its message, unless it is cancelled.
pub async fn create(app: &App, caller: &Caller, call: NewCall) -> Result<(u16, Value)> {
    let scheduled_at = check_schedule(call.scheduled_at)?;
    if call.name.as_ref().is_some_and(|name| name.trim().is_empty() || name.chars().count() > MAX_NAME) {
        return Err(Error::invalid_field("/name", format!("must have 1 to {MAX_NAME} characters")));
    }
    if call.targets.is_empty() || call.targets.len() > MAX_TARGETS {
        return Err(Error::invalid_field("/targets", format!("must hold 1 to {MAX_TARGETS} targets")));
    }
    check_senders(app, caller, &call.targets).await?;
    let template = read_template(app, caller, &call.message, &call.targets).await?;
    // Ten thousand of them keep a processor busy for a while, which is not one that answers other requests.
    let given = call.targets;
    let checked =
        tokio::task::spawn_blocking(move || -> Result<_> { Ok((check_targets(&template, given)?, template)) });
    let (targets, template) = checked.await.map_err(Error::internal)??;
    let files: Vec<Uuid> =
        telegram::media::media_of(&template.content).iter().map(|(_, media)| media.file.id).collect();
    let user_id = caller.identity.user_id;
    let new = NewBroadcast {
        id: Uuid::now_v7(),
        user_id,
        name: call.name,
        content: serde_json::to_value(&template).map_err(Error::internal)?,
        priority: call.priority.rank(),
        scheduled_at,
        request_id: caller.request_id.clone(),
        traceparent: caller.traceparent.clone(),
    };
    let status = if scheduled_at.is_some() { "scheduled" } else { "running" };
    let mut tx = app.pool.begin().await?;
    broadcasts::insert(&mut tx, &new, &targets, &files).await?;
    let total = targets.len();
    let told = json!({ "status": status, "total": total });
    store::events::insert(&mut *tx, user_id, &format!("broadcast.{status}"), new.id, &told).await?;
    let after = json!({ "status": status, "total": total, "name": new.name });
    record(&mut tx, caller, change("broadcast.create", new.id, None, Some(after))).await?;
    tx.commit().await?;
    Ok((202, json!({ "id": new.id, "status": status, "total": total, "scheduled_at": scheduled_at })))
}

fn change(action: &str, id: Uuid, before: Option<Value>, after: Option<Value>) -> Change<'_> {
    Change { action, resource_type: "broadcast", resource_id: id.to_string(), before, after }
}

/// Reads the message with its variables still in it, for each kind of sender that it goes through.
async fn read_template(app: &App, caller: &Caller, draft: &SendMessage, targets: &[NewTarget]) -> Result<Message> {
    for (field, given) in [
        ("chat_id", draft.chat_id.is_some()),
        ("scheduled_at", draft.scheduled_at.is_some()),
        ("split", draft.split.is_some()),
    ] {
        if given {
            let hint =
                "does not belong here: each target gets one message, and has its own chat; the broadcast has the time";
            return Err(Error::invalid_field(format!("/message/{field}"), hint));
        }
    }
    let mut template = None;
    for (route, kind) in [("bot", SenderKind::Bot), ("account", SenderKind::Account), ("channel", SenderKind::Any)] {
        if !targets.iter().any(|target| target.route == route) {
            continue;
        }
        let mut draft = draft.clone();
        for text in [&mut draft.text, &mut draft.caption].into_iter().flatten() {
            if let Some(mode) = draft.parse_mode {
                *text = template::protect(text, mode);
            }
        }
        let mut shelf = Shelf::new(&app.files, caller, kind, HashMap::new());
        let messages = content::messages(&mut draft, kind, &mut shelf).await.map_err(in_message)?;
        template = messages.into_iter().next();
    }
    template.ok_or_else(|| Error::internal("a broadcast without targets"))
}

fn in_message(mut error: Error) -> Error {
    for field in &mut error.fields {
        field.pointer = format!("/message{}", field.pointer);
    }
    error
}

/// Each sender must exist, be the caller's and be connected.
async fn check_senders(app: &App, caller: &Caller, targets: &[NewTarget]) -> Result<()> {
    let mut seen = HashSet::new();
    for (index, target) in targets.iter().enumerate() {
        if !seen.insert((target.route, target.via)) {
            continue;
        }
        let at = format!("/targets/{index}/{}_id", target.route);
        if target.route == "channel" {
            let channel = telegram::channels::table::find(&app.pool, target.via, Some(caller.identity.user_id)).await?;
            if channel.is_none() {
                return Err(Error::invalid_field(at, "is no channel of yours"));
            }
            continue;
        }
        let sender = senders::find(&app.pool, target.via).await?;
        let sender = sender.filter(|sender| sender.kind == target.route && sender.user_id == caller.identity.user_id);
        match sender {
            None => return Err(Error::invalid_field(at, format!("is no {} of yours", target.route))),
            Some(sender) if !sender.is_active => {
                let hint = format!("is not connected (`{}`): reconnect it, or leave its targets out", sender.status);
                return Err(Error::invalid_field(at, hint));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Tries the message with the variables of each target, so that none fails when its turn comes.
fn check_targets(template: &Message, targets: Vec<NewTarget>) -> Result<Vec<Target>> {
    let mut seen = HashMap::new();
    let mut checked = Vec::with_capacity(targets.len());
    for (index, target) in targets.into_iter().enumerate() {
        let at = format!("/targets/{index}");
        if let Some(first) = seen.insert((target.via, target.chat.clone()), index) {
            return Err(Error::invalid_field(at, format!("is the same as `/targets/{first}`")));
        }
        check_variables(&at, &target.variables)?;
        let (chat_id, chat_name) = match target.chat {
            None => (None, None),
            Some(ChatTarget::Id(id)) => (Some(id), None),
            Some(ChatTarget::Name(name)) => (None, Some(name)),
        };
        let target = Target {
            id: Uuid::now_v7(),
            route: target.route.to_owned(),
            via: target.via,
            chat_id,
            chat_name,
            variables: (!target.variables.is_empty()).then_some(Value::Object(target.variables)),
        };
        feeder::message_of(template, &target).map_err(|error| within(error, &at))?;
        checked.push(target);
    }
    Ok(checked)
}

/// What is wrong with the message of a target is a fault of its variables, or of the message.
fn within(mut error: Error, at: &str) -> Error {
    for field in &mut error.fields {
        let pointer = &field.pointer;
        field.pointer = if pointer.starts_with("/variables") {
            format!("{at}{pointer}")
        } else {
            field.message = format!("{} (as it is for `{at}`)", field.message);
            format!("/message{pointer}")
        };
    }
    error
}

fn check_variables(at: &str, variables: &Map<String, Value>) -> Result<()> {
    if variables.len() > MAX_VARIABLES {
        return Err(Error::invalid_field(format!("{at}/variables"), format!("must hold at most {MAX_VARIABLES}")));
    }
    for (name, value) in variables {
        let at = format!("{at}/variables/{name}");
        if !template::is_name(name) {
            return Err(Error::invalid_field(
                at,
                "must have a name of letters, digits and `_`, not beginning with a digit",
            ));
        }
        match template::as_text(value) {
            Some(text) if text.chars().count() <= MAX_VALUE => {}
            Some(_) => return Err(Error::invalid_field(at, format!("must have at most {MAX_VALUE} characters"))),
            None => return Err(Error::invalid_field(at, "must be a string, a number, true or false")),
        }
    }
    Ok(())
}

/// A part of the list of broadcasts.
pub async fn list(app: &App, caller: &Caller, statuses: Vec<String>, slice: Slice) -> Result<Vec<BroadcastRow>> {
    let filter = BroadcastFilter { user_id: caller.owner(), statuses };
    Ok(broadcasts::list(&app.pool, &filter, slice).await?)
}

/// One broadcast with its progress.
pub async fn get(app: &App, caller: &Caller, id: Uuid) -> Result<Progress> {
    let row = find(app, caller, id).await?;
    let counts = broadcasts::progress(&app.pool, id).await?.into_iter().collect();
    let follow_up = broadcasts::follow_up_progress(&app.pool, id).await?.into_iter().collect();
    Ok(Progress { row, counts, follow_up })
}

async fn find(app: &App, caller: &Caller, id: Uuid) -> Result<BroadcastRow> {
    broadcasts::find(&app.pool, id, caller.owner()).await?.ok_or_else(|| Error::not_found("broadcast"))
}

/// A part of the list of its targets, the last first.
pub async fn targets(
    app: &App,
    caller: &Caller,
    id: Uuid,
    statuses: &[String],
    slice: Slice,
) -> Result<Vec<TargetRow>> {
    find(app, caller, id).await?;
    Ok(broadcasts::targets(&app.pool, id, statuses, slice).await?)
}

/// What an owner does with a broadcast that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Nothing more is sent until it is resumed.
    Pause,
    /// It goes on.
    Resume,
    /// What was not sent yet never is.
    Cancel,
}

/// Pauses, resumes or cancels. What is on its way to Telegram at this moment goes on. To ask twice is no error.
pub async fn order(app: &App, caller: &Caller, id: Uuid, order: Order) -> Result<Progress> {
    find(app, caller, id).await?;
    let mut tx = app.pool.begin().await?;
    let Some(row) = broadcasts::lock(&mut tx, id).await? else { return Err(Error::not_found("broadcast")) };
    let (action, to, from): (_, _, &[&str]) = match order {
        Order::Pause => ("broadcast.pause", "paused", &["running", "scheduled"]),
        Order::Resume => ("broadcast.resume", "running", &["paused"]),
        Order::Cancel => ("broadcast.cancel", "cancelled", &["running", "scheduled", "paused"]),
    };
    if row.status != to {
        if !from.contains(&row.status.as_str()) {
            let detail = format!("The broadcast is `{}`; this needs one that is {}.", row.status, from.join(" or "));
            return Err(Error::new(Code::BroadcastEnded, detail));
        }
        match order {
            Order::Pause => broadcasts::pull_back(&mut tx, id, PullBack::ToWaiting).await?,
            Order::Cancel => broadcasts::pull_back(&mut tx, id, PullBack::ToCancelled).await?,
            Order::Resume => {}
        }
        // One whose time has not come yet waits for it again.
        let waits = row.scheduled_at.is_some_and(|at| at > Utc::now());
        let to = if order == Order::Resume && waits { "scheduled" } else { to };
        broadcasts::set_status(&mut tx, &row, to).await?;
        let (before, after) = (json!({ "status": row.status }), json!({ "status": to }));
        record(&mut tx, caller, change(action, id, Some(before), Some(after))).await?;
    }
    tx.commit().await?;
    get(app, caller, id).await
}

/// Replaces the message, also where it was sent already: there it is edited at Telegram, as far as that lets it. Targets whose turn has not
/// come get the new one.
pub async fn correct(app: &App, caller: &Caller, id: Uuid, draft: &SendMessage) -> Result<Progress> {
    let before = find(app, caller, id).await?;
    let targets = broadcasts::all_targets(&app.pool, id).await?;
    let routes: Vec<NewTarget> = targets.iter().map(shape).collect();
    let template = read_template(app, caller, draft, &routes).await?;
    let former: Message = serde_json::from_value(before.content.clone()).map_err(Error::internal)?;
    check_same_kind(&former, &template)?;
    for target in &targets {
        feeder::message_of(&template, target).map_err(|error| {
            let mut error = within(error, "the targets");
            for field in &mut error.fields {
                "/message".clone_into(&mut field.pointer);
            }
            error
        })?;
    }
    let mut tx = app.pool.begin().await?;
    let Some(row) = broadcasts::lock(&mut tx, id).await? else { return Err(Error::not_found("broadcast")) };
    if row.follow_up.as_deref() == Some("recall") {
        return Err(Error::new(
            Code::BroadcastEnded,
            "The broadcast is being recalled: it cannot be corrected any more.",
        ));
    }
    let files: Vec<Uuid> =
        telegram::media::media_of(&template.content).iter().map(|(_, media)| media.file.id).collect();
    let content = serde_json::to_value(&template).map_err(Error::internal)?;
    if row.finished_at.is_none() {
        broadcasts::pull_back(&mut tx, id, PullBack::ToWaiting).await?;
    }
    broadcasts::set_content(&mut tx, id, &content, &files).await?;
    broadcasts::begin_follow_up(&mut tx, &row, "correct").await?;
    let (before, after) = (json!({ "message": row.content }), json!({ "message": content }));
    record(&mut tx, caller, change("broadcast.correct", id, Some(before), Some(after))).await?;
    tx.commit().await?;
    get(app, caller, id).await
}

fn shape(target: &Target) -> NewTarget {
    NewTarget { route: target.route(), via: target.via, chat: None, variables: Map::new() }
}

/// An edit changes texts, buttons and the preview, and nothing else.
fn check_same_kind(former: &Message, new: &Message) -> Result<()> {
    let files = |message: &Message| -> Vec<Uuid> {
        telegram::media::media_of(&message.content).iter().map(|(_, media)| media.file.id).collect()
    };
    let kind = former.content.kind();
    if kind != new.content.kind() || files(former) != files(new) {
        let hint =
            format!("must be a {kind} with the same files as before: texts, captions and buttons can be corrected");
        return Err(Error::invalid_field("/message", hint));
    }
    if matches!(kind, "poll" | "location" | "forward") {
        return Err(Error::invalid_field("/message", format!("is a {kind}, which cannot be corrected: recall it")));
    }
    Ok(())
}

/// Takes the broadcast back: what was not sent never is, and what was sent is deleted at Telegram, as far as that lets it. To ask twice is
/// no error.
pub async fn recall(app: &App, caller: &Caller, id: Uuid) -> Result<Progress> {
    find(app, caller, id).await?;
    let mut tx = app.pool.begin().await?;
    let Some(row) = broadcasts::lock(&mut tx, id).await? else { return Err(Error::not_found("broadcast")) };
    if row.follow_up.as_deref() != Some("recall") {
        if matches!(row.status.as_str(), "running" | "scheduled" | "paused") {
            broadcasts::pull_back(&mut tx, id, PullBack::ToCancelled).await?;
            broadcasts::set_status(&mut tx, &row, "cancelled").await?;
        }
        broadcasts::begin_follow_up(&mut tx, &row, "recall").await?;
        let before = json!({ "status": row.status });
        record(&mut tx, caller, change("broadcast.recall", id, Some(before), None)).await?;
    }
    tx.commit().await?;
    get(app, caller, id).await
}
