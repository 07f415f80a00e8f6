//! `events`: the stream of state changes.
//!
//! An event is written in the transaction that changes the state. Its place in the stream is `(xid, id)`, and a reader sees
//! only what lies below the oldest transaction that still runs: so nothing can appear behind a cursor.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgExecutor, PgPool};
use uuid::Uuid;

/// A place in the stream, written `<xid>-<id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Transaction that wrote the event.
    pub xid: i64,
    /// Id of the event.
    pub id: Uuid,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.xid, self.id.simple())
    }
}

impl std::str::FromStr for Cursor {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        let (xid, id) = s.split_once('-').ok_or(())?;
        let xid = xid.parse().ok().filter(|xid| *xid >= 0).ok_or(())?;
        Ok(Self { xid, id: id.parse().map_err(|_| ())? })
    }
}

/// One event.
#[derive(Debug, Clone, FromRow)]
pub struct EventRow {
    /// Id of the event.
    pub id: Uuid,
    /// Transaction that wrote it.
    pub xid: i64,
    /// The user whom it concerns.
    pub user_id: i32,
    /// What happened, such as `message.sent`.
    #[sqlx(rename = "type")]
    pub kind: String,
    /// What it happened to.
    pub resource_id: Uuid,
    /// The new state.
    pub data: Value,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl EventRow {
    /// Its place in the stream.
    pub fn cursor(&self) -> Cursor {
        Cursor { xid: self.xid, id: self.id }
    }
}

/// Writes one event; called in the transaction that changes the state.
pub async fn insert(
    db: impl PgExecutor<'_>,
    user_id: i32,
    kind: &str,
    resource_id: Uuid,
    data: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO events (id, user_id, type, resource_id, data) VALUES ($1, $2, $3, $4, $5)")
        .bind(Uuid::now_v7())
        .bind(user_id)
        .bind(kind)
        .bind(resource_id)
        .bind(data)
        .execute(db)
        .await
        .map(drop)
}

/// The end of the stream now: everything that commits from here on lies behind it.
pub async fn tail(pool: &PgPool) -> Result<Cursor, sqlx::Error> {
    let xid: i64 =
        sqlx::query_scalar("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").fetch_one(pool).await?;
    Ok(Cursor { xid, id: Uuid::nil() })
}

/// The next events behind a cursor, in stream order; of one user, or everybody's.
pub async fn after(
    pool: &PgPool,
    cursor: Cursor,
    user_id: Option<i32>,
    limit: i64,
) -> Result<Vec<EventRow>, sqlx::Error> {
    let query = if user_id.is_some() {
        "SELECT id, xid::text::bigint AS xid, user_id, type, resource_id, data, created_at FROM events
         WHERE user_id = $4 AND (xid, id) > ($1::text::xid8, $2) AND xid < pg_snapshot_xmin(pg_current_snapshot())
         ORDER BY events.xid, id LIMIT $3"
    } else {
        "SELECT id, xid::text::bigint AS xid, user_id, type, resource_id, data, created_at FROM events
         WHERE (xid, id) > ($1::text::xid8, $2) AND xid < pg_snapshot_xmin(pg_current_snapshot())
           AND $4::int IS NULL
         ORDER BY events.xid, id LIMIT $3"
    };
    sqlx::query_as(query).bind(cursor.xid.to_string()).bind(cursor.id).bind(limit).bind(user_id).fetch_all(pool).await
}

/// The place of the last event that can be read now.
pub async fn latest(pool: &PgPool) -> Result<Option<Cursor>, sqlx::Error> {
    let row: Option<(i64, Uuid)> = sqlx::query_as(
        "SELECT xid::text::bigint, id FROM events WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
         ORDER BY events.xid DESC, id DESC LIMIT 1",
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|(xid, id)| Cursor { xid, id }))
}
