//! `sealing`, `sealing_processes`, `resealing`: what seals credentials, who has agreed to it, and sealing anew.
//!
//! Columns are described by SQL of the service's own, never by anything from outside.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgPool};
use uuid::Uuid;

/// A process that was not seen for so long is gone.
const GONE_SECONDS: f64 = 30.0;

/// A column that holds envelopes.
#[derive(Debug, Clone, Copy)]
pub struct SealedColumn {
    /// The table.
    pub table: &'static str,
    /// Its name, for people.
    pub name: &'static str,
    /// The envelope as text; `NULL` where there is none.
    pub sealed: &'static str,
    /// The assignment of another envelope, which is `n.new` as text.
    pub assign: &'static str,
    /// What else the purpose is made from, as JSON.
    pub more: &'static str,
    /// Which rows count.
    pub counted: &'static str,
}

/// What all processes seal with.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Agreed {
    /// `local` or `vault`.
    pub target: String,
    /// The version of the keyring.
    pub version: Option<i32>,
    /// Since when.
    pub changed_at: DateTime<Utc>,
}

/// Reads what all seal with.
pub async fn agreed(pool: &PgPool) -> Result<Option<Agreed>, sqlx::Error> {
    sqlx::query_as("SELECT target, version, changed_at FROM sealing").fetch_optional(pool).await
}

/// The first process decides.
pub async fn decide(pool: &PgPool, target: &str, version: Option<i32>) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO sealing (target, version) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(target).bind(version).execute(pool).await.map(drop)
}

/// Changes it, unless somebody else did since `before`.
pub async fn change(
    db: &mut PgConnection,
    before: DateTime<Utc>,
    target: &str,
    version: Option<i32>,
) -> Result<Option<Agreed>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE sealing SET target = $2, version = $3, changed_at = clock_timestamp() WHERE changed_at = $1
         RETURNING target, version, changed_at",
    )
    .bind(before)
    .bind(target)
    .bind(version)
    .fetch_optional(db)
    .await
}

/// A process that seals.
#[derive(Debug, Clone, FromRow)]
pub struct Process {
    /// Names it.
    pub id: Uuid,
    /// The machine it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: i32,
    /// The newest version in its keyring.
    pub local_version: i32,
    /// A mark of that key.
    pub local_mark: String,
    /// The key at Vault that it can use.
    pub vault_key: Option<String>,
    /// The `changed_at` that it goes by.
    pub follows: Option<DateTime<Utc>>,
}

/// Tells that a process lives, and what it knows; returns what all seal with now.
pub async fn beat(pool: &PgPool, process: &Process) -> Result<Option<Agreed>, sqlx::Error> {
    sqlx::query_as(
        "WITH own AS (
             INSERT INTO sealing_processes (id, host, pid, local_version, local_mark, vault_key, follows)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (id) DO UPDATE SET local_version = $4, local_mark = $5, vault_key = $6, follows = $7, seen_at = now())
         SELECT target, version, changed_at FROM sealing",
    )
    .bind(process.id)
    .bind(&process.host)
    .bind(process.pid)
    .bind(process.local_version)
    .bind(&process.local_mark)
    .bind(&process.vault_key)
    .bind(process.follows)
    .fetch_optional(pool)
    .await
}

/// A process ends in order, or is the only one there can be.
pub async fn leave(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM sealing_processes WHERE id = $1").bind(id).execute(pool).await.map(drop)
}

/// Forgets processes that are long gone; with an embedded database, all: none of them can live.
pub async fn forget(pool: &PgPool, all: bool) -> Result<(), sqlx::Error> {
    let sql = "DELETE FROM sealing_processes WHERE $1 OR seen_at < now() - interval '1 day'";
    sqlx::query(sql).bind(all).execute(pool).await.map(drop)
}

/// The processes that live.
pub async fn processes(pool: &PgPool) -> Result<Vec<Process>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, host, pid, local_version, local_mark, vault_key, follows FROM sealing_processes
         WHERE seen_at > now() - make_interval(secs => $1) ORDER BY host, pid",
    )
    .bind(GONE_SECONDS)
    .fetch_all(pool)
    .await
}

/// How many seconds ago the present choice was made.
pub async fn age_seconds(pool: &PgPool) -> Result<f64, sqlx::Error> {
    sqlx::query_scalar("SELECT extract(epoch FROM now() - changed_at)::float8 FROM sealing").fetch_one(pool).await
}

/// The key in an envelope; it works for any text.
fn key_of(sealed: &str) -> String {
    // Compact as it is written by the service, or with the blanks of a JSONB column.
    format!("substring({sealed} FROM '\"key\": ?\"([^\"]*)\"')")
}

