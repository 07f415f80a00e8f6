//! What would become of a message: everything is checked and asked for as for a send, and nothing is stored or sent.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use platform::{ChatInfo, ChatKind, ChatRef, Message, SendKind, Standing};
use store::{
    senders::SenderRow,
    waits::{self, Ahead},
};
use telegram::{
    channels::{ChannelRow, senders::obstacle},
    media::media_of,
};
use uuid::Uuid;

use super::{
    Caller, channel_send,
    content::{SenderKind, media::MOST_THROUGH_BOT},
    send::{self, ChatTarget, Prepared, Ready, Sending},
};
use crate::{
    Code, Error, Result,
    app::App,
    questions::{Answer, Question},
    queue::Hint,
    worker::Limits,
};

/// How long the owner of a sender may take to answer.
const ASK_WITHIN: Duration = Duration::from_secs(10);

/// What would become of a message.
pub struct DryRun {
    /// The message as it would be stored.
    pub message: Message,
    /// Who would send it.
    pub sender: Option<SenderRow>,
    /// Where it would go, as that sender sees it.
    pub chat: Option<ChatInfo>,
    /// When it would go out, as far as the service can tell.
    pub expected_at: Option<DateTime<Utc>>,
    /// What it would wait for.
    pub waits: Vec<Wait>,
    /// What would keep it from being sent.
    pub problems: Vec<Obstacle>,
}

/// Something that a message would wait for.
pub struct Wait {
    /// `scheduled`, `held`, `chat`, `queue`, `pace` or `slow_mode`.
    pub reason: &'static str,
    /// How long, from now.
    pub wait: Duration,
}

/// Something that would keep a message from being sent.
pub struct Obstacle {
    /// Stable code.
    pub code: String,
    /// The same in words.
    pub detail: String,
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        Self { code: error.code.name().to_owned(), detail: error.detail }
    }
}

/// Through a bot or an account.
pub async fn through_sender(
    app: &App,
    caller: &Caller,
    route: &'static str,
    sender_id: Uuid,
    sending: Sending,
) -> Result<DryRun> {
    send::require_visible(app, caller, route, sender_id).await?;
    let sender = store::senders::find(&app.pool, sender_id).await?.ok_or_else(|| Error::not_found(route))?;
    let chat = send::destination(&sending.draft)?;
    let prepared = tried(send::prepare(app, caller, sender_id, SenderKind::Any, sending).await?)?;
    let (scheduled_at, priority) = (prepared.scheduled_at, prepared.priority.rank());
    let mut run = DryRun::of(prepared)?;
    if route == "account" && !run.message.options.buttons.is_empty() {
        let words = "Buttons cannot be sent by an account: send them through a bot.";
        run.problems.push(Error::new(Code::UnsupportedBySender, words).into());
    }
    if route == "bot" && size(&run.message) > MOST_THROUGH_BOT {
        let words = "A bot cannot send more than 50 MB: send it through an account.";
        run.problems.push(Error::new(Code::UnsupportedBySender, words).into());
    }
    let chat = match chat {
        ChatTarget::Id(id) => ChatRef::Id(id),
        ChatTarget::Name(name) => ChatRef::Name(name),
    };
    run.look(app, sender, &chat).await;
    run.when(app, scheduled_at, priority).await?;
    Ok(run)
}

/// To a channel.
pub async fn to_channel(app: &App, caller: &Caller, channel: &ChannelRow, sending: Sending) -> Result<DryRun> {
    let prepared = tried(channel_send::prepare(app, caller, channel, sending).await?)?;
    let (scheduled_at, priority) = (prepared.scheduled_at, prepared.priority.rank());
    let mut run = DryRun::of(prepared)?;
    let content = serde_json::to_value(&run.message).map_err(Error::internal)?;
    match channel_send::choose(app, channel, &run.message, &content).await? {
        Some(choice) => {
            let sender = store::senders::find(&app.pool, choice.sender_id).await?;
            let sender =
                sender.ok_or_else(|| Error::new(Code::Conflict, "The sender changed at this moment. Try again."))?;
            run.look(app, sender, &ChatRef::Id(channel.channel_id)).await;
            run.when(app, scheduled_at, priority).await?;
        }
        None => run.problems.push(channel_send::nobody(app, caller, channel.id, &run.message).await?.into()),
    }
    Ok(run)
}

/// A request that is only tried has no answer that it could get again.
fn tried(ready: Ready) -> Result<Prepared> {
    match ready {
        Ready::New(prepared) => Ok(prepared),
        Ready::Repeated(_) => {
            Err(Error::new(Code::IdempotencyKeyReused, "This `Idempotency-Key` was used for a send."))
        }
    }
}

fn size(message: &Message) -> u64 {
    media_of(&message.content).iter().map(|(_, media)| media.file.size_bytes).sum()
}

impl DryRun {
    /// Of the first message, where a long text becomes several.
    fn of(prepared: Prepared) -> Result<Self> {
        let message = prepared.messages.into_iter().next().ok_or_else(|| Error::internal("a message without parts"))?;
        let (sender, chat, expected_at) = (None, None, None);
        Ok(Self { message, sender, chat, expected_at, waits: Vec::new(), problems: Vec::new() })
    }

