//! `/api/integrations/stats`.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use store::stats::{self, GroupBy, Latency, StatsFilter, StatsRow};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::openapi::Problem;
use crate::{
    Error, Result,
    app::App,
    http::{Json, Query},
    usecases::Caller,
};

const PLATFORMS: [&str; 1] = [stats::counting::PLATFORM];
const ROUTES: [&str; 3] = ["bot", "account", "channel"];
/// The longest range, in days.
const LONGEST: i64 = 366;
/// The range that is shown when none is asked for, in days.
const USUAL: i64 = 30;
/// The most rows of an answer.
const MOST_ROWS: usize = 5_000;

/// What became of messages.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsView {
    /// The first day (UTC).
    from: NaiveDate,
    /// The last day (UTC).
    to: NaiveDate,
    /// Everything before this time is counted; `null` when nothing is yet.
    as_of: Option<DateTime<Utc>>,
    /// A row for each group in which anything happened, in the order of the groups.
    items: Vec<StatsItem>,
    /// All of it together.
    total: CountsView,
}

/// Who was to send.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Sender {
    /// A bot or an account.
    Known(Uuid),
    /// No sender of the channel could.
    Nobody,
}

/// The counts of one group.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsItem {
    /// The day (UTC), when grouped by `day`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    day: Option<NaiveDate>,
    /// Whose messages they are, when grouped by `user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_id: Option<i32>,
    /// The sender, when grouped by `sender`; `null` for what no sender of a channel could send.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    sender_id: Option<Sender>,
    /// The platform, when grouped by `platform`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    platform: Option<String>,
    /// The route that was called, `bot`, `account` or `channel`, when grouped by `route`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    route: Option<String>,
    #[serde(flatten)]
    counts: CountsView,
}

/// How often messages ended in which way. One that ended twice, such as one that failed and was sent when it was tried anew, is counted
/// twice.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountsView {
    /// They were sent.
    sent: i64,
    /// They failed, or their owner dismissed them.
    failed: i64,
    /// Nobody could tell whether they arrived.
    unknown: i64,
    /// They were cancelled before they were sent.
    cancelled: i64,
    /// Of those sent: how long they took since they were accepted or became due, without the waits that the platform imposed.
    own_ms: LatencyView,
    /// Of those sent: how long the platform made them wait.
    imposed_wait_ms: LatencyView,
}

/// Times in milliseconds; `null` of nothing. Percentiles are exact to about a tenth.
#[derive(Debug, Serialize, ToSchema)]
pub struct LatencyView {
    /// The mean.
    mean: Option<f64>,
    /// Half took no longer.
    p50: Option<f64>,
    /// 95 of a hundred took no longer.
    p95: Option<f64>,
    /// 99 of a hundred took no longer.
    p99: Option<f64>,
}

impl From<&Latency> for LatencyView {
    fn from(latency: &Latency) -> Self {
        // Tenths are more than is known.
        let round = |ms: Option<f64>| ms.map(|ms| (ms * 10.0).round() / 10.0);
        Self {
            mean: round(latency.mean_ms()),
            p50: round(latency.percentile_ms(0.5)),
            p95: round(latency.percentile_ms(0.95)),
            p99: round(latency.percentile_ms(0.99)),
        }
    }
}

impl From<&StatsRow> for CountsView {
    fn from(row: &StatsRow) -> Self {
        Self {
            sent: row.sent,
            failed: row.failed,
            unknown: row.unknown,
            cancelled: row.cancelled,
            own_ms: (&row.own).into(),
            imposed_wait_ms: (&row.imposed).into(),
        }
    }
}

impl From<StatsRow> for StatsItem {
    fn from(row: StatsRow) -> Self {
        Self {
            counts: (&row).into(),
            day: row.day,
            user_id: row.user_id,
            sender_id: row.sender_id.map(|id| if id.is_nil() { Sender::Nobody } else { Sender::Known(id) }),
            platform: row.platform,
            route: row.route,
        }
    }
}

/// What to count.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GetStats {
    /// The first day (UTC); by default 29 days before the last one.
    #[serde(default, deserialize_with = "day")]
    from: Option<NaiveDate>,
    /// The last day (UTC); by default today. At most 366 days.
    #[serde(default, deserialize_with = "day")]
    to: Option<NaiveDate>,
    /// By what to tell rows apart, separated by commas: `day`, `sender`, `platform`, `route`, `user`; by default `day`.
    group_by: Option<String>,
    /// Through this sender.
    sender_id: Option<Uuid>,
    /// On this platform, such as `telegram`.
    platform: Option<String>,
    /// Through this route: `bot`, `account` or `channel`.
    route: Option<String>,
    /// Of this user: for administrators, who otherwise see everybody's.
    user_id: Option<i32>,
}

/// A day of which there can be statistics; the parser's own errors do not say what would be right.
fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok();
    let day = parsed.filter(|day| (1970..=9999).contains(&day.year()));
    day.map(Some).ok_or_else(|| serde::de::Error::custom("must be a day, such as 2030-01-31"))
}

