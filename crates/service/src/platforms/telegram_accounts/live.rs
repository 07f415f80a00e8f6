//! One connected account, with the tasks that take its updates and store its session.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use platform::{Hold, Refusal, Verdict};
use serde_json::{Value, json};
use sqlx::PgPool;
use telegram::{
    accounts::{AccountStatus, table},
    mtproto::{
        Account, Session,
        account::{Event, Message, Updates},
    },
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{dead_status, session_purpose, strangers::Strangers};
use crate::{
    queue::{Hint, Hints},
    secrets::Sealer,
};

/// How often progress that is cheap to lose is stored.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// A connected account.
pub struct Live {
    account: Account,
    keeper: Keeper,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// Writes what concerns the account's row.
#[derive(Clone)]
struct Keeper {
    pool: PgPool,
    sealer: Sealer,
    hints: Hints,
    id: Uuid,
    user_id: i32,
    login_epoch: i32,
    strangers: Arc<Strangers>,
}

impl Live {
    /// Starts the tasks of an account that is proven alive.
    pub async fn start(
        pool: PgPool,
        sealer: Sealer,
        hints: Hints,
        id: Uuid,
        stored: &table::StoredSession,
        mut account: Account,
        strangers: Strangers,
    ) -> Arc<Self> {
        let (user_id, login_epoch, strangers) = (stored.user_id, stored.login_epoch, Arc::new(strangers));
        let keeper = Keeper { pool, sealer, hints, id, user_id, login_epoch, strangers };
        let stop = CancellationToken::new();
        let updates = account.updates().await;
        let saver = tokio::spawn(keeper.clone().save_changes(account.session().clone(), stop.clone()));
        let taker = updates.map(|updates| tokio::spawn(keeper.clone().take_updates(updates, stop.clone())));
        let tasks = Mutex::new([Some(saver), taker].into_iter().flatten().collect());
        Arc::new(Self { account, keeper, stop, tasks })
    }

    /// Asks for a sign of life each so often, until closed: an open connection proves nothing. A dead session is shown; where no answer
    /// comes, the account is connected anew.
    pub fn probe(self: &Arc<Self>, every: Duration) {
        let (live, stop) = (self.clone(), self.stop.clone());
        let probing = tokio::spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
                let Some(answer) = stop.run_until_cancelled(live.account.probe()).await else { return };
                let Err(problem) = answer else { continue };
                if problem.is_dead() {
                    live.keeper.set_status(dead_status(problem.kind), Some(problem.code), None).await;
                } else if problem.retry_after().is_some() {
                    continue;
                }
                tracing::info!(%problem, account_id = %live.keeper.id, "an account gives no sign of life");
                live.keeper.hints.give(Hint::Changed(live.keeper.id));
                return;
            }
        });
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(probing);
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Whom it may not write to.
    pub fn strangers(&self) -> &Strangers {
        &self.keeper.strangers
    }

    /// Shows what a refusal says of the account as a whole: limited, and until when. The wait ends by its time ([`super::waits`]), not
    /// by what is sent: that may have been on its way before.
    pub async fn note(&self, refusal: &Refusal) {
        if let Verdict::Wait { after, hold: Hold::Sender } = refusal.verdict {
            let until = Utc::now() + TimeDelta::from_std(after).unwrap_or(TimeDelta::days(1));
            self.keeper.set_status(AccountStatus::Limited, Some("flood_wait"), Some(until)).await;
        }
    }

    /// Ends the tasks, stores the session, and ends the connection: when this returns, the last byte was sent.
    pub async fn close(&self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            let _ = task.await;
        }
        self.account.close().await;
    }
}

