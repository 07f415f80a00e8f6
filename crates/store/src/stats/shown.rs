//! What a caller asks for.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use super::latency::Latency;

/// By what rows are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupBy {
    /// The day.
    Day,
    /// The sender's owner.
    User,
    /// The sender.
    Sender,
    /// The platform.
    Platform,
    /// The route that was called.
    Route,
}

impl GroupBy {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Day, Self::User, Self::Sender, Self::Platform, Self::Route];

    /// As callers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::User => "user",
            Self::Sender => "sender",
            Self::Platform => "platform",
            Self::Route => "route",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::User => "user_id",
            Self::Sender => "sender_id",
            Self::Platform => "platform",
            Self::Route => "route",
        }
    }

    fn column_type(self) -> &'static str {
        match self {
            Self::Day => "date",
            Self::User => "int",
            Self::Sender => "uuid",
            Self::Platform | Self::Route => "text",
        }
    }
}

/// What is counted.
#[derive(Debug, Clone)]
pub struct StatsFilter {
    /// Of this user; `None` is everybody's.
    pub user_id: Option<i32>,
    /// From this day on.
    pub from: NaiveDate,
    /// Up to this day, with it.
    pub to: NaiveDate,
    /// Of this sender.
    pub sender_id: Option<Uuid>,
    /// On this platform.
    pub platform: Option<String>,
    /// Through this route.
    pub route: Option<String>,
}

/// The counts of one group. What the rows were not told apart by is `None`.
#[derive(Debug, Clone)]
pub struct StatsRow {
    /// The day.
    pub day: Option<NaiveDate>,
    /// The sender's owner.
    pub user_id: Option<i32>,
    /// The sender; nil for what nobody could send.
    pub sender_id: Option<Uuid>,
    /// The platform.
    pub platform: Option<String>,
    /// The route that was called.
    pub route: Option<String>,
    /// How often a message was sent.
    pub sent: i64,
    /// How often one failed.
    pub failed: i64,
    /// How often nobody could tell.
    pub unknown: i64,
    /// How often one was cancelled.
    pub cancelled: i64,
    /// Of what was sent: our own time.
    pub own: Latency,
    /// Of what was sent: the waits that the platform imposed.
    pub imposed: Latency,
}

#[derive(FromRow)]
struct Stored {
    day: Option<NaiveDate>,
    user_id: Option<i32>,
    sender_id: Option<Uuid>,
    platform: Option<String>,
    route: Option<String>,
    sent: i64,
    failed: i64,
    unknown: i64,
    cancelled: i64,
    own_ms: i64,
    imposed_ms: i64,
    own_counts: Vec<i64>,
    imposed_counts: Vec<i64>,
}

/// The counts, a row for each group, in the order of the groups; at most `limit`. `group_by` is not empty.
pub async fn list(
    pool: &PgPool,
    filter: &StatsFilter,
    group_by: &[GroupBy],
    limit: i64,
) -> Result<Vec<StatsRow>, sqlx::Error> {
    let keys = group_by.iter().map(|key| key.column()).collect::<Vec<_>>().join(", ");
    let shown = GroupBy::ALL.map(|key| {
        if group_by.contains(&key) {
            key.column().to_owned()
        } else {
            format!("NULL::{} AS {}", key.column_type(), key.column())
        }
    });
    let mut sql =
        QueryBuilder::<Postgres>::new("WITH chosen AS MATERIALIZED (SELECT * FROM message_stats WHERE day >= ");
    sql.push_bind(filter.from).push(" AND day <= ").push_bind(filter.to);
    if let Some(user_id) = filter.user_id {
        sql.push(" AND user_id = ").push_bind(user_id);
    }
    if let Some(sender_id) = filter.sender_id {
        sql.push(" AND sender_id = ").push_bind(sender_id);
    }
    if let Some(platform) = &filter.platform {
        sql.push(" AND platform = ").push_bind(platform);
    }
    if let Some(route) = &filter.route {
        sql.push(" AND route = ").push_bind(route);
    }
    sql.push(format!(
        "), sums AS (
             SELECT {keys}, sum(sent)::bigint AS sent, sum(failed)::bigint AS failed, sum(unknown)::bigint AS unknown,
                    sum(cancelled)::bigint AS cancelled, sum(own_ms)::bigint AS own_ms, sum(imposed_ms)::bigint AS imposed_ms
             FROM chosen GROUP BY {keys} ORDER BY {keys} LIMIT "
    ));
    sql.push_bind(limit);
    sql.push(format!(
        "), spans AS (
             SELECT {keys}, place, sum(own)::bigint AS own, sum(imposed)::bigint AS imposed
             FROM chosen, unnest(own_counts, imposed_counts) WITH ORDINALITY AS c(own, imposed, place)
             GROUP BY {keys}, place
         ), latency AS (
             SELECT {keys}, array_agg(COALESCE(own, 0) ORDER BY place) AS own_counts,
                    array_agg(COALESCE(imposed, 0) ORDER BY place) AS imposed_counts
             FROM spans GROUP BY {keys}
         )
         SELECT {}, sent, failed, unknown, cancelled, own_ms, imposed_ms, COALESCE(own_counts, '{{}}') AS own_counts,
                COALESCE(imposed_counts, '{{}}') AS imposed_counts
         FROM sums LEFT JOIN latency USING ({keys}) ORDER BY {keys}",
        shown.join(", ")
    ));
    let rows: Vec<Stored> = sql.build_query_as().fetch_all(pool).await?;
    Ok(rows.into_iter().map(StatsRow::from).collect())
}

impl From<Stored> for StatsRow {
    fn from(row: Stored) -> Self {
        Self {
            day: row.day,
            user_id: row.user_id,
            sender_id: row.sender_id,
            platform: row.platform,
            route: row.route,
            sent: row.sent,
            failed: row.failed,
            unknown: row.unknown,
            cancelled: row.cancelled,
            own: Latency::stored(row.own_counts, row.own_ms),
            imposed: Latency::stored(row.imposed_counts, row.imposed_ms),
        }
    }
}

/// What happened before this time is counted; `None` before anything was.
pub async fn counted_until(pool: &PgPool) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar("SELECT counted_until FROM message_stats_cursor").fetch_one(pool).await
}
