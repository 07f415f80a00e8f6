//! The connectors: one line of registration for each kind of sender.

mod library;
pub mod telegram_accounts;
pub mod telegram_bots;
pub mod telegram_client;

use std::{sync::Arc, time::Duration};

use platform::{BoxFuture, SendKind};
use sqlx::PgPool;
use store::leases::Lease;
use telegram::channels::{
    checks, routing,
    senders::{self, Found},
    table,
};
use uuid::Uuid;

use crate::{
    queue::{Hint, Hints},
    worker::{Barred, OpenError, Opened, Senders},
};

use telegram_accounts::TelegramAccounts;
use telegram_bots::TelegramBots;

/// Opens the senders of every kind.
pub struct Platforms {
    pool: PgPool,
    bots: Arc<TelegramBots>,
    accounts: Arc<TelegramAccounts>,
    hints: Hints,
    /// A sender that is held for longer is stood in for.
    failover: Duration,
}

impl Platforms {
    /// Registers the connectors.
    pub fn new(
        pool: PgPool,
        bots: Arc<TelegramBots>,
        accounts: Arc<TelegramAccounts>,
        hints: Hints,
        failover: Duration,
    ) -> Arc<Self> {
        Arc::new(Self { pool, bots, accounts, hints, failover })
    }

    fn wake(&self, rerouted: routing::Rerouted) {
        for sender_id in rerouted.wake {
            self.hints.give(Hint::Work(sender_id));
        }
    }

    async fn kind(&self, sender_id: Uuid) -> Result<Option<String>, sqlx::Error> {
        Ok(store::senders::find(&self.pool, sender_id).await?.map(|sender| sender.kind))
    }
}

impl Senders for Platforms {
    fn turn(&self, sender_id: Uuid) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Without an application, there are no accounts to wait for. An error shows when the sender is opened.
            if self.accounts.application().is_some()
                && let Ok(Some("account")) = self.kind(sender_id).await.as_ref().map(Option::as_deref)
            {
                self.accounts.turn(sender_id).await;
            }
        })
    }

    fn open<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<Opened, OpenError>> {
        Box::pin(async move {
            let sender_id = lease.sender_id;
            match self.kind(sender_id).await.map_err(|error| OpenError::Later(error.to_string()))?.as_deref() {
                Some("bot") => self.bots.open(lease).await,
                Some("account") => self.accounts.open(lease).await,
                Some(_) => Err(OpenError::Inactive),
                None => Err(OpenError::Gone),
            }
        })
    }

    fn mark_dead<'a>(
        &'a self,
        sender_id: Uuid,
        version: &'a str,
        code: &'a str,
        description: &'a str,
    ) -> BoxFuture<'a, Result<bool, sqlx::Error>> {
        Box::pin(async move {
            match self.kind(sender_id).await?.as_deref() {
                Some("bot") => telegram::bots::table::mark_revoked(&self.pool, sender_id, version, description).await,
                Some("account") => self.accounts.mark_dead(sender_id, version, code).await,
                _ => Ok(true),
            }
        })
    }

    fn close(&self, sender_id: Uuid) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.bots.close(sender_id).await;
            self.accounts.close(sender_id).await;
        })
    }

    fn cut(&self, sender_id: Uuid) {
        if let Some(live) = self.accounts.live(sender_id) {
            live.cut();
        }
    }

    fn barred<'a>(&'a self, sender_id: Uuid, barred: &'a Barred) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        Box::pin(async move {
            let Barred { channel_id, content, code, description, gone } = barred;
            let kinds = SendKind::needed_by(content);
            let found = Found::Nothing { gone: *gone, code, description };
            let mut tx = self.pool.begin().await?;
            if let Some(change) = senders::refuse(&mut tx, *channel_id, sender_id, &kinds, &found).await?
                && let Some(channel) = table::find(&mut *tx, *channel_id, None).await?
            {
                checks::tell(&mut tx, channel.user_id, *channel_id, &change).await?;
            }
            let rerouted = routing::reroute(&mut tx, *channel_id, self.failover).await?;
            tx.commit().await?;
            self.wake(rerouted);
            Ok(())
        })
    }

    fn chat_moved(&self, sender_id: Uuid, from: i64, to: i64) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        Box::pin(telegram::channels::moves::migrate(&self.pool, sender_id, from, to))
    }

    fn share_out(&self) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        Box::pin(async move {
            for channel_id in routing::to_reroute(&self.pool, self.failover).await? {
                let mut tx = self.pool.begin().await?;
                let rerouted = routing::reroute(&mut tx, channel_id, self.failover).await?;
                tx.commit().await?;
                self.wake(rerouted);
            }
            Ok(())
        })
    }

    fn is_cut_off(&self) -> bool {
        self.accounts.is_cut_off()
    }

    fn shared_by(&self, workers: u32) {
        self.accounts.shared_by(workers);
    }

    fn to_keep_open(&self) -> BoxFuture<'_, Result<Vec<Uuid>, sqlx::Error>> {
        Box::pin(async move {
            let mut all = self.accounts.to_keep_open().await?;
            all.extend(self.bots.to_keep_open().await?);
            Ok(all)
        })
    }
}
