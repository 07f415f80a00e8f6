//! Which sender sends what for a channel, and when another takes over.
//!
//! The first of the order that is active, may send the content and is not held for long sends it. What waits goes over to another one
//! when that changes: but what may have arrived stays with whoever sent it, since only that one can find out. Where nobody may send, a
//! message waits with [`NOBODY`].
//!
//! Senders may thus change between two messages of a channel. That they keep their order all the same is seen to where an attempt
//! starts: see [`store::delivery`].

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{FromRow, PgConnection, PgPool};
use store::{events, logs};
use uuid::Uuid;

use super::table::ChannelStatus;

/// The sender of what nobody can send: no sender has this id.
pub const NOBODY: Uuid = Uuid::nil();
/// So many channels are looked after in one sweep.
const SWEEP: i64 = 200;

/// Who could send for a channel, the best first. `$1` is the channel, `$2` how many seconds a sender is held before others take over.
const CANDIDATES: &str = "
SELECT cs.sender_id, s.kind, cs.rights->'send' AS send,
       row_number() OVER (ORDER BY
           COALESCE(l.held_until > now() AND l.held_until - l.held_from > make_interval(secs => $2), FALSE),
           (cs.sender_id::text = c.settings->>'preferred_sender_id') DESC NULLS LAST, cs.position, cs.sender_id) AS place
FROM telegram_channels c
JOIN channel_senders cs ON cs.channel_id = c.id AND cs.state = 'ok'
JOIN senders s ON s.id = cs.sender_id AND s.is_active
LEFT JOIN sender_leases l ON l.sender_id = cs.sender_id
WHERE c.id = $1 AND c.is_active";

/// Whether the candidate `k` may send the message `m`: an album needs what is in it, a forwarded message counts as text, and
/// only bots send buttons, but no more than 50 MB.
const FITS: &str = "
(CASE m.kind
     WHEN 'album' THEN NOT EXISTS (
         SELECT 1 FROM jsonb_array_elements(m.content->'items') AS i WHERE NOT k.send ? (i->>'type'))
     WHEN 'forward' THEN k.send ? 'text'
     ELSE k.send ? m.kind
 END AND (k.kind = 'bot' OR NOT m.content ? 'buttons')
 AND (k.kind <> 'bot' OR 52428800 >= COALESCE((m.content->'file'->>'size_bytes')::bigint,
      (SELECT sum((i->'file'->>'size_bytes')::bigint) FROM jsonb_array_elements(m.content->'items') AS i), 0)))";

/// An attempt of this sending of `m` had no answer, so that it may have arrived.
const UNANSWERED: &str = "
(m.attempts > 0 AND EXISTS (SELECT 1 FROM message_attempts a
     WHERE a.message_id = m.id AND a.outcome = 'unknown' AND a.started_at >= m.queued_at))";

/// What came of looking at a channel's senders anew.
#[derive(Debug, Default)]
pub struct Rerouted {
    /// Senders that got work.
    pub wake: Vec<Uuid>,
}

/// Gives all that waits for a channel to whoever is to send it now, and shows whether anybody can. Locks the channel's senders until the
/// transaction ends.
pub async fn reroute(db: &mut PgConnection, channel_id: Uuid, failover: Duration) -> Result<Rerouted, sqlx::Error> {
    let lock = "SELECT FROM telegram_channel_checks WHERE channel_id = $1 FOR UPDATE";
    sqlx::query(lock).bind(channel_id).execute(&mut *db).await?;
    let standing = show(db, channel_id, failover).await?;
    let Some(Standing { status, reason, user_id }) = standing else { return Ok(Rerouted::default()) };
    if status == ChannelStatus::Gone.name() {
        fail_all(db, channel_id, &reason.unwrap_or_default()).await?;
        return Ok(Rerouted::default());
    }
    give_up_unanswered(db, channel_id).await?;
    let moved = hand_over(db, channel_id, failover, reason.as_deref()).await?;
    for change in &moved {
        let data = json!({ "from": shown(change.from), "to": shown(change.to), "messages": change.messages });
        events::insert(&mut *db, user_id, "channel.sender_changed", channel_id, &data).await?;
    }
    Ok(Rerouted { wake: moved.into_iter().map(|change| change.to).filter(|to| *to != NOBODY).collect() })
}

