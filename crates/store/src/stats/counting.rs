//! Counts what the stream of events tells.
//!
//! Nothing is written where messages are sent. What ended is read from `events` behind a cursor and below the oldest transaction that
//! still runs, so that nothing can appear behind the cursor later. Counts and cursor move in one statement, and only if the cursor
//! still stands where the events were read from: so each event is counted once, whatever crashes and however many count at a time.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

use super::latency::Latency;
use crate::events::Cursor;

/// The platform of every route that there is.
pub const PLATFORM: &str = "telegram";

/// What a call has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is more to count.
    More,
    /// Everything is counted.
    Done,
    /// Somebody else counted the same at the same time.
    Lost,
}

/// What is counted apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    user_id: i32,
    day: NaiveDate,
    sender_id: Uuid,
    route: String,
}

#[derive(Debug, Default)]
struct Counts {
    sent: i64,
    failed: i64,
    unknown: i64,
    cancelled: i64,
    own: Latency,
    imposed: Latency,
}

/// A message that ended.
#[derive(FromRow)]
struct Ended {
    user_id: i32,
    day: NaiveDate,
    sender_id: Uuid,
    route: String,
    kind: String,
    own_ms: i64,
    imposed_ms: i64,
}

/// A part of the stream: what lies behind `from`, up to `to` and with it.
struct Span {
    from: Cursor,
    to: Cursor,
    /// What happened before this is counted with it.
    until: DateTime<Utc>,
    is_last: bool,
}

/// Counts the next events, about `limit` at most.
pub async fn count_next(pool: &PgPool, limit: i64) -> Result<Progress, sqlx::Error> {
    let span = next_span(pool, limit).await?;
    let mut counts: BTreeMap<Key, Counts> = BTreeMap::new();
    for ended in ended(pool, &span, limit).await? {
        let Ended { user_id, day, sender_id, route, .. } = ended;
        let counts = counts.entry(Key { user_id, day, sender_id, route }).or_default();
        match ended.kind.as_str() {
            "message.sent" => {
                counts.sent += 1;
                counts.own.add(ended.own_ms);
                counts.imposed.add(ended.imposed_ms);
            }
            "message.failed" => counts.failed += 1,
            "message.unknown" => counts.unknown += 1,
            _ => counts.cancelled += 1,
        }
    }
    Ok(match (write(pool, &span, counts).await?, span.is_last) {
        (false, _) => Progress::Lost,
        (true, false) => Progress::More,
        (true, true) => Progress::Done,
    })
}

/// Reads where the cursor stands and how far it may go. This and the next look are no transactions that write: those would hold up
/// all other readers of the stream.
async fn next_span(pool: &PgPool, limit: i64) -> Result<Span, sqlx::Error> {
    // In a database that was copied into another cluster, transactions are numbered anew.
    let (xid, id, end): (i64, Uuid, i64) = sqlx::query_as(
        "SELECT CASE WHEN xid > pg_snapshot_xmax(s) THEN 0 ELSE xid::text::bigint END, id, pg_snapshot_xmin(s)::text::bigint
         FROM message_stats_cursor, pg_current_snapshot() AS s",
    )
    .fetch_one(pool)
    .await?;
    let from = Cursor { xid, id };
    let last: Option<(i64, Uuid, DateTime<Utc>)> = sqlx::query_as(
        "SELECT xid::text::bigint, id, created_at FROM events
         WHERE (xid, id) > ($1::text::xid8, $2) AND xid < $3::text::xid8
         ORDER BY events.xid, id OFFSET $4 LIMIT 1",
    )
    .bind(from.xid.to_string())
    .bind(from.id)
    .bind(end.to_string())
    .bind(limit - 1)
    .fetch_optional(pool)
    .await?;
    if let Some((xid, id, until)) = last {
        return Ok(Span { from, to: Cursor { xid, id }, until, is_last: false });
    }
    // What is beyond a transaction that still runs waits for it.
    let until: DateTime<Utc> = sqlx::query_scalar(
        "SELECT COALESCE((SELECT created_at FROM events WHERE xid >= $1::text::xid8 ORDER BY events.xid, id LIMIT 1), now())",
    )
    .bind(end.to_string())
    .fetch_one(pool)
    .await?;
    Ok(Span { from, to: Cursor { xid: end, id: Uuid::nil() }, until, is_last: true })
}

