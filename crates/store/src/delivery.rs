//! The life of a message between `queued` and its end: claimed, started, finished.

use serde_json::Value;
use sqlx::{FromRow, PgExecutor, PgPool};
use uuid::Uuid;

use crate::group::Commit;

/// A due message as the sender's actor plans with it. Its content is read when the attempt starts.
#[derive(Debug, Clone)]
pub struct DueRow {
    /// The message.
    pub id: Uuid,
    /// 0 high, 1 mid, 2 low.
    pub priority: i16,
    /// Its place.
    pub seq: i64,
    /// Numeric destination; `None` until the name is resolved.
    pub chat_id: Option<i64>,
    /// Destination by name.
    pub chat_name: Option<String>,
    /// Seconds until it may be tried, by the database's clock; not positive when it may be tried now.
    pub wait_seconds: Option<f64>,
}

/// A question of a sender's actor: what is due, in (priority, seq) order, without the messages that it holds already and without
/// the chats that it cannot serve now.
#[derive(Debug, Clone)]
pub struct Look {
    /// The sender.
    pub sender_id: Uuid,
    /// Messages to leave out.
    pub skip_messages: Vec<Uuid>,
    /// Chats to leave out.
    pub skip_chats: Vec<i64>,
}

/// Answers many actors in one statement: under load, almost every message makes its sender's actor look.
pub struct Due {
    /// The database.
    pub pool: PgPool,
    /// How many messages one actor gets at most.
    pub limit: i64,
}

const DUE: &str = "
SELECT a.place, d.id, d.priority, d.seq, d.chat_id, d.chat_name, d.wait_seconds
FROM unnest($1::uuid[]) WITH ORDINALITY AS a(sender_id, place)
CROSS JOIN LATERAL (
    SELECT id, priority, seq, chat_id, chat_name, extract(epoch FROM not_before - now())::float8 AS wait_seconds
    FROM messages
    WHERE sender_id = a.sender_id AND status = 'queued' AND NOT id = ANY($2)
      AND (chat_id IS NULL OR NOT EXISTS (
          SELECT 1 FROM unnest($3::bigint[], $4::bigint[]) AS h(place, chat_id)
          WHERE h.place = a.place AND h.chat_id = messages.chat_id))
    ORDER BY priority, seq LIMIT $5
) d
ORDER BY a.place, d.priority, d.seq";

type FoundRow = (i64, Uuid, i16, i64, Option<i64>, Option<String>, Option<f64>);

impl Commit for Due {
    type Item = Look;
    type Output = Vec<DueRow>;

    async fn commit(&self, items: &[Look]) -> Result<Vec<Vec<DueRow>>, sqlx::Error> {
        let places = || (1_i64..).zip(items);
        let held = || places().flat_map(|(place, look)| look.skip_chats.iter().map(move |chat| (place, *chat)));
        let rows: Vec<FoundRow> = sqlx::query_as(DUE)
            .bind(items.iter().map(|look| look.sender_id).collect::<Vec<_>>())
            .bind(items.iter().flat_map(|look| look.skip_messages.iter().copied()).collect::<Vec<_>>())
            .bind(held().map(|(place, _)| place).collect::<Vec<_>>())
            .bind(held().map(|(_, chat)| chat).collect::<Vec<_>>())
            .bind(self.limit)
            .fetch_all(&self.pool)
            .await?;
        let mut rows = rows.into_iter().peekable();
        Ok(places()
            .map(|(place, _)| std::iter::from_fn(|| rows.next_if(|row| row.0 == place)).map(due_row).collect())
            .collect())
    }
}

fn due_row((_, id, priority, seq, chat_id, chat_name, wait_seconds): FoundRow) -> DueRow {
    DueRow { id, priority, seq, chat_id, chat_name, wait_seconds }
}

/// An attempt to start.
#[derive(Debug, Clone)]
pub struct StartAttempt {
    /// UUIDv7 of the attempt.
    pub attempt_id: Uuid,
    /// The message.
    pub message_id: Uuid,
    /// Its sender.
    pub sender_id: Uuid,
    /// Its queue, as it was read.
    pub priority: i16,
    /// Its place, as it was read: one that was queued anew meanwhile does not start out of turn.
    pub seq: i64,
    /// The epoch in which the worker owns the sender.
    pub epoch: i64,
}

