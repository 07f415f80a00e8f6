//! The schema that the migrations make holds the product document's tables, and the list of what differs is complete.

use std::collections::BTreeSet;

use sqlx::PgPool;
use testdb::TestDb;

/// What the migrations lack of the document, or have beyond it: each with its reason. (The document's own list of extensions lacks
/// pg_trgm, without which its index on titles cannot be made; so its SQL here has it too.)
const DEVIATIONS: [(Difference, &str, &str); 44] = {
    use Difference::{Extra, Missing};
    const SEALED: &str = "A sealed envelope is wider than the token.";
    const ANEW: &str = "The name of a token whose envelope was replaced.";
    const ONCE: &str = "One owner for each bot, account and session: two would fight over it.";
    const STATE: &str = "The state of a sender, why, and since when: a boolean cannot tell them apart.";
    const NAME: &str = "What the platform calls it.";
    const LOGIN: &str = "What logging in and out needs to know of an account.";
    const CHAT: &str = "What the platform tells of a chat.";
    const LISTED: &str = "Pages and searches of one user among many.";
    [
        (Missing, "column telegram_bots.bot_token character varying(100) not null", SEALED),
        (Extra, "column telegram_bots.bot_token text not null", SEALED),
        (Extra, "column telegram_bots.name text not null default ''::text", NAME),
        (Extra, "column telegram_bots.status text not null default 'active'::text", STATE),
        (
            Extra,
            "column telegram_bots.status_changed_at timestamp with time zone not null default CURRENT_TIMESTAMP",
            STATE,
        ),
        (Extra, "column telegram_bots.status_reason text", STATE),
        (Extra, "column telegram_bots.telegram_bot_id bigint not null", ONCE),
        (Extra, "column telegram_bots.token_envelope text", ANEW),
        (Extra, "column telegram_bots.token_version text", ANEW),
        (
            Extra,
            "constraint telegram_bots_status_check CHECK ((status = ANY (ARRAY['active'::text, 'token_revoked'::text, 'off'::text])))",
            STATE,
        ),
        (Extra, "constraint telegram_bots_telegram_bot_id_key UNIQUE (telegram_bot_id)", ONCE),
        (
            Extra,
            "index CREATE UNIQUE INDEX telegram_bots_telegram_bot_id_key ON public.telegram_bots USING btree (telegram_bot_id)",
            ONCE,
        ),
        (Extra, "column telegram_sessions.client jsonb not null default '{}'::jsonb", LOGIN),
        (Extra, "column telegram_sessions.connected_at timestamp with time zone", LOGIN),
        (Extra, "column telegram_sessions.delete_requested_at timestamp with time zone", LOGIN),
        (Extra, "column telegram_sessions.fingerprint bytea", ONCE),
        (Extra, "column telegram_sessions.login_epoch integer not null default 1", LOGIN),
        (Extra, "column telegram_sessions.name text not null default ''::text", NAME),
        (Extra, "column telegram_sessions.settings jsonb", "Settings of its owner, as bots and channels have them."),
        (Extra, "column telegram_sessions.status text not null default 'connecting'::text", STATE),
        (
            Extra,
            "column telegram_sessions.status_changed_at timestamp with time zone not null default CURRENT_TIMESTAMP",
            STATE,
        ),
        (Extra, "column telegram_sessions.status_reason text", STATE),
        (Extra, "column telegram_sessions.status_until timestamp with time zone", STATE),
        (Extra, "column telegram_sessions.strangers_blocked_until timestamp with time zone", STATE),
        (Extra, "column telegram_sessions.telegram_user_id bigint", ONCE),
        (Extra, "column telegram_sessions.username text", NAME),
        (
            Extra,
            "constraint telegram_sessions_status_check CHECK ((status = ANY (ARRAY['active'::text, 'connecting'::text, 'limited'::text, 'needs_login'::text, 'banned'::text, 'off'::text])))",
            STATE,
        ),
        (Extra, "constraint telegram_sessions_telegram_user_id_key UNIQUE (telegram_user_id)", ONCE),
        (
            Extra,
            "index CREATE INDEX telegram_sessions_waits_idx ON public.telegram_sessions USING btree (status_until) WHERE (status_until IS NOT NULL)",
            STATE,
        ),
        (
            Extra,
            "index CREATE UNIQUE INDEX telegram_sessions_fingerprint_key ON public.telegram_sessions USING btree (fingerprint)",
            ONCE,
        ),
        (
            Extra,
            "index CREATE UNIQUE INDEX telegram_sessions_telegram_user_id_key ON public.telegram_sessions USING btree (telegram_user_id)",
            ONCE,
        ),
        (Extra, "column telegram_channels.is_forum boolean not null default false", CHAT),
        (Extra, "column telegram_channels.photo text", CHAT),
        (
            Extra,
            "column telegram_channels.search tsvector default to_tsvector('russian'::regconfig, (((title)::text || ' '::text) || COALESCE(username, ''::text)))",
            LISTED,
        ),
        (Extra, "column telegram_channels.slow_mode_seconds integer not null default 0", CHAT),
        (Extra, "column telegram_channels.status text not null default 'active'::text", STATE),
        (
            Extra,
            "column telegram_channels.status_changed_at timestamp with time zone not null default CURRENT_TIMESTAMP",
            STATE,
        ),
        (Extra, "column telegram_channels.status_reason text", STATE),
        (Extra, "column telegram_channels.username text", NAME),
        (
            Extra,
            "constraint telegram_channels_status_check CHECK ((status = ANY (ARRAY['active'::text, 'no_sender'::text, 'gone'::text, 'off'::text])))",
            STATE,
        ),
        (Extra, "extension btree_gin", LISTED),
        (
            Extra,
            "index CREATE INDEX telegram_channels_page_idx ON public.telegram_channels USING btree (user_id, id)",
            LISTED,
        ),
        (
            Extra,
            "index CREATE INDEX telegram_channels_search_idx ON public.telegram_channels USING gin (((user_id)::bigint), title gin_trgm_ops, username gin_trgm_ops, search)",
            LISTED,
        ),
        (
            Extra,
            "index CREATE UNIQUE INDEX telegram_channels_user_chat_key ON public.telegram_channels USING btree (user_id, channel_id)",
            "The same chat is one row of a user, also when it is connected twice at once.",
        ),
    ]
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    Missing,
    Extra,
}

