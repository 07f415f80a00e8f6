//! One connected account, with the task that takes its updates.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use platform::{Hold, Refusal, Verdict};
use serde_json::{Value, json};
use sqlx::PgPool;
use store::{group::Group, leases::Lease};
use telegram::{
    accounts::{
        AccountStatus,
        inbound::{Inbound, InboundEvent, StoreInbound},
        table,
    },
    mtproto::{
        Account, Problem, Revision, Session, StreamPosition,
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
    tasks::channels::look_soon,
    worker::Ownership,
};

/// How long storing a session may take at the end of its connection: the next owner waits.
const SAVE_WITHIN: Duration = Duration::from_secs(3);

/// What all accounts of this process share.
pub struct Shared {
    /// The database.
    pub pool: PgPool,
    /// Seals sessions.
    pub sealer: Sealer,
    /// Wakes the actors of accounts.
    pub hints: Hints,
    /// Whether this worker may speak for them.
    pub ownership: Arc<Ownership>,
    /// Stores what happens in their chats.
    pub inbound: Group<StoreInbound>,
}

/// A connected account.
pub struct Live {
    account: Account,
    keeper: Arc<Keeper>,
    stop: CancellationToken,
    taker: Mutex<Option<JoinHandle<()>>>,
}

/// Writes what concerns the account's row.
struct Keeper {
    shared: Arc<Shared>,
    lease: Lease,
    user_id: i32,
    login_epoch: i32,
    has_proxy: bool,
    session: Arc<Session>,
    /// What of the session is stored.
    saved: Mutex<Revision>,
    strangers: Strangers,
}

impl Live {
    /// Starts the task of an account that is proven alive.
    pub async fn start(
        shared: Arc<Shared>,
        lease: Lease,
        stored: &table::StoredSession,
        mut account: Account,
        strangers: Strangers,
    ) -> Arc<Self> {
        let updates = account.updates().await;
        let session = account.session().clone();
        let saved = Mutex::new(*session.changes().borrow());
        let (user_id, login_epoch) = (stored.user_id, stored.login_epoch);
        let has_proxy = stored.client.get("proxy").is_some();
        let keeper = Arc::new(Keeper { shared, lease, user_id, login_epoch, has_proxy, session, saved, strangers });
        let stop = CancellationToken::new();
        let taker = updates.map(|updates| tokio::spawn(keeper.clone().take_updates(updates, stop.clone())));
        Arc::new(Self { account, keeper, stop, taker: Mutex::new(taker) })
    }

    /// Asks for a sign of life, since an open connection proves nothing, and stores what is cheap to lose. A dead session is shown; where
    /// no answer comes, the account is connected anew.
    ///
    /// # Errors
    /// What Telegram said instead.
    pub async fn care(&self) -> Result<(), Problem> {
        self.keeper.save_if_changed().await;
        let answer = self.account.probe().await;
        if let Err(problem) = &answer
            && (problem.is_dead() || problem.retry_after().is_none())
            && !self.stop.is_cancelled()
        {
            if problem.is_dead() {
                self.keeper.set_status(dead_status(problem.kind), Some(problem.code), None).await;
            }
            tracing::info!(%problem, account_id = %self.id(), "an account gives no sign of life");
            self.keeper.shared.hints.give(Hint::Changed(self.id()));
        }
        answer
    }

    /// Its id.
    pub fn id(&self) -> Uuid {
        self.keeper.lease.sender_id
    }

    /// Whether it reaches Telegram through a proxy of its own.
    pub fn has_proxy(&self) -> bool {
        self.keeper.has_proxy
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

    /// Drops the connection at once. Whoever opened the account still closes it, for what else belongs to it.
    pub fn cut(&self) {
        self.stop.cancel();
        self.account.cut();
    }

    /// Ends the connection, the task, and stores the session: when this returns, the last byte was sent.
    pub async fn close(&self) {
        self.stop.cancel();
        let taker = self.taker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(taker) = taker {
            let _ = taker.await;
        }
        self.account.close().await;
        if tokio::time::timeout(SAVE_WITHIN, self.keeper.save_if_changed()).await.is_err() {
            tracing::warn!(account_id = %self.id(), "a session could not be stored in time; what is lost is asked for again");
        }
    }
}

impl Keeper {
    fn revision(&self) -> Revision {
        *self.session.changes().borrow()
    }

    fn saved(&self) -> MutexGuard<'_, Revision> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn save_if_changed(&self) {
        if self.revision() != *self.saved() {
            self.save().await;
        }
    }

    async fn save(&self) {
        let id = self.lease.sender_id;
        let (data, revision) = self.session.export();
        let sealed = match self.shared.sealer.seal(&session_purpose(id), &data.to_bytes()).await {
            Ok(envelope) => json!(envelope),
            Err(error) => return tracing::error!(%error, account_id = %id, "a session could not be sealed"),
        };
        let worker_id = self.shared.ownership.worker_id;
        match table::save_session(&self.shared.pool, &self.lease, worker_id, self.login_epoch, &sealed).await {
            Ok(_) => *self.saved() = revision,
            Err(error) => {
                tracing::warn!(%error, account_id = %id, "a session could not be stored; the next probe tries again");
            }
        }
    }

    /// Stores what happens in the account's chats as events, each before the next is asked for: so none is missed. New keys are stored at
    /// once. There are thousands of these tasks, which mostly wait: what is seldom done is boxed, so that none keeps room for it.
    async fn take_updates(self: Arc<Self>, mut updates: Updates, stop: CancellationToken) {
        let mut changes = self.session.changes();
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => return,
                next = Box::pin(updates.next()) => next,
                Ok(()) = changes.changed() => {
                    let keys = changes.borrow_and_update().keys;
                    if keys != self.saved().keys {
                        Box::pin(self.save()).await;
                    }
                    continue;
                }
            };
            match next {
                Ok(batch) => {
                    let mut to_look_at = BTreeSet::new();
                    for event in &batch.events {
                        match event {
                            Event::NewMessage(message) => self.strangers.meet(message.chat.get()),
                            Event::Membership { chat, .. } | Event::ChatChanged { chat } => {
                                let _ = to_look_at.insert(chat.get());
                            }
                            Event::Migrated { from, to } => self.moved(from.get(), to.get()),
                            Event::Edited(_) | Event::Deleted { .. } | Event::Sent { .. } => {}
                        }
                    }
                    let events: Vec<_> = batch.events.into_iter().filter_map(describe).collect();
                    // Without events, it costs nothing to be told the same again.
                    if !events.is_empty() && !Box::pin(self.store(&stop, events, batch.moved)).await {
                        return;
                    }
                    if !to_look_at.is_empty() {
                        Box::pin(self.look_at(to_look_at)).await;
                    }
                }
                Err(problem) if problem.is_dead() => {
                    Box::pin(self.set_status(dead_status(problem.kind), Some(problem.code), None)).await;
                    self.shared.hints.give(Hint::Changed(self.lease.sender_id));
                    return;
                }
                Err(problem) => {
                    tracing::debug!(%problem, account_id = %self.lease.sender_id, "updates come later");
                }
            }
        }
    }

    /// The queue of a group goes on under the id of the supergroup that it became.
    fn moved(&self, from: i64, to: i64) {
        self.shared.hints.give(Hint::Moved { sender_id: self.lease.sender_id, from, to });
    }

    /// What these chats are now, and what the account may do there, is asked soon.
    async fn look_at(&self, chats: BTreeSet<i64>) {
        for chat_id in chats {
            if let Err(error) = look_soon(&self.shared.pool, self.lease.sender_id, chat_id).await {
                tracing::warn!(%error, account_id = %self.lease.sender_id, chat_id, "a chat that changed is looked at later");
            }
        }
    }

    /// Tries until the database takes it; false when another worker owns the account now, or it is closed.
    async fn store(&self, stop: &CancellationToken, events: Vec<InboundEvent>, moved: Vec<StreamPosition>) -> bool {
        let (lease, user_id, login_epoch) = (self.lease, self.user_id, self.login_epoch);
        let inbound = Inbound { lease, user_id, login_epoch, events, moved };
        loop {
            match self.shared.inbound.submit(inbound.clone()).await {
                Ok(stored) => return stored,
                Err(error) => tracing::warn!(%error, account_id = %lease.sender_id, "an update waits for the database"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await.is_none() {
                return false;
            }
        }
    }

    async fn set_status(&self, status: AccountStatus, reason: Option<&str>, until: Option<DateTime<Utc>>) {
        let id = self.lease.sender_id;
        let set = table::set_status(&self.shared.pool, id, self.login_epoch, status, reason, until).await;
        if let Err(error) = set {
            tracing::warn!(%error, account_id = %id, "an account's state could not be written");
        }
    }
}

/// An update as an event; `None` for what the service's own sends already tell.
fn describe(event: Event) -> Option<InboundEvent> {
    let (kind, data) = match event {
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
        Event::ChatChanged { .. } | Event::Sent { .. } => return None,
    };
    Some(InboundEvent::new(kind, data))
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
