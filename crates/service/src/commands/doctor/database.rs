//! The database: can it be reached, is it new enough, has it what the tables need?

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use super::report::{Finding, Report};
use crate::data_dir::DataDir;
use crate::database::configured;
use crate::postgres::binaries::{Binaries, cluster_version};
use crate::postgres::layout::Layout;
use crate::postgres::{Embedded, running_options};
use crate::settings::Settings;

const NAME: &str = "database";

/// What the tables need.
const EXTENSIONS: [&str; 3] = ["pg_trgm", "pgcrypto", "uuid-ossp"];

/// The oldest version, as the server numbers it.
const OLDEST: i32 = 150_000;

/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// Checks the configured database or the private one; returns its clock when that is another machine's.
pub async fn check(settings: &Settings, report: &mut Report) -> Option<DateTime<Utc>> {
    match configured(&settings.database) {
        Ok(Some(options)) => {
            let place = format!("{}:{}", options.get_host(), options.get_port());
            return check_server(settings, &options, &place, report).await;
        }
        Ok(None) => {}
        Err(error) => {
            report.add(Finding::fail(NAME, error, "correct INTEGRATIONS_DATABASE__URL"));
            return None;
        }
    }
    let layout = Layout::of(&settings.data_dir.canonicalize().unwrap_or_else(|_| settings.data_dir.clone()));
    let version = cluster_version(&layout.cluster);
    if DataDir::user(&settings.data_dir).is_some() {
        let options = running_options(&settings.data_dir.canonicalize().unwrap_or_default());
        check_server(settings, &options, "the private one", report).await;
    } else if version.is_some() {
        check_stopped(settings, report).await;
    } else {
        report.add(match Binaries::find(settings.database.bin_dir.as_deref(), &layout.cluster, None) {
            Ok(found) => Finding::ok(
                NAME,
                format!(
                    "will be made at the first start with PostgreSQL {} from {}",
                    found.major,
                    found.folder.display()
                ),
            ),
            Err(error) => Finding::fail(NAME, "none is configured, and there is no server for a private one", error),
        });
    }
    None
}

/// Starts the private server, checks it and ends it again.
async fn check_stopped(settings: &Settings, report: &mut Report) {
    let data_dir = match DataDir::open(&settings.data_dir) {
        Ok(data_dir) => data_dir,
        Err(error) => return report.add(Finding::fail(NAME, "cannot be looked at", error)),
    };
    match Embedded::start(&data_dir, &settings.database).await {
        Ok(server) => {
            check_server(settings, &server.connect_options(), "the private one", report).await;
            server.stop().await;
        }
        Err(error) => report.add(Finding::fail(NAME, "the private one does not start", error)),
    }
}

async fn check_server(
    settings: &Settings,
    options: &PgConnectOptions,
    place: &str,
    report: &mut Report,
) -> Option<DateTime<Utc>> {
    let advice = "check that it runs and can be reached from here, and INTEGRATIONS_DATABASE__URL";
    let mut connection = match timeout(ANSWER, options.connect()).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            report.add(Finding::fail(NAME, format!("{place}: {error}"), advice));
            return None;
        }
        Err(_) => {
            report.add(Finding::fail(NAME, format!("{place}: no answer within {} s", ANSWER.as_secs()), advice));
            return None;
        }
    };
    let result = ask(settings, &mut connection, place, report).await;
    if let Err(error) = &result {
        report.add(Finding::fail(NAME, format!("{place}: {error}"), advice));
    }
    // The checks are done; how the connection ends tells nothing more.
    let _ = connection.close().await;
    result.ok()
}

async fn ask(
    settings: &Settings,
    connection: &mut PgConnection,
    place: &str,
    report: &mut Report,
) -> Result<DateTime<Utc>, sqlx::Error> {
    let (number, version, may_create, connections): (i32, String, bool, i32) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
         has_database_privilege(current_database(), 'CREATE'), current_setting('max_connections')::int",
    )
    .fetch_one(&mut *connection)
    .await?;
    let found = format!("{place}, PostgreSQL {version}");
    report.add(if number < OLDEST {
        Finding::fail(NAME, found, "PostgreSQL 15 or newer is needed")
    } else if !may_create {
        Finding::fail(NAME, format!("{found}; may not create tables"), "GRANT CREATE ON DATABASE to the user")
    } else if i64::from(connections) <= i64::from(settings.database.max_connections) * 3 / 2 + 8 {
        let advice = "raise the server's max_connections, or lower INTEGRATIONS_DATABASE__MAX_CONNECTIONS";
        Finding::warn(NAME, format!("{found}; takes {connections} connections"), advice)
    } else {
        Finding::ok(NAME, found)
    });
    let available: Vec<String> =
        sqlx::query_scalar("SELECT name::text FROM pg_available_extensions WHERE name = ANY($1)")
            .bind(EXTENSIONS.as_slice())
            .fetch_all(&mut *connection)
            .await?;
    let missing: Vec<&str> =
        EXTENSIONS.into_iter().filter(|name| !available.iter().any(|other| other == name)).collect();
    report.add(if missing.is_empty() {
        Finding::ok("extensions", EXTENSIONS.join(", "))
    } else {
        let advice = "install the server's contrib modules (postgresql-contrib)";
        Finding::fail("extensions", format!("missing: {}", missing.join(", ")), advice)
    });
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(connection).await
}