/// Everything that the catalogue tells of the document's tables, one line each.
const CATALOGUE: &str = "
WITH documented AS (
    SELECT oid, relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND relname IN ('telegram_sessions', 'telegram_bots', 'telegram_channels', 'integration_logs')
)
SELECT concat_ws(' ', 'column', d.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod),
                 CASE WHEN a.attnotnull THEN 'not null' END, 'default ' || pg_get_expr(v.adbin, v.adrelid))
FROM documented d JOIN pg_attribute a ON a.attrelid = d.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef v ON v.adrelid = a.attrelid AND v.adnum = a.attnum
UNION ALL
SELECT concat_ws(' ', 'constraint', c.conname, pg_get_constraintdef(c.oid))
FROM documented d JOIN pg_constraint c ON c.conrelid = d.oid
UNION ALL
SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid)) FROM documented d JOIN pg_index i ON i.indrelid = d.oid
UNION ALL
SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid))
FROM documented d JOIN pg_trigger t ON t.tgrelid = d.oid AND NOT t.tgisinternal
UNION ALL
SELECT concat_ws(' ', 'function', pg_get_functiondef('update_updated_at_column'::regproc))
UNION ALL
SELECT concat_ws(' ', 'extension', extname) FROM pg_extension";

async fn catalogue(pool: &PgPool) -> BTreeSet<String> {
    let lines: Vec<String> = sqlx::query_scalar(CATALOGUE).fetch_all(pool).await.expect("the catalogue can be read");
    lines.into_iter().collect()
}

