//! Telegram accounts as senders: each is connected once, by the worker that owns it.
//!
//! - [`live`]: one connected account, with the tasks that take its updates and store its session;
//! - [`strangers`]: whom an account may not write to for a while;
//! - [`waits`]: ends the waits that Telegram imposed.

pub mod live;
mod strangers;
pub mod waits;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use platform::{BoxFuture, Content, Delivery, Hold, Outcome, Refusal, Sender, Verdict};
use sqlx::PgPool;
use telegram::{
    accounts::{AccountStatus, Client, table},
    mtproto::{Account, Kind, PeerId, Problem, SessionData},
};
use uuid::Uuid;

use super::telegram_client::Application;
use crate::{
    queue::{Hint, Hints},
    secrets::{Envelope, Sealer, purpose},
    worker::{Limits, OpenError, Opened},
};
use live::Live;
use strangers::{PEER_FLOOD, Strangers};

/// What an account's session is bound to.
pub fn session_purpose(id: Uuid) -> String {
    purpose("telegram_sessions", id, "session_data")
}

/// The connected accounts of this process.
pub struct TelegramAccounts {
    pool: PgPool,
    sealer: Sealer,
    application: Option<Application>,
    limits: Limits,
    probe_every: Duration,
    peer_flood: Duration,
    hints: Hints,
    live: Mutex<HashMap<Uuid, Arc<Live>>>,
    /// Logged in just now by this process: their connection goes on.
    adopted: Mutex<HashMap<Uuid, (i32, Account)>>,
}

impl TelegramAccounts {
    /// Without an application, accounts stay unconnected. `probe_every` is how often each is asked for a sign of life; `peer_flood`, how
    /// long one does not write to strangers after Telegram has refused that.
    pub fn new(
        pool: PgPool,
        sealer: Sealer,
        application: Option<Application>,
        limits: Limits,
        probe_every: Duration,
        peer_flood: Duration,
        hints: Hints,
    ) -> Self {
        let (live, adopted) = (Mutex::default(), Mutex::default());
        Self { pool, sealer, application, limits, probe_every, peer_flood, hints, live, adopted }
    }

    /// The application's identity.
    pub fn application(&self) -> Option<&Application> {
        self.application.as_ref()
    }

    /// Takes over the connection of a login that has just succeeded.
    pub fn adopt(&self, id: Uuid, login_epoch: i32, account: Account) {
        lock(&self.adopted).insert(id, (login_epoch, account));
    }

    /// The connected account, if this process has it.
    pub fn live(&self, id: Uuid) -> Option<Arc<Live>> {
        lock(&self.live).get(&id).cloned()
    }

    /// Accounts that should be connected and that nobody owns.
    pub async fn to_keep_open(&self) -> Result<Vec<Uuid>, sqlx::Error> {
        if self.application.is_none() {
            return Ok(Vec::new());
        }
        table::unowned(&self.pool).await
    }

    /// Connects an account and proves that it is alive.
    pub async fn open(&self, id: Uuid) -> Result<Opened, OpenError> {
        let later = |error: &dyn std::fmt::Display| OpenError::Later(error.to_string());
        let stored = table::stored_session(&self.pool, id).await.map_err(|e| later(&e))?.ok_or(OpenError::Gone)?;
        if !stored.is_active {
            return Err(OpenError::Inactive);
        }
        let adopted = lock(&self.adopted).remove(&id);
        let account = match adopted {
            Some((epoch, account)) if epoch == stored.login_epoch => account,
            other => {
                if let Some((_, stale)) = other {
                    stale.close().await;
                }
                self.connect(id, &stored).await?
            }
        };
        let (pool, sealer, hints) = (self.pool.clone(), self.sealer.clone(), self.hints.clone());
        let strangers = Strangers::new(pool.clone(), id, self.peer_flood, stored.strangers_blocked_until);
        let live = Live::start(pool, sealer, hints, id, &stored, account, strangers).await;
        live.probe(self.probe_every);
        lock(&self.live).insert(id, live.clone());
        let version = stored.login_epoch.to_string();
        let wait = stored.wait_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(Opened { sender: Arc::new(AccountSender { live }), limits: self.limits, version, wait })
    }

    async fn connect(&self, id: Uuid, stored: &table::StoredSession) -> Result<Account, OpenError> {
        let later = |error: &dyn std::fmt::Display| OpenError::Later(error.to_string());
        let Some(application) = &self.application else { return Err(OpenError::Inactive) };
        let envelope = Envelope::from_json(stored.session_data.clone()).map_err(|e| later(&e))?;
        let bytes = self.sealer.open(&session_purpose(id), &envelope).await.map_err(|e| later(&e))?;
        let data = SessionData::from_bytes(&bytes).map_err(|e| later(&e))?;
        let client: Client = serde_json::from_value(stored.client.clone()).map_err(|e| later(&e))?;
        let options = application.options(&client).await.map_err(|e| later(&e))?;
        let connected = async { Account::connect(&options, options.open_session(data).await?).await };
        let problem = match connected.await {
            Ok(account) => {
                if let Err(error) = telegram::accounts::waits::set_connected(&self.pool, id, stored.login_epoch).await {
                    tracing::warn!(%error, account_id = %id, "an account could not be shown as connected");
                }
                return Ok(account);
            }
            Err(problem) => problem,
        };
        if problem.is_dead() {
            self.set_status(id, stored.login_epoch, dead_status(problem.kind), Some(problem.code)).await;
            return Err(OpenError::Inactive);
        }
        self.set_status(id, stored.login_epoch, AccountStatus::Connecting, Some(problem.code)).await;
        Err(OpenError::Later(problem.to_string()))
    }

