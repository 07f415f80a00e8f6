//! `telegram_bot_updates`: how a bot's updates are taken; `telegram_bot_updates_taken`: which were.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{FromRow, PgExecutor, PgPool, Row as _, postgres::PgRow};
use store::group::Commit;
use utoipa::ToSchema;
use uuid::Uuid;

use super::updates::Update;

/// How the owner of a bot wants its updates to be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdatesMode {
    /// As the service's settings say.
    #[default]
    Default,
    /// They are not taken.
    Off,
    /// The service asks for them.
    Polling,
    /// Telegram delivers them.
    Webhook,
}

impl UpdatesMode {
    /// The column value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Off => "off",
            Self::Polling => "polling",
            Self::Webhook => "webhook",
        }
    }

    fn named(name: &str) -> Self {
        let all = [Self::Off, Self::Polling, Self::Webhook];
        all.into_iter().find(|mode| mode.name() == name).unwrap_or_default()
    }
}

/// How it goes with a bot's updates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdatesState {
    /// They are not taken.
    #[default]
    Off,
    /// They are asked for.
    Polling,
    /// Telegram delivers them.
    Webhook,
    /// They go to another system's webhook, which is left alone.
    Elsewhere,
    /// Another program asks for them too.
    Conflict,
    /// Telegram refuses how they are to be taken.
    Failing,
}

impl UpdatesState {
    /// The column value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Polling => "polling",
            Self::Webhook => "webhook",
            Self::Elsewhere => "elsewhere",
            Self::Conflict => "conflict",
            Self::Failing => "failing",
        }
    }

    fn named(name: &str) -> Self {
        let all = [Self::Polling, Self::Webhook, Self::Elsewhere, Self::Conflict, Self::Failing];
        all.into_iter().find(|state| state.name() == name).unwrap_or_default()
    }

    /// Whether somebody has to do something about it.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Elsewhere | Self::Conflict | Self::Failing)
    }
}

/// How a bot's updates are taken, as its owner sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Updates {
    /// What the owner wants.
    pub mode: UpdatesMode,
    /// How it goes.
    pub state: UpdatesState,
    /// Why, where it does not go well.
    pub reason: Option<String>,
    /// Since when.
    pub changed_at: Option<DateTime<Utc>>,
    /// What Telegram says of the last delivery to the webhook that failed.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<DateTime<Utc>>,
}

/// From columns with the prefix `updates_`, which are NULL when nobody ever asked how they are to be taken.
impl FromRow<'_, PgRow> for Updates {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            mode: row.try_get::<Option<&str>, _>("updates_mode")?.map(UpdatesMode::named).unwrap_or_default(),
            state: row.try_get::<Option<&str>, _>("updates_state")?.map(UpdatesState::named).unwrap_or_default(),
            reason: row.try_get("updates_reason")?,
            changed_at: row.try_get("updates_changed_at")?,
            last_error: row.try_get("updates_last_error")?,
            last_error_at: row.try_get("updates_last_error_at")?,
        })
    }
}

/// What taking updates begins with.
#[derive(Debug, Clone, FromRow)]
pub struct Standing {
    /// What the owner wants: see [`UpdatesMode`].
    pub mode: String,
    /// Where the next poll begins.
    pub next_update_id: Option<i64>,
    /// Whether there is a webhook of the service's own, as far as it knows.
    pub has_webhook: bool,
    /// How it went: see [`UpdatesState`].
    pub state: String,
    /// Why.
    pub reason: Option<String>,
}

impl Standing {
    /// What the owner wants.
    pub fn mode(&self) -> UpdatesMode {
        UpdatesMode::named(&self.mode)
    }

    /// How it went.
    pub fn state(&self) -> UpdatesState {
        UpdatesState::named(&self.state)
    }
}

