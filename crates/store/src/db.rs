//! The pool and the migrations.

use std::{str::FromStr, time::Duration};

use sqlx::{
    PgPool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// The oldest server that the service supports: `server_version_num`.
pub const OLDEST_SERVER: i32 = 150_000;

/// Reads a connection address, such as `postgres://user:password@host/database`.
///
/// # Errors
/// When the address cannot be parsed; the message does not repeat it, since it may hold a password.
pub fn parse_url(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    PgConnectOptions::from_str(url)
}

/// How long a statement waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a pool. Times are kept in UTC; a transaction that its client leaves open is ended after 10 s, so that a stopped process
/// neither holds locks nor holds up the event stream.
pub async fn connect(options: PgConnectOptions, max_connections: u32) -> Result<PgPool, sqlx::Error> {
    let options = options.application_name("integrations").options([
        ("timezone", "UTC"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("statement_timeout", "30s"),
        ("jit", "off"),
        ("client_min_messages", "warning"),
    ]);
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // The check costs a round trip on each use; a broken connection is met by the caller's own error path anyway.
        .test_before_acquire(false)
        .connect_with(options)
        .await
}

/// A pool beside `pool`, for a part of the process that must find connections whatever the others do with theirs. It connects when it is
/// first used.
pub fn apart(pool: &PgPool, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .connect_lazy_with((*pool.connect_options()).clone())
}

/// A small pool beside `pool`, for the statements that every message runs: slow reads do not hold them up, and they are planned
/// once. They touch rows by key, so that the plan is the same for all values; PostgreSQL is inclined to plan them for each call,
/// which takes longer than running them. It connects when it is first used.
pub fn hot(pool: &PgPool, connections: u32) -> PgPool {
    let options = (*pool.connect_options())
        .clone()
        // The plan is made when the tables are small, and kept when they are large.
        .options([("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off")]);
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .connect_lazy_with(options)
}

/// Brings the schema up to date. Does nothing when it is; several at once wait for each other on an advisory lock.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    MIGRATIONS.run(pool).await?;
    ensure_partitions(pool).await.map_err(MigrateError::Execute)
}

/// Makes the partitions of the growing tables for the time ahead, where they are missing.
pub async fn ensure_partitions(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT ensure_all_partitions()").execute(pool).await.map(drop)
}

/// The server's version as `server_version_num`, such as 150020. Also the cheapest proof that the database answers.
pub async fn server_version(pool: &PgPool) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT current_setting('server_version_num')::int").fetch_one(pool).await
}