impl Keeper {
    /// Stores the session whenever it changes: new keys at once, everything else now and then, and the rest at the end.
    async fn save_changes(self, session: Arc<Session>, stop: CancellationToken) {
        let mut changes = session.changes();
        let mut saved = *changes.borrow();
        loop {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(SAVE_EVERY) => false,
                alive = changes.changed() => {
                    if alive.is_err() { return; }
                    if changes.borrow_and_update().keys == saved.keys { continue; }
                    false
                }
            };
            let (data, revision) = session.export();
            if revision != saved && self.save(&data.to_bytes()).await {
                saved = revision;
            }
            if stopped {
                return;
            }
        }
    }

    async fn save(&self, bytes: &[u8]) -> bool {
        let sealed = match self.sealer.seal(&session_purpose(self.id), bytes).await {
            Ok(envelope) => json!(envelope),
            Err(error) => {
                tracing::error!(%error, account_id = %self.id, "a session could not be sealed");
                return false;
            }
        };
        match table::save_session(&self.pool, self.id, self.login_epoch, &sealed).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%error, account_id = %self.id, "a session could not be stored; the next change tries again");
                false
            }
        }
    }

    /// Stores what happens in the account's chats as events, each before the next is asked for: so none is missed.
    async fn take_updates(self, mut updates: Updates, stop: CancellationToken) {
        while let Some(next) = stop.run_until_cancelled(Box::pin(updates.next())).await {
            match next {
                Ok(event) => {
                    if let Event::NewMessage(message) = &event {
                        self.strangers.meet(message.chat.get());
                    }
                    let Some((kind, data)) = describe(event) else { continue };
                    self.store(&stop, kind, &data).await;
                }
                Err(problem) if problem.is_dead() => {
                    self.set_status(dead_status(problem.kind), Some(problem.code), None).await;
                    self.hints.give(Hint::Changed(self.id));
                    return;
                }
                Err(problem) => tracing::debug!(%problem, account_id = %self.id, "updates come later"),
            }
        }
    }

    /// Tries until the database takes it.
    async fn store(&self, stop: &CancellationToken, kind: &str, data: &Value) {
        loop {
            match store::events::insert(&self.pool, self.user_id, kind, self.id, data).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, account_id = %self.id, "an update waits for the database"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await.is_none() {
                return;
            }
        }
    }

    async fn set_status(&self, status: AccountStatus, reason: Option<&str>, until: Option<DateTime<Utc>>) {
        let set = table::set_status(&self.pool, self.id, self.login_epoch, status, reason, until).await;
        if let Err(error) = set {
            tracing::warn!(%error, account_id = %self.id, "an account's state could not be written");
        }
    }
}

/// An update as an event; `None` for what the service's own sends already tell.
fn describe(event: Event) -> Option<(&'static str, Value)> {
    Some(match event {
        Event::NewMessage(message) => ("account.message_new", describe_message(&message)),
        Event::Edited(message) => ("account.message_edited", describe_message(&message)),
        Event::Deleted { chat, message_ids } => (
            "account.messages_deleted",
            json!({ "chat_id": chat.map(telegram::mtproto::PeerId::get), "message_ids": message_ids }),
        ),
        Event::Membership { chat, member } => {
            ("account.membership", json!({ "chat_id": chat.get(), "member": member }))
        }
        Event::Migrated { from, to } => ("account.chat_migrated", json!({ "from": from.get(), "to": to.get() })),
        Event::Sent { .. } => return None,
    })
}

/// Telegram's own account, which writes login codes: they must not be stored.
const TELEGRAM_ITSELF: i64 = 777_000;

fn describe_message(message: &Message) -> Value {
    if message.chat.get() == TELEGRAM_ITSELF {
        return json!({ "chat_id": TELEGRAM_ITSELF, "message_id": message.id, "date": message.date, "text": null });
    }
    json!({
        "chat_id": message.chat.get(), "message_id": message.id, "sender_id": message.sender.map(telegram::mtproto::PeerId::get),
        "outgoing": message.outgoing, "date": message.date, "edited_at": message.edited_at,
        "text": message.text.text, "entities": message.text.entities, "reply_to": message.reply_to,
        "has_media": message.has_media,
    })
}