/// Reads it; makes the row where it is missing. `None` when the bot is gone. After six days without updates a poll begins with whatever
/// there is: after a week Telegram numbers anew, and an old place would make it forget updates.
pub async fn standing(pool: &PgPool, id: Uuid) -> Result<Option<Standing>, sqlx::Error> {
    let read = "SELECT mode, CASE WHEN taken_at > now() - interval '6 days' THEN next_update_id END AS next_update_id,
                       secret_hash IS NOT NULL OR next_secret_hash IS NOT NULL AS has_webhook, state, reason
                FROM telegram_bot_updates WHERE bot_id = $1";
    if let Some(found) = sqlx::query_as(read).bind(id).fetch_optional(pool).await? {
        return Ok(Some(found));
    }
    let make =
        "INSERT INTO telegram_bot_updates (bot_id) SELECT id FROM telegram_bots WHERE id = $1 ON CONFLICT DO NOTHING";
    sqlx::query(make).bind(id).execute(pool).await?;
    sqlx::query_as(read).bind(id).fetch_optional(pool).await
}

/// Stores what the owner wants.
pub async fn set_mode(db: impl PgExecutor<'_>, id: Uuid, mode: UpdatesMode) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO telegram_bot_updates (bot_id, mode) VALUES ($1, $2) ON CONFLICT (bot_id) DO UPDATE SET mode = $2",
    )
    .bind(id)
    .bind(mode.name())
    .execute(db)
    .await
    .map(drop)
}

/// Shows how it goes, with an event when that changed, and a log entry when somebody has to do something about it.
pub async fn show(pool: &PgPool, id: Uuid, state: UpdatesState, reason: Option<&str>) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let changed: Option<(i32, bool)> = sqlx::query_as(
        "UPDATE telegram_bot_updates u SET state = $2, reason = $3,
                changed_at = CASE WHEN o.state = $2 THEN u.changed_at ELSE now() END
         FROM telegram_bot_updates o JOIN telegram_bots b ON b.id = o.bot_id
         WHERE u.bot_id = $1 AND o.bot_id = $1 AND (o.state <> $2 OR o.reason IS DISTINCT FROM $3)
         RETURNING b.user_id, o.state <> $2",
    )
    .bind(id)
    .bind(state.name())
    .bind(reason)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some((user_id, true)) = changed {
        let data = json!({ "state": state, "reason": reason });
        store::events::insert(&mut *tx, user_id, "bot.updates_changed", id, &data).await?;
        if state.is_bad() {
            let log = store::logs::NewLog {
                user_id,
                integration_type: "telegram_bot",
                action: "take_updates",
                error: Some(reason.unwrap_or(state.name())),
                details: Some(json!({ "bot_id": id, "state": state })),
            };
            store::logs::insert(&mut *tx, &log).await?;
        }
    }
    tx.commit().await
}

/// Keeps what Telegram says of the last delivery that failed.
pub async fn set_last_error(
    pool: &PgPool,
    id: Uuid,
    error: Option<&str>,
    at: Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE telegram_bot_updates SET last_error = $2, last_error_at = $3
         WHERE bot_id = $1 AND (last_error IS DISTINCT FROM $2 OR last_error_at IS DISTINCT FROM $3)",
    )
    .bind(id)
    .bind(error)
    .bind(at)
    .execute(pool)
    .await
    .map(drop)
}

/// The hashes of the secrets with which deliveries to a bot's webhook are accepted; empty when there is no such bot or webhook.
pub async fn secret_hashes(pool: &PgPool, id: Uuid) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    let found: Option<Vec<Vec<u8>>> = sqlx::query_scalar(
        "SELECT array_remove(ARRAY[secret_hash, next_secret_hash], NULL) FROM telegram_bot_updates WHERE bot_id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await?;
    Ok(found.unwrap_or_default())
}

/// Accepts one more secret: it is going to be set at Telegram, and nobody can tell when it takes effect.
pub async fn begin_secret(pool: &PgPool, id: Uuid, hash: &[u8]) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE telegram_bot_updates SET next_secret_hash = $2 WHERE bot_id = $1")
        .bind(id)
        .bind(hash)
        .execute(pool)
        .await
        .map(drop)
}

/// The secret was set: it alone is accepted from now on.
pub async fn confirm_secret(pool: &PgPool, id: Uuid, hash: &[u8]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE telegram_bot_updates SET secret_hash = $2, next_secret_hash = NULL
         WHERE bot_id = $1 AND next_secret_hash = $2",
    )
    .bind(id)
    .bind(hash)
    .execute(pool)
    .await
    .map(drop)
}

/// No delivery is accepted any more.
pub async fn forget_secrets(db: impl PgExecutor<'_>, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE telegram_bot_updates SET secret_hash = NULL, next_secret_hash = NULL WHERE bot_id = $1")
        .bind(id)
        .execute(db)
        .await
        .map(drop)
}

