//! After `PEER_FLOOD` an account writes only to people whom it knows: more messages to strangers would have it limited for longer, or
//! banned. Whether it is blocked stands in its row; whom it knows is read when it first matters.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use platform::{Delivery, Refusal, Verdict};
use sqlx::PgPool;
use store::{chats, delivery};
use telegram::{accounts::waits, mtproto::Account};
use uuid::Uuid;

/// The code of messages to strangers that are not tried, and of the one that Telegram refused.
pub const PEER_FLOOD: &str = "peer_flood";
/// The dialogs in which people are looked for; those who were written to through the service are known besides.
const DIALOGS: usize = 2000;

/// Whom one account may not write to.
pub struct Strangers {
    pool: PgPool,
    account_id: Uuid,
    /// How long a refusal counts.
    block_for: Duration,
    blocked_until: Mutex<Option<DateTime<Utc>>>,
    /// Those whom it knows. Complete once `is_read`; kept while it is blocked only.
    known: Mutex<HashSet<i64>>,
    is_read: tokio::sync::Mutex<bool>,
}

impl Strangers {
    /// As the account's row says.
    pub fn new(pool: PgPool, account_id: Uuid, block_for: Duration, blocked_until: Option<DateTime<Utc>>) -> Self {
        let (known, is_read) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { pool, account_id, block_for, blocked_until: Mutex::new(blocked_until), known, is_read }
    }

    /// Telegram has refused a message as one of too many to strangers.
    pub async fn block(&self) {
        let until = Utc::now() + TimeDelta::from_std(self.block_for).unwrap_or(TimeDelta::days(1));
        if self.blocked_until().is_none() {
            // What was known at an earlier time has gaps.
            *self.is_read.lock().await = false;
        }
        *self.blocked_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        if let Err(error) = waits::block_strangers(&self.pool, self.account_id, until).await {
            tracing::warn!(%error, account_id = %self.account_id, "an account's block could not be written");
        }
    }

    /// Somebody wrote to the account, or got something from it.
    pub fn meet(&self, chat_id: i64) {
        if chat_id > 0 && self.blocked_until().is_some() {
            self.known().insert(chat_id);
        }
    }

    /// Why a message must not be tried. Costs nothing while the account is not blocked.
    pub async fn refuse(&self, account: &Account, message: &Delivery) -> Option<Refusal> {
        let until = self.blocked_until()?;
        let chat = message.chat_id;
        if chat <= 0 || chat == account.user().id || self.known().contains(&chat) {
            return None;
        }
        match self.is_stranger(account, message).await {
            Ok(false) => None,
            Ok(true) => Some(Refusal {
                code: PEER_FLOOD,
                description: format!(
                    "Telegram takes this account's messages to strangers for spam. Until {} none is tried.",
                    until.format("%Y-%m-%dT%H:%M:%SZ")
                ),
                verdict: Verdict::Fail,
            }),
            Err(refusal) => Some(refusal),
        }
    }

    async fn is_stranger(&self, account: &Account, message: &Delivery) -> Result<bool, Refusal> {
        let mut is_read = self.is_read.lock().await;
        if !*is_read {
            let dialogs = account.dialogs(DIALOGS).await.map_err(|problem| super::refusal(&problem))?;
            let reached = chats::people_reached(&self.pool, self.account_id).await.map_err(|e| later(&e))?;
            self.known().extend(dialogs.iter().map(|chat| chat.id.get()).chain(reached));
            *is_read = true;
        }
        if self.known().contains(&message.chat_id) {
            return Ok(false);
        }
        // What may have arrived is repeated, not called failed: Telegram knows it by its random id.
        let may_have_arrived =
            delivery::may_have_arrived(&self.pool, message.message_id).await.map_err(|e| later(&e))?;
        Ok(!may_have_arrived)
    }

    fn blocked_until(&self) -> Option<DateTime<Utc>> {
        let blocked_until = *self.blocked_until.lock().unwrap_or_else(PoisonError::into_inner);
        blocked_until.filter(|until| *until > Utc::now())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<i64>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(error: &sqlx::Error) -> Refusal {
    tracing::warn!(%error, "whom an account knows could not be read");
    let description = "The database did not answer.".to_owned();
    Refusal { code: "database_unavailable", description, verdict: Verdict::Retry }
}