/// A message whose attempt has started: the bytes may be written now.
#[derive(Debug, Clone)]
pub struct StartedMessage {
    /// The message.
    pub id: Uuid,
    /// Destination.
    pub chat_id: i64,
    /// The channel that it was sent to, whose other senders may take over.
    pub channel_id: Option<Uuid>,
    /// Kind of content.
    pub kind: String,
    /// The content.
    pub content: Value,
    /// Id that the platform deduplicates on.
    pub random_id: i64,
    /// How many attempts there are, this one included.
    pub attempts: i32,
    /// How long ago it became due, without the waits that the platform imposed.
    pub age: std::time::Duration,
    /// W3C trace context that it continues.
    pub traceparent: Option<String>,
}

/// What became of the start.
#[derive(Debug, Clone)]
pub enum Started {
    /// `queued → sending` is committed.
    Yes(StartedMessage),
    /// The message is not queued any more: cancelled meanwhile, or given to another sender.
    NotQueued,
    /// Another sender has a message on its way to the same channel, or one that comes before this one.
    NotYet,
    /// The worker does not own the sender any more.
    NotOwned,
}

/// Starts attempts, many in one commit.
pub struct Start {
    /// The database.
    pub pool: PgPool,
    /// This worker.
    pub worker_id: Uuid,
}

// The whole key of the queue's index is given: by the sender alone, each start would read the sender's whole queue.
//
// The messages of a channel may go through several senders, whose actors know nothing of each other. So that they keep their order, none
// starts while another is on its way, or before one that comes first and has a sender. An actor that starts a message sees what others
// have committed, and a message changes its sender only while it waits: so of two that start at once, the later one sees the earlier.
const START: &str = "
WITH input AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::uuid[], $7::smallint[], $8::bigint[])
        AS t(message_id, attempt_id, sender_id, epoch, event_id, priority, seq)
), owned AS (
    SELECT l.sender_id, l.epoch FROM sender_leases l
    WHERE l.sender_id = ANY($3) AND l.worker_id = $6
      AND EXISTS (SELECT 1 FROM workers w WHERE w.id = $6 AND w.valid_until > now())
    FOR SHARE OF l
), started AS (
    UPDATE messages m SET status = 'sending', attempt_id = i.attempt_id, attempts = m.attempts + 1
    FROM input i JOIN owned o USING (sender_id, epoch)
    WHERE m.id = i.message_id AND m.sender_id = i.sender_id AND m.priority = i.priority AND m.seq = i.seq
      AND m.status = 'queued' AND m.chat_id IS NOT NULL
      AND (m.channel_id IS NULL OR NOT (
          EXISTS (SELECT 1 FROM messages b WHERE b.channel_id = m.channel_id AND b.status = 'sending')
          OR EXISTS (SELECT 1 FROM messages b WHERE b.channel_id = m.channel_id AND b.status = 'queued'
                     AND b.priority = m.priority AND b.seq < m.seq
                     AND b.sender_id <> '00000000-0000-0000-0000-000000000000')))
    RETURNING m.channel_id, m.id, m.user_id, m.sender_id, m.chat_id, m.kind, m.content, m.random_id, m.attempts, m.attempt_id,
              m.traceparent, extract(epoch FROM now() - m.queued_at)::float8 - m.imposed_wait_ms / 1000.0 AS age,
              i.epoch, i.event_id
), recorded AS (
    INSERT INTO message_attempts (id, message_id, sender_id, worker_id, epoch)
    SELECT attempt_id, id, sender_id, $6, epoch FROM started
), told AS (
    INSERT INTO events (id, user_id, type, resource_id, data)
    SELECT event_id, user_id, 'message.sending', id,
           jsonb_build_object('status', 'sending', 'sender_id', sender_id, 'chat_id', chat_id)
    FROM started
)
SELECT i.message_id, o.sender_id IS NOT NULL, s.id IS NOT NULL, s.chat_id, s.kind, s.content, s.random_id, s.attempts,
       s.age, s.traceparent, s.channel_id,
       s.id IS NULL AND EXISTS (
           SELECT 1 FROM messages m WHERE m.id = i.message_id AND m.sender_id = i.sender_id AND m.priority = i.priority
               AND m.seq = i.seq AND m.status = 'queued' AND m.channel_id IS NOT NULL)
FROM input i
LEFT JOIN owned o USING (sender_id, epoch)
LEFT JOIN started s ON s.id = i.message_id";

type StartRow = (
    Uuid,
    bool,
    bool,
    Option<i64>,
    Option<String>,
    Option<Value>,
    Option<i64>,
    Option<i32>,
    Option<f64>,
    Option<String>,
    Option<Uuid>,
    bool,
);

