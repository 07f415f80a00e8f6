//! `account_positions`: up to where the updates of accounts are stored as events. Both are written in one transaction, so that each
//! update becomes an event once, whatever happens to the process.

use serde_json::Value;
use sqlx::PgPool;
use store::{group::Commit, leases::Lease};
use uuid::Uuid;

use crate::mtproto::StreamPosition;

/// What happened in the chats of one account, and how far that brings its streams.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// The account, as this worker owns it.
    pub lease: Lease,
    /// Its owner.
    pub user_id: i32,
    /// The login that the positions belong to.
    pub login_epoch: i32,
    /// What happened, in order.
    pub events: Vec<InboundEvent>,
    /// The streams that moved.
    pub moved: Vec<StreamPosition>,
}

/// One event.
#[derive(Debug, Clone)]
pub struct InboundEvent {
    /// A UUIDv7, by which an event is stored once also where the database took it and its answer was lost.
    pub id: Uuid,
    /// Its type.
    pub kind: &'static str,
    /// What it tells.
    pub data: Value,
}

impl InboundEvent {
    /// An event with an id of its own.
    pub fn new(kind: &'static str, data: Value) -> Self {
        Self { id: Uuid::now_v7(), kind, data }
    }
}

/// Stores what happened to many accounts in one commit. An item's output is false when this worker does not own the account any
/// more: then nothing is stored, and the new owner asks Telegram for the same again.
pub struct StoreInbound {
    /// The database.
    pub pool: PgPool,
    /// This worker.
    pub worker_id: Uuid,
}

const STORE: &str = "
WITH owned AS (
    SELECT l.sender_id, i.user_id, i.login_epoch
    FROM sender_leases l
    JOIN unnest($1::uuid[], $2::bigint[], $3::int[], $4::int[]) AS i(sender_id, epoch, user_id, login_epoch)
      ON i.sender_id = l.sender_id AND i.epoch = l.epoch
    WHERE l.worker_id = $5
    FOR SHARE OF l
), moved AS (
    INSERT INTO account_positions AS p (sender_id, channel_id, login_epoch, pts, qts, date, seq)
    SELECT m.sender_id, m.channel_id, o.login_epoch, m.pts, m.qts, m.date, m.seq
    FROM unnest($6::uuid[], $7::bigint[], $8::int[], $9::int[], $10::int[], $11::int[])
        AS m(sender_id, channel_id, pts, qts, date, seq)
    JOIN owned o USING (sender_id)
    ON CONFLICT (sender_id, channel_id) DO UPDATE
        SET login_epoch = EXCLUDED.login_epoch, pts = EXCLUDED.pts, qts = EXCLUDED.qts, date = EXCLUDED.date, seq = EXCLUDED.seq
), told AS (
    INSERT INTO events (id, user_id, type, resource_id, data)
    SELECT e.id, o.user_id, e.type, e.sender_id, e.data
    FROM unnest($12::uuid[], $13::uuid[], $14::text[], $15::jsonb[]) AS e(id, sender_id, type, data)
    JOIN owned o USING (sender_id)
    ON CONFLICT (id) DO NOTHING
)
SELECT sender_id FROM owned";

impl Commit for StoreInbound {
    type Item = Inbound;
    type Output = bool;

    async fn commit(&self, items: &[Inbound]) -> Result<Vec<bool>, sqlx::Error> {
        let moved = || items.iter().flat_map(|item| item.moved.iter().map(|moved| (item.lease.sender_id, moved)));
        let events = || items.iter().flat_map(|item| item.events.iter().map(|event| (item.lease.sender_id, event)));
        let owned: Vec<Uuid> = sqlx::query_scalar(STORE)
            .bind(items.iter().map(|item| item.lease.sender_id).collect::<Vec<_>>())
            .bind(items.iter().map(|item| item.lease.epoch).collect::<Vec<_>>())
            .bind(items.iter().map(|item| item.user_id).collect::<Vec<_>>())
            .bind(items.iter().map(|item| item.login_epoch).collect::<Vec<_>>())
            .bind(self.worker_id)
            .bind(moved().map(|(sender, _)| sender).collect::<Vec<_>>())
            .bind(moved().map(|(_, moved)| moved.channel_id).collect::<Vec<_>>())
            .bind(moved().map(|(_, moved)| moved.pts).collect::<Vec<_>>())
            .bind(moved().map(|(_, moved)| moved.qts).collect::<Vec<_>>())
            .bind(moved().map(|(_, moved)| moved.date).collect::<Vec<_>>())
            .bind(moved().map(|(_, moved)| moved.seq).collect::<Vec<_>>())
            .bind(events().map(|(_, event)| event.id).collect::<Vec<_>>())
            .bind(events().map(|(sender, _)| sender).collect::<Vec<_>>())
            .bind(events().map(|(_, event)| event.kind).collect::<Vec<_>>())
            .bind(events().map(|(_, event)| event.data.clone()).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await?;
        Ok(items.iter().map(|item| owned.contains(&item.lease.sender_id)).collect())
    }
}

/// The positions of an account under its present login. What this worker gave to the database before, on a connection that broke
/// meanwhile, is in them or is not stored any more: both lock the lease.
pub async fn positions(pool: &PgPool, id: Uuid, login_epoch: i32) -> Result<Vec<StreamPosition>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT FROM sender_leases WHERE sender_id = $1 FOR UPDATE").bind(id).execute(&mut *tx).await?;
    let rows: Vec<(i64, i32, i32, i32, i32)> = sqlx::query_as(
        "SELECT channel_id, pts, qts, date, seq FROM account_positions WHERE sender_id = $1 AND login_epoch = $2",
    )
    .bind(id)
    .bind(login_epoch)
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let position = |(channel_id, pts, qts, date, seq)| StreamPosition { channel_id, pts, qts, date, seq };
    Ok(rows.into_iter().map(position).collect())
}