async fn ended(pool: &PgPool, span: &Span, limit: i64) -> Result<Vec<Ended>, sqlx::Error> {
    // One look by key for each message, and the events by their index, whatever the planner believes: hence OFFSET, ORDER BY and
    // LIMIT. A message that was sent stays as it is, so
    // that its times are those of its event; of what was queued anew meanwhile, no times are counted.
    sqlx::query_as(
        "SELECT e.user_id, (e.created_at AT TIME ZONE 'UTC')::date AS day,
                COALESCE((e.data->>'sender_id')::uuid, m.sender_id) AS sender_id, m.route, e.type AS kind,
                GREATEST((extract(epoch FROM e.created_at - m.queued_at) * 1000)::bigint - m.imposed_wait_ms, 0) AS own_ms,
                m.imposed_wait_ms AS imposed_ms
         FROM (
             SELECT user_id, type, resource_id, data, created_at FROM events
             WHERE (xid, id) > ($1::text::xid8, $2) AND (xid, id) <= ($3::text::xid8, $4)
             ORDER BY events.xid, id LIMIT $5
         ) e
         CROSS JOIN LATERAL (
             SELECT sender_id, route, COALESCE(queued_at, created_at) AS queued_at, imposed_wait_ms FROM messages
             WHERE id = e.resource_id OFFSET 0
         ) m
         WHERE e.type IN ('message.sent', 'message.failed', 'message.unknown', 'message.cancelled')",
    )
    .bind(span.from.xid.to_string())
    .bind(span.from.id)
    .bind(span.to.xid.to_string())
    .bind(span.to.id)
    .bind(limit)
    .fetch_all(pool)
    .await
}

const WRITE: &str = "
WITH moved AS (
    UPDATE message_stats_cursor SET xid = $3::text::xid8, id = $4, counted_until = $5
    WHERE (xid = $1::text::xid8 AND id = $2) OR xid > pg_snapshot_xmax(pg_current_snapshot())
    RETURNING TRUE
), counted AS (
    INSERT INTO message_stats AS s (user_id, day, sender_id, platform, route, sent, failed, unknown, cancelled, own_ms,
                                    imposed_ms, own_counts, imposed_counts)
    SELECT n.user_id, n.day, n.sender_id, $18, n.route, n.sent, n.failed, n.unknown, n.cancelled, n.own_ms, n.imposed_ms,
           n.own_counts::bigint[], n.imposed_counts::bigint[]
    FROM unnest($6::int[], $7::date[], $8::uuid[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
                $14::bigint[], $15::bigint[], $16::text[], $17::text[])
        AS n(user_id, day, sender_id, route, sent, failed, unknown, cancelled, own_ms, imposed_ms, own_counts,
             imposed_counts)
    -- A user who was erased leaves no counts.
    JOIN users u ON u.id = n.user_id
    WHERE EXISTS (SELECT 1 FROM moved)
    ON CONFLICT (user_id, day, sender_id, platform, route) DO UPDATE SET
        sent = s.sent + EXCLUDED.sent, failed = s.failed + EXCLUDED.failed, unknown = s.unknown + EXCLUDED.unknown,
        cancelled = s.cancelled + EXCLUDED.cancelled, own_ms = s.own_ms + EXCLUDED.own_ms,
        imposed_ms = s.imposed_ms + EXCLUDED.imposed_ms, own_counts = add_counts(s.own_counts, EXCLUDED.own_counts),
        imposed_counts = add_counts(s.imposed_counts, EXCLUDED.imposed_counts)
)
SELECT EXISTS (SELECT 1 FROM moved)";

/// Adds the counts and moves the cursor; false, with nothing done, when the cursor has moved meanwhile.
async fn write(pool: &PgPool, span: &Span, counts: BTreeMap<Key, Counts>) -> Result<bool, sqlx::Error> {
    let (keys, counts): (Vec<Key>, Vec<Counts>) = counts.into_iter().unzip();
    let of = |f: fn(&Counts) -> i64| counts.iter().map(f).collect::<Vec<_>>();
    sqlx::query_scalar(WRITE)
        .bind(span.from.xid.to_string())
        .bind(span.from.id)
        .bind(span.to.xid.to_string())
        .bind(span.to.id)
        .bind(span.until)
        .bind(keys.iter().map(|key| key.user_id).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.day).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.sender_id).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.route.as_str()).collect::<Vec<_>>())
        .bind(of(|c| c.sent))
        .bind(of(|c| c.failed))
        .bind(of(|c| c.unknown))
        .bind(of(|c| c.cancelled))
        .bind(of(|c| c.own.sum_ms()))
        .bind(of(|c| c.imposed.sum_ms()))
        .bind(counts.iter().map(|c| array(c.own.counts())).collect::<Vec<_>>())
        .bind(counts.iter().map(|c| array(c.imposed.counts())).collect::<Vec<_>>())
        .bind(PLATFORM)
        .fetch_one(pool)
        .await
}

/// An array as PostgreSQL writes it: arrays of arrays of several lengths cannot be passed otherwise.
fn array(counts: &[i64]) -> String {
    let numbers: Vec<String> = counts.iter().map(ToString::to_string).collect();
    format!("{{{}}}", numbers.join(","))
}