impl Commit for Start {
    type Item = StartAttempt;
    type Output = Started;

    async fn commit(&self, items: &[StartAttempt]) -> Result<Vec<Started>, sqlx::Error> {
        let rows: Vec<StartRow> = sqlx::query_as(START)
            .bind(items.iter().map(|a| a.message_id).collect::<Vec<_>>())
            .bind(items.iter().map(|a| a.attempt_id).collect::<Vec<_>>())
            .bind(items.iter().map(|a| a.sender_id).collect::<Vec<_>>())
            .bind(items.iter().map(|a| a.epoch).collect::<Vec<_>>())
            .bind(items.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
            .bind(self.worker_id)
            .bind(items.iter().map(|a| a.priority).collect::<Vec<_>>())
            .bind(items.iter().map(|a| a.seq).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await?;
        let mut by_message: std::collections::HashMap<Uuid, Started> =
            rows.into_iter().map(|row| (row.0, started(row))).collect();
        Ok(items.iter().map(|a| by_message.remove(&a.message_id).unwrap_or(Started::NotQueued)).collect())
    }
}

fn started(row: StartRow) -> Started {
    let (id, owned, _, chat_id, kind, content, random_id, attempts, age, traceparent, channel_id, waits) = row;
    match (owned, chat_id, kind, content, random_id, attempts) {
        (false, ..) => Started::NotOwned,
        (true, Some(chat_id), Some(kind), Some(content), Some(random_id), Some(attempts)) => {
            let age = std::time::Duration::try_from_secs_f64(age.unwrap_or_default()).unwrap_or_default();
            Started::Yes(StartedMessage {
                id,
                chat_id,
                channel_id,
                kind,
                content,
                random_id,
                attempts,
                age,
                traceparent,
            })
        }
        _ if waits => Started::NotYet,
        _ => Started::NotQueued,
    }
}

/// The end of an attempt, and what it makes of the message.
#[derive(Debug, Clone)]
pub struct FinishAttempt {
    /// The message.
    pub message_id: Uuid,
    /// The attempt.
    pub attempt_id: Uuid,
    /// `sent`, `refused` or `unknown`.
    pub outcome: &'static str,
    /// The message's next state: `sent`, `failed`, `unknown` or `queued` (to be tried again).
    pub status: &'static str,
    /// Stable code of what went wrong.
    pub code: Option<String>,
    /// The platform's words.
    pub description: Option<String>,
    /// How long to wait before the next try, in milliseconds.
    pub wait_ms: Option<i64>,
    /// The wait was imposed by the platform.
    pub imposed: bool,
    /// Id at the platform; that of the first part, where there are several.
    pub platform_message_id: Option<i64>,
    /// The random and platform ids of all parts, where there are several.
    pub parts: Vec<(i64, i64)>,
}

/// A message whose attempt has finished, for the metrics; `None` when the message had moved on.
#[derive(Debug, Clone, FromRow)]
pub struct FinishedMessage {
    /// The message.
    pub id: Uuid,
    /// The route that was called.
    pub route: String,
    /// 0 high, 1 mid, 2 low.
    pub priority: i16,
    /// Seconds since it was accepted or became due, without the waits that the platform imposed.
    pub own_seconds: f64,
    /// Seconds of the waits that the platform imposed.
    pub imposed_seconds: f64,
}

/// Finishes attempts, many in one commit.
pub struct Finish {
    /// The database.
    pub pool: PgPool,
}

const FINISH: &str = "
WITH input AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                         $8::bool[], $9::bigint[], $10::uuid[], $11::uuid[])
        AS t(message_id, attempt_id, outcome, status, code, description, wait_ms, imposed, platform_message_id,
             event_id, log_id)
), attempts AS (
    UPDATE message_attempts a SET finished_at = now(), outcome = i.outcome, code = i.code,
           description = i.description, retry_after_ms = i.wait_ms
    FROM input i WHERE a.id = i.attempt_id
), finished AS (
    UPDATE messages m SET
        status = i.status,
        -- What nobody could tell had released its place: it joins the tail.
        seq = CASE WHEN m.status = 'unknown' AND i.status = 'queued' THEN nextval('message_seq') ELSE m.seq END,
        error_code = i.code,
        error_message = i.description,
        platform_message_id = COALESCE(i.platform_message_id, m.platform_message_id),
        not_before = now() + make_interval(secs => i.wait_ms / 1000.0),
        imposed_wait_ms = m.imposed_wait_ms + CASE WHEN i.imposed THEN COALESCE(i.wait_ms, 0) ELSE 0 END,
        finished_at = CASE WHEN i.status = 'queued' THEN NULL ELSE now() END
    FROM input i
    WHERE m.id = i.message_id AND m.attempt_id = i.attempt_id AND m.status IN ('sending', 'unknown')
    RETURNING m.id, m.user_id, m.route, m.priority, m.sender_id, m.chat_id, m.status, m.error_code, m.error_message,
              m.platform_message_id, m.queued_at, m.imposed_wait_ms, m.not_before, i.event_id, i.log_id
), parts AS (
    INSERT INTO message_parts (id, message_id, part, random_id, platform_message_id)
    SELECT p.id, p.message_id, p.part, p.random_id, p.platform_message_id
    FROM unnest($12::uuid[], $13::uuid[], $14::int[], $15::bigint[], $16::bigint[])
        AS p(id, message_id, part, random_id, platform_message_id)
    JOIN finished f ON f.id = p.message_id
), told AS (
    INSERT INTO events (id, user_id, type, resource_id, data)
    SELECT event_id, user_id, 'message.' || status, id,
           jsonb_strip_nulls(jsonb_build_object('status', status, 'sender_id', sender_id, 'chat_id', chat_id,
               'code', error_code, 'platform_message_id', platform_message_id, 'not_before', not_before))
    FROM finished
), logged AS (
    INSERT INTO integration_logs (id, user_id, integration_type, action, status, details, error_message)
    SELECT log_id, f.user_id, 'telegram_' || route, 'send', CASE WHEN f.status = 'sent' THEN 'success' ELSE 'error' END,
           CASE WHEN f.status <> 'sent' THEN
               jsonb_build_object('message_id', f.id, 'state', f.status, 'code', error_code) END, error_message
    FROM finished f JOIN users u ON u.id = f.user_id
    WHERE f.status <> 'queued'
)
SELECT id, route, priority,
       GREATEST(extract(epoch FROM now() - queued_at) - imposed_wait_ms / 1000.0, 0)::float8 AS own_seconds,
       (imposed_wait_ms / 1000.0)::float8 AS imposed_seconds
