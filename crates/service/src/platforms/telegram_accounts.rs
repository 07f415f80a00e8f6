//! Telegram accounts as senders: each is connected once, by the worker that owns it.
//!
//! - [`live`]: one connected account, with the task that takes its updates;
//! - [`care`]: asks each for a sign of life, and stores what it learnt;
//! - `budget`: how fast accounts are connected; `uplink`: whether Telegram can be reached from here at all.
//! - [`strangers`]: whom an account may not write to for a while;
//! - [`waits`]: ends the waits that Telegram imposed.

mod budget;
pub mod care;
pub mod live;
mod strangers;
mod uplink;
pub mod waits;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use platform::{BoxFuture, ChangeSent, ChatInfo, ChatRef, Delivery, Hold, Outcome, Refusal, Sender, Verdict};
use sqlx::PgPool;
use store::{group::Group, leases::Lease};
use telegram::{
    accounts::{
        AccountStatus, Client,
        inbound::{self, StoreInbound},
        table,
    },
    mtproto::{Account, Kind, PeerId, Problem, SessionData},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{library::SenderLibrary, telegram_client::Application};
use crate::{
    circuit::gates::Gates,
    files::Files,
    queue::{Hint, Hints},
    secrets::{Envelope, Sealer, purpose},
    tasks::local::{DeadLetters, Spread},
    worker::{Limits, OpenError, Opened, Ownership},
};
use budget::Budget;
use care::Care;
use live::{Live, Shared};
use strangers::{PEER_FLOOD, Strangers};
use uplink::Uplink;

/// How many accounts' updates go into one commit at most.
const INBOUND: usize = 500;
/// How many accounts are asked for a sign of life at the same time.
const PROBES_AT_ONCE: usize = 64;
/// How often it is looked for the next term after the end of one.
const NEXT_TERM: Duration = Duration::from_millis(200);

/// What an account's session is bound to.
pub fn session_purpose(id: Uuid) -> String {
    purpose("telegram_sessions", id, "session_data")
}

/// What [`TelegramAccounts`] is made of.
pub struct Parts {
    /// The database.
    pub pool: PgPool,
    /// Seals sessions.
    pub sealer: Sealer,
    /// Without an application, accounts stay unconnected.
    pub application: Option<Application>,
    /// Whether this worker may speak for accounts.
    pub ownership: Arc<Ownership>,
    /// Of every account.
    pub limits: Limits,
    /// How often each is asked for a sign of life.
    pub probe_every: Duration,
    /// How many all workers connect in a second.
    pub connects_per_second: u32,
    /// How long one does not write to strangers after Telegram has refused that.
    pub peer_flood: Duration,
    /// Wakes the actors of accounts.
    pub hints: Hints,
    /// What they send.
    pub files: Files,
    /// Tells of probes that fail.
    pub letters: DeadLetters,
}

/// The connected accounts of this process.
pub struct TelegramAccounts {
    shared: Arc<Shared>,
    application: Option<Application>,
    limits: Limits,
    peer_flood: Duration,
    budget: Budget,
    uplink: Arc<Uplink>,
    live: LiveAccounts,
    care: Arc<Spread<Care>>,
    /// Logged in just now by this process: their connection goes on.
    adopted: Mutex<HashMap<Uuid, (i32, Account)>>,
    files: Files,
    stop: CancellationToken,
}

/// The accounts that are connected here.
#[derive(Clone, Default)]
pub struct LiveAccounts(Arc<Mutex<HashMap<Uuid, Arc<Live>>>>);

impl LiveAccounts {
    fn get(&self, id: Uuid) -> Option<Arc<Live>> {
        lock(&self.0).get(&id).cloned()
    }

    fn all(&self) -> Vec<Arc<Live>> {
        lock(&self.0).values().cloned().collect()
    }
}

impl TelegramAccounts {
    /// Starts the tasks that care for all accounts together; they end with `stop`.
    pub fn start(parts: Parts, stop: CancellationToken) -> Arc<Self> {
        let Parts {
            pool,
            sealer,
            application,
            ownership,
            limits,
            probe_every,
            connects_per_second,
            peer_flood,
            hints,
            files,
            letters,
        } = parts;
        let inbound = StoreInbound { pool: store::db::hot(&pool, 1), worker_id: ownership.worker_id };
        let inbound = Group::spawn(inbound, INBOUND);
        let shared = Arc::new(Shared { pool, sealer, hints, ownership, inbound });
        let live = LiveAccounts::default();
        let uplink = Arc::new(Uplink::default());
        let care = Spread::new(Care { live: live.clone() }, probe_every, PROBES_AT_ONCE, letters);
        tokio::spawn(care.clone().run(stop.clone()));
        let server = application.as_ref().map(|application| application.server().clone());
        tokio::spawn(uplink::watch(uplink.clone(), live.clone(), server, stop.clone()));
        let budget = Budget::new(connects_per_second);
        let this = Self {
            shared,
            application,
            limits,
            peer_flood,
            budget,
            uplink,
            live,
            care,
            adopted: Mutex::default(),
            files,
            stop: stop.clone(),
        };
        let this = Arc::new(this);
        tokio::spawn(this.clone().end_with_terms(stop));
        this
    }

    /// Drops every connection at the end of each term of this worker. Nothing here waits: the others may connect the same sessions
    /// soon after.
    async fn end_with_terms(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let term = self.shared.ownership.term();
            if stop.run_until_cancelled(term.cancelled()).await.is_none() {
                return;
            }
            lock(&self.adopted).clear();
            let live = self.live.all();
            for live in &live {
                live.cut();
            }
            tracing::warn!(accounts = live.len(), "the connections of all accounts were dropped");
            while self.shared.ownership.term().is_cancelled() {
                if stop.run_until_cancelled(tokio::time::sleep(NEXT_TERM)).await.is_none() {
                    return;
                }
            }
        }
    }

    /// The probes of all accounts.
    pub fn care(&self) -> Arc<Spread<Care>> {
        self.care.clone()
    }

    /// Whether Telegram cannot be reached from here at all.
    pub fn is_cut_off(&self) -> bool {
        self.uplink.is_cut_off()
    }

    /// So many workers share the budget of connects.
    pub fn shared_by(&self, workers: u32) {
        self.budget.shared_by(workers);
    }

    /// The application's identity.
    pub fn application(&self) -> Option<&Application> {
        self.application.as_ref()
    }

    /// Takes over the connection of a login that has just succeeded.
    pub fn adopt(&self, id: Uuid, login_epoch: i32, account: Account) {
        let mut adopted = lock(&self.adopted);
        // Else the connection ends here: its account is another worker's soon.
        if self.shared.ownership.holds() {
            adopted.insert(id, (login_epoch, account));
        }
    }

    /// The connected account, if this process has it.
    pub fn live(&self, id: Uuid) -> Option<Arc<Live>> {
        self.live.get(id)
    }

    /// The connected account as a sender, if this process has it.
    pub fn sender(&self, id: Uuid) -> Option<Arc<dyn Sender>> {
        self.live.get(id).map(|live| self.sender_of(live))
    }

    /// Accounts that should be connected and that nobody owns.
    pub async fn to_keep_open(&self) -> Result<Vec<Uuid>, sqlx::Error> {
        if self.application.is_none() {
            return Ok(Vec::new());
        }
        table::unowned(&self.shared.pool).await
    }

    /// Waits until the budget lets an account be connected. One whose connection is there already has nothing to wait for.
    pub async fn turn(&self, id: Uuid) {
        if !lock(&self.adopted).contains_key(&id) {
            self.budget.turn().await;
        }
    }

    /// Connects an account and proves that it is alive. What was begun is gone when the future is dropped or the worker's term ends.
    pub async fn open(&self, lease: &Lease) -> Result<Opened, OpenError> {
        let term = self.shared.ownership.term();
        let opened = term.run_until_cancelled(self.open_in_term(lease)).await;
        if term.is_cancelled()
            && let Some(live) = self.live.get(lease.sender_id)
        {
            live.cut();
        }
        opened.unwrap_or_else(|| Err(OpenError::Later("the worker's term ended".into())))
    }

    async fn open_in_term(&self, lease: &Lease) -> Result<Opened, OpenError> {
        let id = lease.sender_id;
        let later = |error: &dyn std::fmt::Display| OpenError::Later(error.to_string());
        let adopted = lock(&self.adopted).remove(&id);
        let stored =
            table::stored_session(&self.shared.pool, id).await.map_err(|e| later(&e))?.ok_or(OpenError::Gone)?;
        if !stored.is_active {
            return Err(OpenError::Inactive);
        }
        let account = match adopted {
            Some((epoch, account)) if epoch == stored.login_epoch => account,
            other => {
                if let Some((_, stale)) = other {
                    stale.close().await;
                }
                if let Some(wait) = lease.connects_in() {
                    return Err(OpenError::NotBefore(wait));
                }
                self.connect(id, &stored).await?
            }
        };
        let strangers = Strangers::new(self.shared.pool.clone(), id, self.peer_flood, stored.strangers_blocked_until);
        let live = Live::start(self.shared.clone(), *lease, &stored, account, strangers).await;
        lock(&self.live.0).insert(id, live.clone());
        self.care.add(id);
        let version = stored.login_epoch.to_string();
        let sender = self.sender_of(live);
        Ok(Opened { sender, limits: self.limits, version, gates: Gates::new(None), is_connected: true })
    }

    fn sender_of(&self, live: Arc<Live>) -> Arc<dyn Sender> {
        let ends = [self.stop.clone(), self.shared.ownership.term()];
        let library = SenderLibrary::new(self.files.clone(), live.id(), ends);
        Arc::new(AccountSender { live, library })
    }

    async fn connect(&self, id: Uuid, stored: &table::StoredSession) -> Result<Account, OpenError> {
        let later = |error: &dyn std::fmt::Display| OpenError::Later(error.to_string());
        let Some(application) = &self.application else { return Err(OpenError::Inactive) };
        let broken = |error: &dyn std::fmt::Display| OpenError::Broken(format!("the session cannot be read: {error}"));
        let envelope = Envelope::from_json(stored.session_data.clone())?;
        let bytes = self.shared.sealer.open(&session_purpose(id), &envelope).await?;
        let mut data = SessionData::from_bytes(&bytes).map_err(|e| broken(&e))?;
        let positions = inbound::positions(&self.shared.pool, id, stored.login_epoch).await.map_err(|e| later(&e))?;
        data.updates.take_up(positions);
        let client: Client = serde_json::from_value(stored.client.clone()).map_err(|e| broken(&e))?;
        let options = application.options(&client, &self.shared.ownership).await.map_err(|e| later(&e))?;
        let connected = async { Account::connect(&options, options.open_session(data).await?).await };
        let connected = connected.await;
        // A proxy of its own says nothing of the way from here.
        if client.proxy.is_none() {
            self.uplink.note(id, !connected.as_ref().is_err_and(|problem| problem.kind == Kind::Unreachable));
        }
        let problem = match connected {
            Ok(account) => {
                if let Err(error) =
                    telegram::accounts::waits::set_connected(&self.shared.pool, id, stored.login_epoch).await
                {
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
        match problem.retry_after() {
            Some(wait) => Err(OpenError::NotBefore(wait)),
            None => Err(OpenError::Later(problem.to_string())),
        }
    }

    async fn set_status(&self, id: Uuid, epoch: i32, status: AccountStatus, reason: Option<&str>) {
        if let Err(error) = table::set_status(&self.shared.pool, id, epoch, status, reason, None).await {
            tracing::warn!(%error, account_id = %id, status = status.name(), "an account's state could not be written");
        }
    }

    /// Ends the connection of an account: when it returns, the last byte was sent.
    pub async fn close(&self, id: Uuid) {
        let adopted = lock(&self.adopted).remove(&id);
        if let Some((_, account)) = adopted {
            account.close().await;
        }
        self.care.remove(id);
        let live = lock(&self.live.0).remove(&id);
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
        table::set_status(&self.shared.pool, id, epoch, status, Some(code), None).await?;
        let stored = table::stored_session(&self.shared.pool, id).await?;
        Ok(stored.is_none_or(|stored| stored.login_epoch == epoch))
    }

    /// Gives a hint that the state of an account changed.
    pub fn changed(&self, id: Uuid) {
        self.shared.hints.give(Hint::Changed(id));
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
    library: SenderLibrary,
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

    fn chat<'a>(&'a self, chat: &'a ChatRef) -> BoxFuture<'a, Result<ChatInfo, Refusal>> {
        Box::pin(async move { self.live.account().chat_info(chat).await.map_err(|problem| refusal(&problem)) })
    }

    fn join<'a>(&'a self, chat: &'a ChatRef) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move { self.live.account().join(chat).await.map_err(|problem| refusal(&problem)) })
    }

    fn send<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let (account, strangers) = (self.live.account(), self.live.strangers());
            let refused = strangers.refuse(account, delivery).await;
            let is_stranger = refused.as_ref().is_some_and(|refusal| refusal.code == PEER_FLOOD);
            let outcome = match refused {
                Some(refusal) => Outcome::Refused(refusal),
                None => match self.peer(delivery.chat_id).await {
                    Ok(peer) => account.send(peer, delivery, &self.library).await,
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

    fn change<'a>(&'a self, change: &'a ChangeSent) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let changed = async { self.live.account().change(self.peer(change.chat_id).await?, change).await };
            changed.await.map_err(|problem| refusal(&problem))
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
        Kind::Refused => problem.barred().map_or(Verdict::Fail, |gone| Verdict::Barred { gone }),
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