async fn pool(db: &TestDb) -> PgPool {
    store::connect(db.options(), 2).await.expect("the database answers")
}

#[tokio::test]
async fn the_tables_are_the_documents_but_for_the_list() {
    let (document, ours) = (TestDb::empty().await, TestDb::migrated().await);
    let (document, ours) = (pool(&document).await, pool(&ours).await);
    sqlx::raw_sql(include_str!("document.sql")).execute(&document).await.expect("the document's SQL works");
    let (wanted, found) = (catalogue(&document).await, catalogue(&ours).await);
    let missing = wanted.difference(&found).map(|line| (Difference::Missing, line.as_str()));
    let extra = found.difference(&wanted).map(|line| (Difference::Extra, line.as_str()));
    let differences: BTreeSet<_> = missing.chain(extra).collect();
    let allowed: BTreeSet<_> = DEVIATIONS.iter().map(|(kind, line, _)| (*kind, *line)).collect();
    let unexpected: Vec<_> = differences.difference(&allowed).collect();
    assert!(unexpected.is_empty(), "differences without a reason: {unexpected:#?}");
    let outdated: Vec<_> = allowed.difference(&differences).collect();
    assert!(outdated.is_empty(), "reasons for nothing: {outdated:#?}");
    assert!(wanted.len() > 60, "the catalogue was read: {wanted:#?}");
    document.close().await;
    ours.close().await;
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let db = TestDb::migrated().await;
    let pool = pool(&db).await;
    let everything = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1";
    let before: Vec<String> = sqlx::query_scalar(everything).fetch_all(&pool).await.expect("it can be read");
    store::migrate(&pool).await.expect("it is up to date");
    let after: Vec<String> = sqlx::query_scalar(everything).fetch_all(&pool).await.expect("it can be read");
    assert_eq!(before, after);
    pool.close().await;
}

#[tokio::test]
async fn several_may_migrate_an_empty_database_at_once() {
    let db = TestDb::empty().await;
    let migrations = (0..5).map(|_| {
        let options = db.options();
        tokio::spawn(async move {
            let pool = store::connect(options, 2).await.expect("the database answers");
            store::migrate(&pool).await.map_err(|error| error.to_string())?;
            pool.close().await;
            Ok::<_, String>(())
        })
    });
    for outcome in futures::future::join_all(migrations).await {
        assert_eq!(outcome.expect("no panic"), Ok(()));
    }
    let pool = pool(&db).await;
    let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations WHERE success")
        .fetch_one(&pool)
        .await
        .expect("the table exists");
    assert!(applied >= 5);
    pool.close().await;
}

#[tokio::test]
async fn a_table_of_users_that_exists_is_referenced_and_left_alone() {
    let db = TestDb::empty().await;
    let pool = pool(&db).await;
    sqlx::raw_sql("CREATE TABLE users (id INT PRIMARY KEY, email TEXT NOT NULL); INSERT INTO users VALUES (7, 'a@b')")
        .execute(&pool)
        .await
        .expect("an empty database takes a table");
    store::migrate(&pool).await.expect("the migrations run beside it");
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0 ORDER BY attnum",
    )
    .fetch_all(&pool)
    .await
    .expect("the catalogue can be read");
    assert_eq!(columns, ["id", "email"]);
    for (user, state) in [(7, store::users::UserState::Known), (8, store::users::UserState::Missing)] {
        assert_eq!(store::users::ensure(&pool, user).await.expect("the database answers"), state);
    }
    sqlx::query(
        "INSERT INTO integration_logs (user_id, integration_type, action, status) VALUES (7, 'telegram_bot', 'x', 'error')",
    )
    .execute(&pool)
    .await
    .expect("the user exists");
    sqlx::query("DELETE FROM users").execute(&pool).await.expect("what refers to it goes too");
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM integration_logs").fetch_one(&pool).await.expect("it is there");
    assert_eq!(left, 0);
    pool.close().await;
}