fn shown(sender: Uuid) -> Value {
    if sender == NOBODY { Value::Null } else { json!(sender) }
}

#[derive(Debug, FromRow)]
struct HandedOver {
    from: Uuid,
    to: Uuid,
    messages: i64,
}

async fn hand_over(
    db: &mut PgConnection,
    channel_id: Uuid,
    failover: Duration,
    reason: Option<&str>,
) -> Result<Vec<HandedOver>, sqlx::Error> {
    let sql = format!(
        "WITH candidates AS MATERIALIZED ({CANDIDATES}), waiting AS (
             SELECT m.id, m.sender_id AS from_id, COALESCE(
                 (SELECT k.sender_id FROM candidates k WHERE {FITS} ORDER BY k.place LIMIT 1), $3) AS to_id
             FROM messages m
             WHERE m.channel_id = $1 AND m.status IN ('scheduled', 'queued') AND NOT {UNANSWERED}
         ), moved AS (
             -- What was imposed on the former sender is not on the next one. What was started meanwhile is left alone.
             UPDATE messages m SET sender_id = w.to_id, not_before = NULL,
                 error_code = CASE WHEN w.to_id = $3 THEN 'no_sender' END,
                 error_message = CASE WHEN w.to_id = $3 THEN $4 END
             FROM waiting w
             WHERE m.id = w.id AND m.sender_id = w.from_id AND w.from_id <> w.to_id AND m.status IN ('scheduled', 'queued')
             RETURNING w.from_id, w.to_id
         )
         SELECT from_id AS \"from\", to_id AS \"to\", count(*) AS messages FROM moved GROUP BY 1, 2"
    );
    let nobody = "No sender of the channel may send this at the moment. It waits until one can.";
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(channel_id)
        .bind(failover.as_secs_f64())
        .bind(NOBODY)
        .bind(reason.unwrap_or(nobody))
        .fetch_all(db)
        .await
}

/// Owner, state and reason before, whether it is switched on, whether anybody can send, whether the chat is gone, and why nobody can.
type Shown = (i32, String, Option<String>, Option<bool>, bool, bool, Option<String>);

struct Standing {
    status: String,
    reason: Option<String>,
    user_id: i32,
}

/// Shows whether anybody can send for a channel, with event and log when that changed.
async fn show(db: &mut PgConnection, channel_id: Uuid, failover: Duration) -> Result<Option<Standing>, sqlx::Error> {
    let sql = format!(
        "WITH candidates AS ({CANDIDATES})
         SELECT c.user_id, c.status, c.status_reason, c.is_active, EXISTS (SELECT 1 FROM candidates) AS has_sender,
                COALESCE((SELECT bool_and(cs.state = 'gone') FROM channel_senders cs WHERE cs.channel_id = c.id), c.status = 'gone') AS gone,
                (SELECT CASE
                     WHEN cs.state <> 'ok' THEN cs.reason
                     WHEN s.id IS NULL THEN 'The sender is not connected any more.'
                     ELSE 'The ' || s.kind || ' is not active: its state is ' || s.status || '.' END
                 FROM channel_senders cs LEFT JOIN senders s ON s.id = cs.sender_id
                 WHERE cs.channel_id = c.id ORDER BY cs.position, cs.sender_id LIMIT 1) AS reason
         FROM telegram_channels c WHERE c.id = $1"
    );
    let found: Option<Shown> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(channel_id)
        .bind(failover.as_secs_f64())
        .fetch_optional(&mut *db)
        .await?;
    let Some((user_id, before, reason_before, is_active, has_sender, gone, reason)) = found else { return Ok(None) };
    let (status, reason) = if !is_active.unwrap_or_default() {
        (ChannelStatus::Off, Some("The channel is switched off by its owner.".to_owned()))
    } else if has_sender {
        (ChannelStatus::Active, None)
    } else if gone {
        // What is gone and has no senders any more stays so, for the reason that is known.
        (ChannelStatus::Gone, reason.or_else(|| reason_before.clone()))
    } else {
        (ChannelStatus::NoSender, Some(reason.unwrap_or_else(|| "The channel has no sender: add one.".to_owned())))
    };
    if before != status.name() || reason_before != reason {
        sqlx::query(
            "UPDATE telegram_channels SET status = $2, status_reason = $3,
                    status_changed_at = CASE WHEN status = $2 THEN status_changed_at ELSE now() END
             WHERE id = $1",
        )
        .bind(channel_id)
        .bind(status.name())
        .bind(&reason)
        .execute(&mut *db)
        .await?;
    }
    if before != status.name() {
        tell_status(db, user_id, channel_id, status, reason.as_deref()).await?;
    }
    Ok(Some(Standing { status: status.name().to_owned(), reason, user_id }))
}