/// Counts what became of messages, and how long they took.
///
/// By the day (UTC) on which they ended. The counts stay when the messages are removed after a while.
#[utoipa::path(
    get, path = "/api/integrations/stats", tag = "statistics", operation_id = "getStats", params(GetStats),
    responses(
        (status = 200, description = "The counts.", body = StatsView),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<GetStats>,
) -> Result<Json<StatsView>> {
    let (from, to) = range(query.from, query.to, Utc::now().date_naive())?;
    let group_by = group_by(query.group_by.as_deref())?;
    let filter = StatsFilter {
        user_id: owner(&caller, query.user_id)?,
        from,
        to,
        sender_id: query.sender_id,
        platform: known("platform", &PLATFORMS, query.platform)?,
        route: known("route", &ROUTES, query.route)?,
    };
    // Asked first, so that it never promises more than is counted.
    let as_of = stats::counted_until(&app.pool).await?;
    let limit = i64::try_from(MOST_ROWS + 1).unwrap_or(i64::MAX);
    let rows = stats::list(&app.pool, &filter, &group_by, limit).await?;
    if rows.len() > MOST_ROWS {
        let message =
            format!("gives more than {MOST_ROWS} rows: ask for fewer days, for one sender, or by fewer groups");
        return Err(Error::invalid_parameter("group_by", message));
    }
    Ok(Json(StatsView { from, to, as_of, total: total(&rows), items: rows.into_iter().map(Into::into).collect() }))
}

/// The days that are asked for.
fn range(from: Option<NaiveDate>, to: Option<NaiveDate>, today: NaiveDate) -> Result<(NaiveDate, NaiveDate)> {
    let to = to.unwrap_or(today);
    // Days of unthinkable years cannot be reckoned with.
    let days = |count| TimeDelta::days(count);
    let from = from.or_else(|| to.checked_sub_signed(days(USUAL - 1))).unwrap_or(to);
    let range = to.signed_duration_since(from);
    if range < TimeDelta::zero() {
        return Err(Error::invalid_parameter("from", "is after `to`: the first day comes first"));
    }
    if range >= days(LONGEST) {
        return Err(Error::invalid_parameter(
            "from",
            format!("is more than {LONGEST} days before `to`: ask for less at once"),
        ));
    }
    Ok((from, to))
}

fn group_by(text: Option<&str>) -> Result<Vec<GroupBy>> {
    let mut keys = Vec::new();
    for name in text.unwrap_or("day").split(',').map(str::trim) {
        let Some(key) = GroupBy::ALL.into_iter().find(|key| key.name() == name) else {
            let known = GroupBy::ALL.map(GroupBy::name).join(", ");
            let message = format!("has the unknown group `{}`; there are: {known}", name.escape_debug());
            return Err(Error::invalid_parameter("group_by", message));
        };
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

fn known(name: &str, all: &[&str], value: Option<String>) -> Result<Option<String>> {
    match value {
        Some(value) if !all.contains(&value.as_str()) => {
            Err(Error::invalid_parameter(name, format!("must be one of {}", all.join(", "))))
        }
        value => Ok(value),
    }
}

/// Whose messages are counted.
fn owner(caller: &Caller, asked: Option<i32>) -> Result<Option<i32>> {
    match (caller.owner(), asked) {
        (Some(own), Some(asked)) if own != asked => {
            Err(Error::invalid_parameter("user_id", "is somebody else: only administrators see what is not theirs"))
        }
        (own, asked) => Ok(asked.or(own)),
    }
}

fn total(rows: &[StatsRow]) -> CountsView {
    let sum = |of: fn(&StatsRow) -> i64| rows.iter().map(of).sum();
    let (mut own, mut imposed) = (Latency::default(), Latency::default());
    for row in rows {
        own.merge(&row.own);
        imposed.merge(&row.imposed);
    }
    CountsView {
        sent: sum(|row| row.sent),
        failed: sum(|row| row.failed),
        unknown: sum(|row| row.unknown),
        cancelled: sum(|row| row.cancelled),
        own_ms: (&own).into(),
        imposed_wait_ms: (&imposed).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn the_range_has_a_default_and_a_bound() {
        let today = day("2026-03-01");
        assert_eq!(range(None, None, today).unwrap(), (day("2026-01-31"), today));
        assert_eq!(range(None, Some(day("2026-01-30")), today).unwrap(), (day("2026-01-01"), day("2026-01-30")));
        assert_eq!(range(Some(day("2025-03-01")), None, today).unwrap(), (day("2025-03-01"), today));
        assert!(range(Some(day("2025-02-28")), None, today).is_err(), "more than a year");
        assert!(range(Some(day("2026-03-02")), None, today).is_err(), "the wrong way round");
        assert_eq!(range(None, Some(NaiveDate::MIN), today).unwrap(), (NaiveDate::MIN, NaiveDate::MIN));
        assert!(range(Some(NaiveDate::MIN), Some(NaiveDate::MAX), today).is_err());
    }

    #[test]
    fn groups_are_known_and_named_once() {
        assert_eq!(group_by(None).unwrap(), [GroupBy::Day]);
        assert_eq!(group_by(Some("sender, day,sender")).unwrap(), [GroupBy::Sender, GroupBy::Day]);
        assert!(group_by(Some("")).is_err() && group_by(Some("day,hour")).is_err());
    }
}