    /// Asks the sender what the chat is, and whether the message may go there.
    async fn look(&mut self, app: &App, sender: SenderRow, chat: &ChatRef) {
        let (id, kind, is_active) = (sender.id, sender.kind.clone(), sender.is_active);
        if !is_active {
            self.problems.push(send::inactive(&sender.status).into());
        }
        self.sender = Some(sender);
        if !is_active {
            return;
        }
        app.hints.give(Hint::Work(id));
        match app.questions.ask_patiently(id, &Question::Chat(chat.clone()), ASK_WITHIN).await {
            Ok(Answer::Chat(info)) => {
                self.judge(&info, &kind);
                self.chat = Some(*info);
            }
            Ok(Answer::Refused { code, description, .. }) => self.problems.push(Obstacle { code, detail: description }),
            Ok(Answer::Dialogs(_) | Answer::Done) => {}
            Err(error) => self.problems.push(error.into()),
        }
    }

    fn judge(&mut self, info: &ChatInfo, sender: &str) {
        if let Some((code, detail)) = obstacle(info, sender) {
            self.problems.push(Obstacle { code: code.to_owned(), detail });
            return;
        }
        let content = serde_json::to_value(&self.message).unwrap_or_default();
        for kind in SendKind::needed_by(&content).into_iter().filter(|kind| !info.rights.may_send(*kind)) {
            let kind = serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
            let detail =
                format!("The {} does not let the {sender} send this: {}.", info.kind.name(), kind.unwrap_or_default());
            self.problems.push(Obstacle { code: "not_enough_rights".to_owned(), detail });
        }
        let may_wait = matches!(info.standing, Standing::Member | Standing::Restricted) && sender == "account";
        if may_wait && info.slow_mode_seconds > 0 {
            self.waits.push(Wait { reason: "slow_mode", wait: Duration::ZERO });
        }
    }

    /// When it would go out. What others accept meanwhile, and what Telegram imposes then, nobody can know.
    async fn when(&mut self, app: &App, scheduled_at: Option<DateTime<Utc>>, priority: i16) -> Result<()> {
        let Some(sender) = &self.sender else { return Ok(()) };
        let limits = app.limits.of(&sender.kind);
        let chat_id = self.chat.as_ref().map(|chat| chat.id);
        let to_person = self.chat.as_ref().is_some_and(|chat| chat.kind == ChatKind::Person);
        let (per_window, window) = if to_person {
            (limits.private_chat_per_second, Duration::from_secs(1))
        } else {
            (limits.group_per_minute, Duration::from_mins(1))
        };
        let ahead = waits::ahead(&app.pool, sender.id, chat_id, priority, window).await?;
        let now = Utc::now();
        self.waits.extend(found(now, scheduled_at, &ahead, &limits, per_window, window));
        let longest = self.waits.iter().map(|wait| wait.wait).max().unwrap_or_default();
        if self.problems.is_empty() {
            self.expected_at = Some(now + TimeDelta::from_std(longest).unwrap_or_default());
        }
        Ok(())
    }
}

fn found(
    now: DateTime<Utc>,
    scheduled_at: Option<DateTime<Utc>>,
    ahead: &Ahead,
    limits: &Limits,
    per_window: u32,
    window: Duration,
) -> Vec<Wait> {
    let until = |at: Option<DateTime<Utc>>| at.and_then(|at| (at - now).to_std().ok()).unwrap_or_default();
    let count = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
    let all = [
        ("scheduled", until(scheduled_at)),
        ("held", until(ahead.held_until)),
        ("chat", until(ahead.chat_until)),
        ("queue", Duration::from_secs(1) * (count(ahead.of_sender) / limits.sender_per_second.max(1))),
        ("pace", window * (count(ahead.of_chat.saturating_add(ahead.lately)) / per_window.max(1))),
    ];
    all.into_iter().filter(|(_, wait)| !wait.is_zero()).map(|(reason, wait)| Wait { reason, wait }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_what_stands_before_the_message() {
        let now = Utc::now();
        let limits = Limits { sender_per_second: 10, private_chat_per_second: 1, group_per_minute: 20 };
        let reasons = |scheduled, ahead: &Ahead| -> Vec<(&str, u64)> {
            let waits = found(now, scheduled, ahead, &limits, 20, Duration::from_mins(1));
            waits.into_iter().map(|wait| (wait.reason, wait.wait.as_secs())).collect()
        };
        assert!(reasons(None, &Ahead::default()).is_empty());
        let ahead = Ahead {
            held_until: Some(now + TimeDelta::seconds(30)),
            chat_until: Some(now - TimeDelta::seconds(30)),
            of_sender: 45,
            of_chat: 15,
            lately: 5,
        };
        let scheduled = Some(now + TimeDelta::seconds(90));
        assert_eq!(reasons(scheduled, &ahead), [("scheduled", 90), ("held", 30), ("queue", 4), ("pace", 60)]);
    }
}