async fn tell_status(
    db: &mut PgConnection,
    user_id: i32,
    channel_id: Uuid,
    status: ChannelStatus,
    reason: Option<&str>,
) -> Result<(), sqlx::Error> {
    let event = match status {
        ChannelStatus::Gone => "channel.gone",
        ChannelStatus::NoSender => "channel.no_sender",
        ChannelStatus::Active => "channel.active",
        ChannelStatus::Off => "channel.off",
    };
    let data = json!({ "status": status, "reason": reason });
    events::insert(&mut *db, user_id, event, channel_id, &data).await?;
    if matches!(status, ChannelStatus::Gone | ChannelStatus::NoSender) {
        let log = logs::NewLog {
            user_id,
            integration_type: "telegram_channel",
            action: "check",
            error: Some(reason.unwrap_or(status.name())),
            details: Some(json!({ "channel_id": channel_id, "status": status })),
        };
        logs::insert(db, &log).await?;
    }
    Ok(())
}

/// What may have arrived through a sender that is dead or gone: nobody will find out any more, and it holds up the others no longer.
async fn give_up_unanswered(db: &mut PgConnection, channel_id: Uuid) -> Result<(), sqlx::Error> {
    let sql = format!(
        "WITH lost AS (
             UPDATE messages m SET status = 'unknown', error_code = 'unknown_outcome', finished_at = now(), not_before = NULL,
                 error_message = 'It was sent without an answer, and its sender is not active any more.'
             WHERE m.channel_id = $1 AND m.status = 'queued' AND {UNANSWERED}
               AND NOT EXISTS (SELECT 1 FROM senders s WHERE s.id = m.sender_id AND s.is_active)
             RETURNING m.id, m.user_id, m.sender_id, m.chat_id, m.error_code, m.error_message
         ), told AS (
             INSERT INTO events (id, user_id, type, resource_id, data)
             SELECT uuid7_now(), user_id, 'message.unknown', id, jsonb_build_object(
                 'status', 'unknown', 'sender_id', sender_id, 'chat_id', chat_id, 'code', error_code)
             FROM lost
         )
         INSERT INTO integration_logs (id, user_id, integration_type, action, status, details, error_message)
         SELECT uuid7_now(), l.user_id, 'telegram_channel', 'send', 'error',
                jsonb_build_object('message_id', l.id, 'state', 'unknown', 'code', error_code), error_message
         FROM lost l JOIN users u ON u.id = l.user_id"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(channel_id).execute(db).await.map(drop)
}

/// The chat is gone: what waits for it can never be sent. What may have arrived is left to its sender.
async fn fail_all(db: &mut PgConnection, channel_id: Uuid, reason: &str) -> Result<(), sqlx::Error> {
    let sql = format!(
        "SELECT m.id FROM messages m
         WHERE m.channel_id = $1 AND m.status IN ('scheduled', 'queued') AND NOT {UNANSWERED}"
    );
    let ids: Vec<Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(channel_id).fetch_all(&mut *db).await?;
    store::delivery::fail_waiting(db, &ids, "chat_not_found", reason).await
}

