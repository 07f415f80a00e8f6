//! The service's private database, as an operator with `psql` sees it: what became of messages, how many rows there are, and
//! the nights, in which days pass.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::Result;

/// How long a run of the retention may take.
const RETENTION: Duration = Duration::from_mins(2);

/// Three days pass for everything that is over. Ids begin with the time at which they were made, so that they change too; the events
/// get the partition of their day, which is dropped as a whole.
const THREE_DAYS: &str = "
    CREATE OR REPLACE FUNCTION pg_temp.earlier(id UUID) RETURNS UUID AS $$
        SELECT (lpad(to_hex(('x' || left(hex, 12))::bit(48)::bigint - 3 * 86400000), 12, '0') || substr(hex, 13))::uuid
        FROM (SELECT replace(id::text, '-', '') AS hex) AS plain;
    $$ LANGUAGE sql;
    CREATE TEMP TABLE over ON COMMIT DROP AS SELECT id FROM messages WHERE status IN ('sent', 'failed', 'cancelled');
    UPDATE message_attempts SET id = pg_temp.earlier(id), message_id = pg_temp.earlier(message_id)
        WHERE message_id IN (SELECT id FROM over);
    UPDATE messages SET id = pg_temp.earlier(id), finished_at = finished_at - interval '3 days'
        WHERE id IN (SELECT id FROM over);
    DO $$
    DECLARE
        day TIMESTAMPTZ := date_trunc('day', now() - interval '3 days', 'UTC');
        name TEXT := 'events' || to_char(day AT TIME ZONE 'UTC', '_YYYYMMDD');
    BEGIN
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)', name,
                uuid7_floor(day), uuid7_floor(day + interval '1 day'));
        END IF;
    END;
    $$;
    UPDATE events SET id = pg_temp.earlier(id), created_at = created_at - interval '3 days';
    UPDATE integration_logs SET created_at = created_at - interval '3 days';
    -- A trigger would keep some of these times as they are.
    UPDATE logins SET updated_at = updated_at - interval '3 days' WHERE status <> 'active';
    UPDATE tasks SET finished_at = finished_at - interval '3 days' WHERE status IN ('done', 'dead');
    UPDATE workers SET valid_until = valid_until - interval '3 days' WHERE valid_until < now();
    UPDATE idempotency_keys SET expires_at = expires_at - interval '3 days';
    UPDATE message_stats SET day = day - 3;
    UPDATE telegram_bot_updates_taken SET taken_at = taken_at - interval '3 days';";
/// Runs of the retention in three days are many more than this. One may find a partition locked, and leaves it to the next.
const RUNS: usize = 5;

/// A message as its row says.
#[derive(Debug, sqlx::FromRow)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Its text.
    pub text: String,
    /// Its state.
    pub status: String,
    /// Whether a bot sends it, or an account.
    pub route: String,
}

/// What an account's row says.
#[derive(Debug, sqlx::FromRow)]
pub struct Account {
    /// Its id at Telegram.
    pub user: Option<i64>,
    /// Its state.
    pub status: String,
    /// Whether it is being logged out.
    pub leaving: bool,
}

/// A connection to the database.
pub struct Database {
    connection: PgConnection,
}

impl Database {
    /// Connects to the database of the service with this data folder.
    pub async fn connect(folder: &Path) -> Result<Self> {
        let connection = service::postgres::running_options(&folder.canonicalize()?).connect().await?;
        Ok(Self { connection })
    }

    /// Closes the connection: it is none of the service's.
    pub async fn close(self) -> Result<()> {
        Ok(self.connection.close().await?)
    }

    /// All messages.
    pub async fn messages(&mut self) -> Result<Vec<Row>> {
        let sql = "SELECT id::text, content->>'text' AS text, status, route FROM messages";
        Ok(sqlx::query_as(sql).fetch_all(&mut self.connection).await?)
    }

    /// All accounts.
    pub async fn accounts(&mut self) -> Result<Vec<Account>> {
        let sql = "SELECT telegram_user_id AS user, status, delete_requested_at IS NOT NULL AS leaving
                   FROM telegram_sessions";
        Ok(sqlx::query_as(sql).fetch_all(&mut self.connection).await?)
    }

    /// A number that a query gives.
    pub async fn number(&mut self, sql: &'static str) -> Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(&mut self.connection).await?)
    }

    /// Rows by table, partitions counted with their table.
    pub async fn rows(&mut self) -> Result<BTreeMap<String, i64>> {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT relname::text FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition",
        )
        .fetch_all(&mut self.connection)
        .await?;
        let mut rows = BTreeMap::new();
        for table in tables {
            let sql = format!("SELECT count(*) FROM \"{table}\"");
            rows.insert(table, sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.connection).await?);
        }
        Ok(rows)
    }

    /// Three days pass, the service's retention runs, and the database is vacuumed, as it would have been in these days.
    pub async fn night(&mut self) -> Result<()> {
        self.counted().await?;
        sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {THREE_DAYS} COMMIT"))).execute(&mut self.connection).await?;
        for _ in 0..RUNS {
            self.retention().await?;
            let old = "SELECT count(*) FROM events WHERE created_at < now() - interval '2 days'";
            if self.number(old).await? == 0 {
                break;
            }
        }
        sqlx::raw_sql("VACUUM ANALYZE").execute(&mut self.connection).await?;
        Ok(())
    }

    /// Waits until the statistics have counted everything that happened so far: no event goes before.
    async fn counted(&mut self) -> Result<()> {
        let now = "SELECT pg_current_xact_id()::text";
        let now: String = sqlx::query_scalar(now).fetch_one(&mut self.connection).await?;
        let is_past = "SELECT xid > $1::xid8 FROM message_stats_cursor";
        let begun = Instant::now();
        while begun.elapsed() < RETENTION {
            if sqlx::query_scalar(is_past).bind(&now).fetch_one(&mut self.connection).await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err("the statistics do not count what happens".into())
    }

    /// A run of the retention, which is due now.
    async fn retention(&mut self) -> Result<()> {
        let due = "UPDATE tasks SET due_at = now() WHERE name = 'retention' AND status = 'ready' RETURNING now()";
        let ran =
            "SELECT finished_at > $1 AND status = 'ready' AND last_error IS NULL FROM tasks WHERE name = 'retention'";
        let begun = Instant::now();
        let mut since: Option<chrono::DateTime<chrono::Utc>> = None;
        while begun.elapsed() < RETENTION {
            if since.is_none() {
                // It may run just now, by itself.
                since = sqlx::query_scalar(due).fetch_optional(&mut self.connection).await?;
            }
            if let Some(since) = since {
                let ran: Option<bool> = sqlx::query_scalar(ran).bind(since).fetch_one(&mut self.connection).await?;
                if ran.unwrap_or(false) {
                    return Ok(());
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err("the retention did not run when it was due".into())
    }
}