    async fn set_status(&self, id: Uuid, epoch: i32, status: AccountStatus, reason: Option<&str>) {
        if let Err(error) = table::set_status(&self.pool, id, epoch, status, reason, None).await {
            tracing::warn!(%error, account_id = %id, status = status.name(), "an account's state could not be written");
        }
    }

    /// Ends the connection of an account: when it returns, the last byte was sent.
    pub async fn close(&self, id: Uuid) {
        let adopted = lock(&self.adopted).remove(&id);
        if let Some((_, account)) = adopted {
            account.close().await;
        }
        let live = lock(&self.live).remove(&id);
        if let Some(live) = live {
            live.close().await;
        }
    }

    /// Marks an account that Telegram refuses; false when it was logged in anew meanwhile.
    pub async fn mark_dead(&self, id: Uuid, version: &str, code: &str) -> Result<bool, sqlx::Error> {
        let status = if code == "account_banned" || code == "account_deactivated" {
            AccountStatus::Banned
        } else {
            AccountStatus::NeedsLogin
        };
        let epoch = version.parse().unwrap_or_default();
        table::set_status(&self.pool, id, epoch, status, Some(code), None).await?;
        let stored = table::stored_session(&self.pool, id).await?;
        Ok(stored.is_none_or(|stored| stored.login_epoch == epoch))
    }

    /// Gives a hint that the state of an account changed.
    pub fn changed(&self, id: Uuid) {
        self.hints.give(Hint::Changed(id));
    }
}

/// The state that follows from a dead session.
pub fn dead_status(kind: Kind) -> AccountStatus {
    if kind == Kind::AccountClosed { AccountStatus::Banned } else { AccountStatus::NeedsLogin }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic elsewhere leaves a map of whole values behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct AccountSender {
    live: Arc<Live>,
}

impl Sender for AccountSender {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<i64, Refusal>> {
        Box::pin(async move {
            match self.live.account().resolve_username(name).await {
                Ok(Some(chat)) => Ok(chat.id.get()),
                Ok(None) => Err(Refusal {
                    code: "chat_not_found",
                    description: format!("Telegram knows no @{name}."),
                    verdict: Verdict::Fail,
                }),
                Err(problem) => {
                    let refusal = refusal(&problem);
                    self.live.note(&refusal).await;
                    Err(refusal)
                }
            }
        })
    }

    fn send<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let Content::Text(text) = &delivery.content;
            let (account, strangers) = (self.live.account(), self.live.strangers());
            let refused = strangers.refuse(account, delivery).await;
            let is_stranger = refused.as_ref().is_some_and(|refusal| refusal.code == PEER_FLOOD);
            let outcome = match refused {
                Some(refusal) => Outcome::Refused(refusal),
                None => match self.peer(delivery.chat_id).await {
                    Ok(peer) => account.send_text(peer, text, delivery.random_id).await,
                    Err(problem) => Outcome::Refused(refusal(&problem)),
                },
            };
            match &outcome {
                Outcome::Refused(refusal) if refusal.code == PEER_FLOOD && !is_stranger => strangers.block().await,
                Outcome::Refused(refusal) => self.live.note(refusal).await,
                Outcome::Sent { .. } => strangers.meet(delivery.chat_id),
                Outcome::Unanswered { .. } | Outcome::Unknown { .. } => {}
            }
            outcome
        })
    }
}

impl AccountSender {
    async fn peer(&self, chat_id: i64) -> Result<PeerId, Problem> {
        match PeerId::try_from(chat_id) {
            Ok(peer) => Ok(peer),
            Err(_) => self.live.account().resolve_id(chat_id).await,
        }
    }
}

fn refusal(problem: &Problem) -> Refusal {
    let verdict = match problem.kind {
        Kind::Refused => Verdict::Fail,
        Kind::Wait(after, hold) => Verdict::Wait { after, hold },
        Kind::SessionDead | Kind::AccountClosed => Verdict::SenderDead,
        // A question that sends nothing can be asked again.
        Kind::Unreachable | Kind::NoAnswer => Verdict::Retry,
    };
    // Waits of a question concern the account as a whole, as Telegram counts them.
    let verdict = match verdict {
        Verdict::Wait { after, .. } => Verdict::Wait { after, hold: Hold::Sender },
        other => other,
    };
    Refusal { code: problem.code, description: problem.detail.clone(), verdict }
}