/// Cancels what waits for a channel; what may have arrived is `unknown`. With events.
pub async fn cancel_all(db: &mut PgConnection, channel_id: Uuid, code: &str) -> Result<(), sqlx::Error> {
    let sql = format!(
        "WITH done AS (
             UPDATE messages m SET finished_at = now(), error_code = $2, not_before = NULL,
                 status = CASE WHEN {UNANSWERED} THEN 'unknown' ELSE 'cancelled' END
             WHERE m.channel_id = $1 AND m.status IN ('scheduled', 'queued')
             RETURNING m.id, m.user_id, m.sender_id, m.chat_id, m.status
         )
         INSERT INTO events (id, user_id, type, resource_id, data)
         SELECT uuid7_now(), user_id, 'message.' || status, id, jsonb_build_object(
             'status', status, 'sender_id', sender_id, 'chat_id', chat_id, 'code', $2::text)
         FROM done"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(channel_id).bind(code).execute(db).await.map(drop)
}

/// Who would send a message of this kind for a channel now, by the same rules.
#[derive(Debug, Clone, FromRow)]
pub struct Choice {
    /// The sender.
    pub sender_id: Uuid,
    /// `bot` or `account`.
    pub kind: String,
}

/// Chooses who sends a message: `content` is as it will be stored.
pub async fn choose(
    pool: &PgPool,
    channel_id: Uuid,
    kind: &str,
    content: &Value,
    failover: Duration,
) -> Result<Option<Choice>, sqlx::Error> {
    let sql = format!(
        "SELECT k.sender_id, k.kind FROM ({CANDIDATES}) k, (SELECT $3::text AS kind, $4::jsonb AS content) m
         WHERE {FITS} ORDER BY k.place LIMIT 1"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(channel_id)
        .bind(failover.as_secs_f64())
        .bind(kind)
        .bind(content)
        .fetch_optional(pool)
        .await
}

/// Channels for which something waits with somebody else than the one whose turn it is: a sender died, was held for long, recovered, or
/// was changed by its owner. Jumps from channel to channel in the index.
pub async fn to_reroute(pool: &PgPool, failover: Duration) -> Result<Vec<Uuid>, sqlx::Error> {
    let candidates = CANDIDATES.replace("c.id = $1", "c.id = w.id").replace("$2", "$1");
    let sql = format!(
        "WITH RECURSIVE work AS (
             (SELECT channel_id AS id FROM messages
              WHERE channel_id IS NOT NULL AND status = 'queued' ORDER BY channel_id LIMIT 1)
             UNION ALL
             SELECT (SELECT m.channel_id FROM messages m
                     WHERE m.channel_id IS NOT NULL AND m.status = 'queued' AND m.channel_id > work.id
                     ORDER BY m.channel_id LIMIT 1)
             FROM work WHERE work.id IS NOT NULL
         )
         SELECT w.id FROM work w
         CROSS JOIN LATERAL (
             SELECT m.sender_id, m.kind, m.content FROM messages m
             WHERE m.channel_id = w.id AND m.status = 'queued' ORDER BY m.priority, m.seq LIMIT 1
         ) m
         WHERE m.sender_id <> COALESCE(
             (SELECT k.sender_id FROM ({candidates}) k WHERE {FITS} ORDER BY k.place LIMIT 1), $2)
         ORDER BY random() LIMIT $3"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(failover.as_secs_f64())
        .bind(NOBODY)
        .bind(SWEEP)
        .fetch_all(pool)
        .await
}

/// The channels that a sender sends for.
pub async fn channels_of(db: &mut PgConnection, sender_id: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar("SELECT channel_id FROM channel_senders WHERE sender_id = $1 ORDER BY channel_id")
        .bind(sender_id)
        .fetch_all(db)
        .await
}

/// A sender was disconnected: it sends for no channel any more, and what waits goes to others. Called before its row is removed or
/// afterwards, in the same transaction.
pub async fn sender_gone(db: &mut PgConnection, sender_id: Uuid, failover: Duration) -> Result<Vec<Uuid>, sqlx::Error> {
    let channels = channels_of(db, sender_id).await?;
    sqlx::query("DELETE FROM channel_senders WHERE sender_id = $1").bind(sender_id).execute(&mut *db).await?;
    let mut wake = Vec::new();
    for channel in channels {
        wake.extend(reroute(db, channel, failover).await?.wake);
    }
    Ok(wake)
}