/// How many rows of a column each key has sealed.
pub async fn count(pool: &PgPool, of: SealedColumn) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let SealedColumn { table, sealed, counted, .. } = of;
    // What names no key is no envelope: no key is kept for it.
    let key = key_of(sealed);
    let sql =
        format!("SELECT {key}, count(*) FROM {table} WHERE {key} IS NOT NULL AND {counted} GROUP BY 1 ORDER BY 1");
    sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await
}

/// An envelope that another key has sealed.
#[derive(Debug, FromRow)]
pub struct OldRow {
    /// The row's id.
    pub id: Uuid,
    /// The envelope as text.
    pub sealed: String,
    /// What else its purpose is made from.
    pub more: Option<Value>,
}

/// The next rows that were not sealed by this key, in the order of their ids.
pub async fn old(
    pool: &PgPool,
    of: SealedColumn,
    key: &str,
    after: Uuid,
    rows: i64,
) -> Result<Vec<OldRow>, sqlx::Error> {
    let SealedColumn { table, sealed, more, .. } = of;
    let sealed_by = key_of(sealed);
    let sql = format!(
        "SELECT id, {sealed} AS sealed, {more} AS more FROM {table}
         WHERE id > $1 AND {sealed_by} <> $2 ORDER BY id LIMIT $3"
    );
    sqlx::query_as(AssertSqlSafe(sql)).bind(after).bind(key).bind(rows).fetch_all(pool).await
}

/// Replaces envelopes that are still the ones that were read. A row that somebody else is changing is left to the next round: so nobody
/// waits for a row while holding another. Returns how many were replaced.
pub async fn replace(
    pool: &PgPool,
    of: SealedColumn,
    ids: &[Uuid],
    before: &[String],
    after: &[String],
) -> Result<u64, sqlx::Error> {
    let SealedColumn { table, sealed, assign, .. } = of;
    let sql = format!(
        "UPDATE {table} AS t SET {assign} FROM (
             SELECT x.id, n.new FROM {table} AS x JOIN unnest($1::uuid[], $2::text[], $3::text[]) AS n(id, old, new) ON n.id = x.id
             WHERE {sealed} = n.old FOR NO KEY UPDATE OF x SKIP LOCKED) AS n
         WHERE t.id = n.id"
    );
    let done = sqlx::query(AssertSqlSafe(sql)).bind(ids).bind(before).bind(after).execute(pool).await?;
    Ok(done.rows_affected())
}

/// How far a column is.
#[derive(Debug, Clone, FromRow)]
pub struct Progress {
    /// The column.
    pub column_name: String,
    /// The key that is current.
    pub key: String,
    /// The row that was looked at last in this round.
    pub after: Uuid,
    /// Rows that were sealed anew.
    pub done: i64,
    /// Rows that could not be opened.
    pub failed: i64,
    /// Rows that were sealed anew in this round.
    pub round_done: i64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When nothing was left to do.
    pub finished_at: Option<DateTime<Utc>>,
}

const PROGRESS: &str = "column_name, key, after, done, failed, round_done, started_at, finished_at";

/// How far all columns are.
pub async fn progress(pool: &PgPool) -> Result<Vec<Progress>, sqlx::Error> {
    let sql = format!("SELECT {PROGRESS} FROM resealing ORDER BY column_name");
    sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await
}

/// Where a column's work goes on; at the beginning, if another key was current then.
pub async fn resume(pool: &PgPool, column: &str, key: &str) -> Result<Progress, sqlx::Error> {
    let sql = format!(
        "INSERT INTO resealing AS r (column_name, key, after) VALUES ($1, $2, $3)
         ON CONFLICT (column_name) DO UPDATE SET
             key = $2,
             after = CASE WHEN r.key = $2 THEN r.after ELSE $3 END,
             done = CASE WHEN r.key = $2 THEN r.done ELSE 0 END,
             failed = CASE WHEN r.key = $2 THEN r.failed ELSE 0 END,
             round_done = CASE WHEN r.key = $2 THEN r.round_done ELSE 0 END,
             started_at = CASE WHEN r.key = $2 THEN r.started_at ELSE now() END,
             finished_at = CASE WHEN r.key = $2 THEN r.finished_at END
         RETURNING {PROGRESS}"
    );
    sqlx::query_as(AssertSqlSafe(sql)).bind(column).bind(key).bind(Uuid::nil()).fetch_one(pool).await
}

/// Notes how far it is.
pub async fn note(pool: &PgPool, progress: &Progress) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE resealing SET after = $3, done = $4, failed = $5, round_done = $6, finished_at = $7
         WHERE column_name = $1 AND key = $2",
    )
    .bind(&progress.column_name)
    .bind(&progress.key)
    .bind(progress.after)
    .bind(progress.done)
    .bind(progress.failed)
    .bind(progress.round_done)
    .bind(progress.finished_at)
    .execute(pool)
    .await
    .map(drop)
}
