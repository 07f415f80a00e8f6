//! What must hold at the end of every test.

use std::fmt::Write as _;

use service::secrets::columns::COLUMNS;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};

/// Fails when a message is left on its way, unless it may; returns all rows of the database as text.
pub async fn look(options: PgConnectOptions, may_leave_messages: bool) -> String {
    let mut connection = options.connect().await.expect("the database answers");
    if !may_leave_messages {
        let left: Vec<(String, String)> = sqlx::query_as(
            "SELECT id::text, status FROM messages WHERE status IN ('scheduled', 'queued', 'sending') LIMIT 10",
        )
        .fetch_all(&mut connection)
        .await
        .expect("the table exists");
        assert!(left.is_empty(), "messages were left on their way: {left:?}");
    }
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the catalogue can be read");
    let mut dump = String::new();
    for table in tables {
        let rows = format!("SELECT t::text FROM {table} AS t");
        let rows: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&mut connection).await.expect("the table exists");
        for column in sealed_columns(&mut connection, &table).await {
            let known = COLUMNS.iter().any(|known| known.place.name == format!("{table}.{column}"));
            assert!(known, "{table}.{column} holds envelopes and does not stand in secrets::columns");
        }
        for row in rows {
            writeln!(dump, "{table}: {row}").expect("memory takes text");
        }
    }
    dump
}

/// The columns of a table in which envelopes stand.
async fn sealed_columns(connection: &mut PgConnection, table: &str) -> Vec<String> {
    let sql = format!(
        "SELECT DISTINCT c.key FROM {table} AS t, jsonb_each(to_jsonb(t)) AS c
         WHERE c.value::text LIKE '%\"dek%' AND c.value::text LIKE '%\"nonce%' AND c.value::text LIKE '%\"ct%'"
    );
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await.expect("the table exists")
}

/// Fails when a credential, or the part of it that makes it secret, stands in one of the texts, also as hexadecimal digits.
pub fn search(places: &[(&str, &str)], secrets: &[String]) {
    for secret in secrets {
        // `123:secret` of bots, `header.claims.signature` of JSON Web Tokens.
        let part = secret.rsplit([':', '.']).next().unwrap_or(secret);
        assert!(part.len() >= 16, "too short to search for");
        for needle in [part.to_owned(), hex::encode(part)] {
            for (place, text) in places {
                if let Some(at) = text.find(&needle) {
                    let before = text[..at].chars().rev().take(200).collect::<Vec<_>>();
                    panic!("a credential stands in the {place}, after: {}", before.iter().rev().collect::<String>());
                }
            }
        }
    }
}