/// Forgets what was taken so long ago that Telegram has forgotten it, too. In parts, so that no lock is held for long.
pub async fn forget_taken(pool: &PgPool) -> Result<(), sqlx::Error> {
    loop {
        let done = sqlx::query(
            "DELETE FROM telegram_bot_updates_taken WHERE (bot_id, update_id) IN (
                 SELECT bot_id, update_id FROM telegram_bot_updates_taken
                 WHERE taken_at < now() - interval '48 hours' LIMIT 5000)",
        )
        .execute(pool)
        .await?;
        if done.rows_affected() < 5000 {
            return Ok(());
        }
    }
}

/// Updates of one bot, in their order.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The bot.
    pub bot_id: Uuid,
    /// The updates.
    pub updates: Vec<Update>,
    /// Where the next poll begins; `None` when they were delivered.
    pub next_update_id: Option<i64>,
}

/// Takes updates: stores each as an event, once, and the place of the next poll with them. Many bots in one commit.
pub struct Take {
    /// The database.
    pub pool: PgPool,
}

// Rows of the same bots are inserted in one order by all processes, so that they cannot wait for each other.
const TAKE: &str = "
WITH input AS (
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::jsonb[])
        AS t(bot_id, update_id, event_id, type, data)
), fresh AS (
    INSERT INTO telegram_bot_updates_taken (bot_id, update_id)
    SELECT i.bot_id, i.update_id FROM input i JOIN telegram_bots b ON b.id = i.bot_id ORDER BY 1, 2
    ON CONFLICT DO NOTHING RETURNING bot_id, update_id
), told AS (
    INSERT INTO events (id, user_id, type, resource_id, data)
    SELECT i.event_id, b.user_id, i.type, b.id, i.data
    FROM fresh JOIN input i USING (bot_id, update_id) JOIN telegram_bots b ON b.id = i.bot_id
), moved AS (
    UPDATE telegram_bot_updates u SET next_update_id = p.next, taken_at = now()
    FROM unnest($6::uuid[], $7::bigint[]) AS p(bot_id, next) WHERE u.bot_id = p.bot_id
)
SELECT bot_id, count(*) FROM fresh GROUP BY bot_id";

impl Commit for Take {
    type Item = Batch;
    /// How many of the updates were new.
    type Output = usize;

    async fn commit(&self, items: &[Batch]) -> Result<Vec<usize>, sqlx::Error> {
        let mut unique: HashMap<(Uuid, i64), (usize, &Update)> = HashMap::new();
        for batch in items {
            for update in &batch.updates {
                let place = unique.len();
                unique.entry((batch.bot_id, update.id)).or_insert((place, update));
            }
        }
        let mut rows: Vec<_> = unique.into_iter().map(|((bot, _), (place, update))| (place, bot, update)).collect();
        rows.sort_unstable_by_key(|(place, ..)| *place);
        let places = || items.iter().filter_map(|batch| Some((batch.bot_id, batch.next_update_id?)));
        let fresh: Vec<(Uuid, i64)> = sqlx::query_as(TAKE)
            .bind(rows.iter().map(|(_, bot, _)| *bot).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, _, update)| update.id).collect::<Vec<_>>())
            // In this order they stand in the stream.
            .bind(rows.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, _, update)| update.event).collect::<Vec<_>>())
            .bind(rows.iter().map(|(_, _, update)| update.data.clone()).collect::<Vec<_>>())
            .bind(places().map(|(bot, _)| bot).collect::<Vec<_>>())
            .bind(places().map(|(_, next)| next).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await?;
        let mut fresh: HashMap<Uuid, usize> =
            fresh.into_iter().map(|(bot, count)| (bot, usize::try_from(count).unwrap_or_default())).collect();
        Ok(items.iter().map(|batch| take_up_to(&mut fresh, batch)).collect())
    }
}

/// Several batches of one bot in one commit share what was new.
fn take_up_to(fresh: &mut HashMap<Uuid, usize>, batch: &Batch) -> usize {
    let left = fresh.entry(batch.bot_id).or_default();
    let taken = batch.updates.len().min(*left);
    *left -= taken;
    taken
}