FROM finished";

impl Commit for Finish {
    type Item = FinishAttempt;
    type Output = Option<FinishedMessage>;

    async fn commit(&self, items: &[FinishAttempt]) -> Result<Vec<Option<FinishedMessage>>, sqlx::Error> {
        let parts = || items.iter().flat_map(|f| (0_i32..).zip(&f.parts).map(|(part, ids)| (f.message_id, part, *ids)));
        let rows: Vec<FinishedMessage> = sqlx::query_as(FINISH)
            .bind(items.iter().map(|f| f.message_id).collect::<Vec<_>>())
            .bind(items.iter().map(|f| f.attempt_id).collect::<Vec<_>>())
            .bind(items.iter().map(|f| f.outcome).collect::<Vec<_>>())
            .bind(items.iter().map(|f| f.status).collect::<Vec<_>>())
            .bind(items.iter().map(|f| f.code.clone()).collect::<Vec<_>>())
            .bind(items.iter().map(|f| f.description.clone()).collect::<Vec<_>>())
            .bind(items.iter().map(|f| f.wait_ms).collect::<Vec<_>>())
            .bind(items.iter().map(|f| f.imposed).collect::<Vec<_>>())
            .bind(items.iter().map(|f| f.platform_message_id).collect::<Vec<_>>())
            .bind(items.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
            .bind(items.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
            .bind(parts().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
            .bind(parts().map(|(message, ..)| message).collect::<Vec<_>>())
            .bind(parts().map(|(_, part, _)| part).collect::<Vec<_>>())
            .bind(parts().map(|(_, _, (random_id, _))| random_id).collect::<Vec<_>>())
            .bind(parts().map(|(_, _, (_, platform_id))| platform_id).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await?;
        let mut by_id: std::collections::HashMap<Uuid, FinishedMessage> =
            rows.into_iter().map(|row| (row.id, row)).collect();
        Ok(items.iter().map(|f| by_id.remove(&f.message_id)).collect())
    }
}

/// Senders that have queued messages: repairs lost hints. Jumps from sender to sender in the index, past nobody, whose id is nil.
pub async fn senders_with_work(pool: &PgPool) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "WITH RECURSIVE work AS (
             (SELECT sender_id FROM messages
              WHERE status = 'queued' AND sender_id > '00000000-0000-0000-0000-000000000000' ORDER BY sender_id LIMIT 1)
             UNION ALL
             SELECT (SELECT m.sender_id FROM messages m WHERE m.status = 'queued' AND m.sender_id > work.sender_id
                     ORDER BY m.sender_id LIMIT 1)
             FROM work WHERE work.sender_id IS NOT NULL
         )
         SELECT sender_id FROM work WHERE sender_id IS NOT NULL",
    )
    .fetch_all(pool)
    .await
}

/// Senders with messages on their way whose worker lives no more: nobody else would notice what it left behind.
pub async fn interrupted_senders(pool: &PgPool) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT DISTINCT m.sender_id FROM messages m
         LEFT JOIN sender_leases l ON l.sender_id = m.sender_id
         LEFT JOIN workers w ON w.id = l.worker_id AND w.valid_until >= now()
         WHERE m.status = 'sending' AND w.id IS NULL",
    )
    .fetch_all(pool)
    .await
}

