//! A user with 10,000 of 100,000 channels: searches, with common and rare words, and pages at the beginning and at the end of the list.
//! The rows are put into the service's private database; the questions come through its API, one after another.

use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use crate::Result;
use crate::cli::Options;
use crate::client::{Connection, Endpoint};
use crate::logins::{call, with_accounts};
use crate::summary::Percentiles;

/// How often each question is asked in one round.
const TIMES: usize = 200;
/// Who makes all requests.
const USER: i32 = 1;
const LIST: &str = "/api/integrations/telegram/channels";

/// Titles of two words, one of eight and one of ten, with something of their own; every third of the other users' says something that
/// none of the user's says.
const FILL: &str = "
INSERT INTO users SELECT generate_series(100, 109) ON CONFLICT DO NOTHING;
INSERT INTO telegram_channels (id, user_id, channel_id, title, type, username, settings, members_count)
SELECT uuid7_now(), CASE WHEN n % 10 = 0 THEN $USER ELSE 100 + n % 10 END, -1000000000000 - n,
       CASE WHEN n % 10 <> 0 AND n % 3 = 0 THEN 'Погода ' ELSE '' END ||
       (ARRAY['Новости', 'News', 'Канал', 'Клуб', 'Работа', 'Magazin', 'Скидки', 'Спорт'])[1 + n / 10 % 8] || ' ' ||
       (ARRAY['города', 'дня', 'Moscow', 'travel', 'любителей', 'о книгах', 'ежедневно', 'daily', 'и бизнес', 'weekly'])[1 + n / 80 % 10]
           || ' ' || left(md5(n::text), 8),
       CASE WHEN n % 3 = 0 THEN 'group' ELSE 'channel' END, CASE WHEN n % 2 = 0 THEN 'name_' || n END,
       jsonb_build_object('team', n % 7), n
FROM generate_series(1, 100000) AS n;
INSERT INTO telegram_channel_checks (channel_id, next_check_at)
SELECT id, now() + interval '1 day' FROM telegram_channels ON CONFLICT DO NOTHING;
ANALYZE telegram_channels; ANALYZE telegram_channel_checks;";

/// What is asked, and how it is called in the table.
const QUESTIONS: [(&str, &str); 9] = [
    ("a word of an eighth, Russian (новости)", "q=%D0%BD%D0%BE%D0%B2%D0%BE%D1%81%D1%82%D0%B8"),
    ("another form of it (новостей)", "q=%D0%BD%D0%BE%D0%B2%D0%BE%D1%81%D1%82%D0%B5%D0%B9"),
    ("a word of a tenth, English (daily)", "q=daily"),
    ("three letters (ост)", "q=%D0%BE%D1%81%D1%82"),
    ("a name (name_77)", "q=name_77"),
    ("one title (md5)", "q=f899139d"),
    ("a word that only others have (погода)", "q=%D0%BF%D0%BE%D0%B3%D0%BE%D0%B4%D0%B0"),
    ("a common word and a type", "q=daily&type=group"),
    ("settings that a seventh has", "settings=%7B%22team%22%3A3%7D"),
];

/// Runs the measurements and prints a line for each.
pub async fn run(options: &Options) -> Result<()> {
    let (_sim, mut service) = with_accounts(options).await?;
    let measured = async {
        println!("{}", crate::report::machine(options));
        let endpoint = service.ready(0, true).await?.endpoint;
        let folder = service.folder().ok_or("the service has no folder")?.canonicalize()?;
        let mut connection = Connection::new(endpoint.address);
        // Makes the row of the user whose token is used.
        call(&mut connection, &endpoint, LIST, None).await?;
        let mut database = service::postgres::running_options(&folder).connect().await?;
        sqlx::raw_sql(AssertSqlSafe(FILL.replace("$USER", &USER.to_string()))).execute(&mut database).await?;
        for _ in 0..options.repeat {
            measure(&mut connection, &endpoint).await?;
        }
        Ok(())
    };
    let measured: Result<()> = measured.await;
    service.stop().await?;
    measured
}

async fn measure(connection: &mut Connection, endpoint: &Endpoint) -> Result<()> {
    for (what, query) in QUESTIONS {
        ask(connection, endpoint, what, &format!("{LIST}?{query}")).await?;
    }
    ask(connection, endpoint, "the first page", LIST).await?;
    let mut cursor = String::new();
    let mut pages = 0;
    loop {
        let path =
            if cursor.is_empty() { format!("{LIST}?limit=200") } else { format!("{LIST}?limit=200&cursor={cursor}") };
        let page = call(connection, endpoint, &path, None).await?;
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    ask(connection, endpoint, &format!("the last of {pages} pages of 200, by 50"), &format!("{LIST}?cursor={cursor}"))
        .await
}

async fn ask(connection: &mut Connection, endpoint: &Endpoint, what: &str, path: &str) -> Result<()> {
    let mut times: Vec<Duration> = Vec::with_capacity(TIMES);
    let mut rows = 0;
    for _ in 0..TIMES {
        let begun = Instant::now();
        let page: Value = call(connection, endpoint, path, None).await?;
        times.push(begun.elapsed());
        rows = page["items"].as_array().map_or(0, Vec::len);
    }
    if let Some(Percentiles { p50, p99, max, .. }) = Percentiles::of(times) {
        println!("{what}: {rows} rows, p50 {p50:.2}, p99 {p99:.2}, max {max:.2} ms");
    }
    Ok(())
}
