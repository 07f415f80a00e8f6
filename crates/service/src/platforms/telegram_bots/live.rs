//! One bot of this process, and what is known of its token.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use platform::{ChatInfo, ChatRef as AnyChat};
use secrecy::SecretString;
use telegram::{
    bot_api::{CallError, ChatRef},
    bots::{UpdatesState, inbound, table},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::Shared;
use crate::{metrics::name, queue::Hint};

/// A bot that this process owns.
pub struct LiveBot {
    pub id: Uuid,
    pub token: SecretString,
    pub shared: Arc<Shared>,
    /// Names the credentials that are in use.
    version: String,
    /// When Telegram last accepted the token.
    proven: Mutex<Option<Instant>>,
    /// What was shown last, so that the database is not asked to change nothing.
    shown: Mutex<(UpdatesState, Option<String>)>,
}

/// What follows from an error of a call.
pub enum Follows {
    /// The token is dead and marked: nothing more to do.
    Dead,
    /// Try again after this time at the earliest.
    Wait(Duration),
    /// Telegram refused the call, in these words; `conflict` where two ways of taking updates exclude each other.
    Refused { conflict: bool, words: String },
    /// Telegram cannot be reached, or something else answers.
    Away(String),
}

impl LiveBot {
    pub fn new(
        id: Uuid,
        version: String,
        token: SecretString,
        shared: Arc<Shared>,
        standing: &inbound::Standing,
    ) -> Self {
        let shown = Mutex::new((standing.state(), standing.reason.clone()));
        Self { id, token, shared, version, proven: Mutex::default(), shown }
    }

    /// Telegram accepted the token just now.
    pub fn lives(&self) {
        *self.proven.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Asks for a sign of life, unless there was one: called twice in each period, so that no silence is much longer than the period.
    pub async fn probe_if_due(&self) {
        let proven = *self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        // A little more than the time between two calls, which vary: an idle bot is asked at every second call.
        let recent = self.shared.probe_every.mul_f64(0.55);
        if proven.is_some_and(|proven| proven.elapsed() < recent) {
            return;
        }
        let answer = self.shared.bot_api.get_me(&self.token).await.map(drop);
        let result = match answer.map_err(|error| self.judge(error)) {
            Ok(()) => {
                self.lives();
                "alive"
            }
            Err(follows) => match follows.await {
                Follows::Dead => "dead",
                Follows::Wait(_) | Follows::Refused { .. } | Follows::Away(_) => "no_answer",
            },
        };
        metrics::counter!(name::BOT_PROBES, "result" => result).increment(1);
    }

    /// What a chat is, and what the bot may do there. A group that became a supergroup is answered with the supergroup, whose
    /// `former_id` is the group's.
    pub async fn chat(&self, chat: &AnyChat) -> Result<ChatInfo, CallError> {
        let ids: &[i64] = match chat {
            AnyChat::Id(id) => &[*id],
            AnyChat::AnyOf(ids) => ids,
            AnyChat::Name(name) => return self.ask(&ChatRef::Username(format!("@{name}"))).await,
            AnyChat::Invite(_) => {
                let description = "bots cannot use invite links".to_owned();
                return Err(CallError::Refused { code: "invite_needs_account", status: 400, description });
            }
        };
        let mut refused =
            CallError::Refused { code: "chat_not_found", status: 400, description: "chat not found".to_owned() };
        for id in ids {
            match self.ask(&ChatRef::Id(*id)).await {
                Err(CallError::Migrated { chat_id }) => {
                    let info = self.ask(&ChatRef::Id(chat_id)).await?;
                    return Ok(ChatInfo { former_id: Some(*id), ..info });
                }
                Err(error @ CallError::Refused { code: "chat_not_found", .. }) => refused = error,
                found => return found,
            }
        }
        Err(refused)
    }

    async fn ask(&self, chat: &ChatRef) -> Result<ChatInfo, CallError> {
        let info = self.shared.bot_api.chat_info(&self.token, chat).await?;
        self.lives();
        Ok(info)
    }

    /// What follows from an error; a dead token is marked at once, with event and log.
    pub async fn judge(&self, error: CallError) -> Follows {
        match error {
            CallError::Unauthorized { description } | CallError::Refused { code: "logged_out", description, .. } => {
                self.dead(&description).await
            }
            CallError::Refused { status: 404, description, .. } => Follows::Away(description),
            CallError::Refused { code, description, .. } => {
                // An answer other than 401 proves the token, too.
                self.lives();
                Follows::Refused { conflict: code == "conflict", words: description }
            }
            CallError::Migrated { .. } => Follows::Refused { conflict: false, words: error.to_string() },
            CallError::Wait { after } => Follows::Wait(after),
            CallError::Unavailable { reason } => Follows::Away(reason),
        }
    }

    async fn dead(&self, description: &str) -> Follows {
        match table::mark_revoked(&self.shared.pool, self.id, &self.version, description).await {
            Ok(_) => {
                tracing::warn!(bot_id = %self.id, description, "Telegram refuses the token of a bot");
                // Also when the token was replaced meanwhile: the bot is opened anew with the other one.
                self.shared.hints.give(Hint::Changed(self.id));
                Follows::Dead
            }
            Err(error) => {
                tracing::warn!(%error, bot_id = %self.id, "a dead bot could not be marked");
                Follows::Wait(Duration::from_secs(1))
            }
        }
    }

    /// Shows how it goes with the bot's updates.
    pub async fn show(&self, state: UpdatesState, reason: Option<&str>) {
        let shown = (state, reason.map(str::to_owned));
        if *self.shown.lock().unwrap_or_else(PoisonError::into_inner) == shown {
            return;
        }
        if state.is_bad() {
            tracing::warn!(bot_id = %self.id, state = state.name(), reason, "the updates of a bot are not taken");
        }
        match inbound::show(&self.shared.pool, self.id, state, reason).await {
            Ok(()) => *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown,
            Err(error) => {
                tracing::warn!(%error, bot_id = %self.id, "the state of a bot's updates could not be written");
            }
        }
    }

    /// The host of a webhook that is not the service's own.
    pub fn foreign_host(&self, url: &str) -> Option<String> {
        super::webhook::foreign_host(url, self.shared.public_url.as_deref(), self.id)
    }
}