/// Lets scheduled messages whose time has come join the tail of their queues. Safe in several processes at once.
pub async fn release_scheduled(pool: &PgPool) -> Result<Vec<Uuid>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "WITH due AS (
             SELECT id FROM messages WHERE status = 'scheduled' AND scheduled_at <= now()
             ORDER BY scheduled_at, seq LIMIT 1000 FOR UPDATE SKIP LOCKED
         ), numbered AS (
             SELECT id, nextval('message_seq') AS seq FROM due
         ), released AS (
             UPDATE messages m SET status = 'queued', queued_at = now(), seq = n.seq
             FROM numbered n WHERE m.id = n.id AND m.status = 'scheduled'
             RETURNING m.id, m.user_id, m.sender_id, m.chat_id
         ), told AS (
             INSERT INTO events (id, user_id, type, resource_id, data)
             SELECT uuid7_now(), user_id, 'message.queued', id,
                    jsonb_build_object('status', 'queued', 'sender_id', sender_id, 'chat_id', chat_id)
             FROM released
         )
         SELECT id, sender_id FROM released",
    )
    .fetch_all(pool)
    .await?;
    let mut senders: Vec<Uuid> = rows.into_iter().map(|(_, sender)| sender).collect();
    senders.sort_unstable();
    senders.dedup();
    Ok(senders)
}

/// Which of these senders exist, and whether they may send.
pub async fn sender_states(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<(Uuid, bool)>, sqlx::Error> {
    sqlx::query_as("SELECT id, is_active FROM senders WHERE id = ANY($1)").bind(ids).fetch_all(pool).await
}

/// Fails messages that wait, without an attempt: their destination or their sender is no more. With event and log.
pub async fn fail_waiting(
    db: impl PgExecutor<'_>,
    ids: &[Uuid],
    code: &str,
    description: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH failed AS (
             UPDATE messages SET status = 'failed', error_code = $2, error_message = $3, finished_at = now()
             WHERE id = ANY($1) AND status IN ('scheduled', 'queued')
             RETURNING id, user_id, route, sender_id, chat_id
         ), told AS (
             INSERT INTO events (id, user_id, type, resource_id, data)
             SELECT uuid7_now(), user_id, 'message.failed', id,
                    jsonb_build_object('status', 'failed', 'sender_id', sender_id, 'chat_id', chat_id, 'code', $2::text)
             FROM failed
         )
         INSERT INTO integration_logs (id, user_id, integration_type, action, status, details, error_message)
         SELECT uuid7_now(), f.user_id, 'telegram_' || route, 'send', 'error',
                jsonb_build_object('message_id', f.id, 'state', 'failed', 'code', $2::text), $3
         FROM failed f JOIN users u ON u.id = f.user_id",
    )
    .bind(ids)
    .bind(code)
    .bind(description)
    .execute(db)
    .await
    .map(drop)
}

/// Whether an attempt of this message had no answer, so that the platform may have taken it.
pub async fn may_have_arrived(pool: &PgPool, message_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM message_attempts WHERE message_id = $1 AND outcome = 'unknown')")
        .bind(message_id)
        .fetch_one(pool)
        .await
}

/// How many messages wait, by priority: `(priority, count)`.
pub async fn depth(pool: &PgPool) -> Result<Vec<(i16, i64)>, sqlx::Error> {
    sqlx::query_as("SELECT priority, count(*) FROM messages WHERE status = 'queued' GROUP BY priority")
        .fetch_all(pool)
        .await
}
