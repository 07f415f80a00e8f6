//! Whether millions of messages make anything slower: the same loads on the same service, before and after its table is filled.

use std::time::Duration;

use sqlx::{AssertSqlSafe, ConnectOptions as _};

use crate::Result;
use crate::cli::{self, Options};
use crate::report::{self, Record};
use crate::system::{Service, Target};
use crate::telegram::Telegram;

/// Most have been sent, some failed, one in a thousand is scheduled for next year, and one in a hundred waits for a bot that is switched
/// off: the last one of the list, which no load uses. The ids are of the last hours, so that all are in the partition that is written to.
const FILL: &str = "
SET statement_timeout = 0;
WITH bots AS (SELECT array_agg(id ORDER BY id) AS ids FROM telegram_bots)
INSERT INTO messages (id, user_id, route, sender_id, chat_id, kind, content, status, priority, scheduled_at, random_id,
                      platform_message_id, attempts, attempt_id, created_at, queued_at, finished_at)
SELECT (lpad(to_hex((extract(epoch FROM now() - make_interval(secs => ($COUNT - n) / 3000.0)) * 1000)::bigint), 12, '0')
            || '7' || substr(r, 2, 3) || '8' || substr(r, 5, 15))::uuid,
       1, 'bot', CASE WHEN n % 100 = 7 THEN ids[array_length(ids, 1)] ELSE ids[1 + n % (array_length(ids, 1) - 1)] END,
       500000000 + n % 100000, 'text', jsonb_build_object('content', jsonb_build_object('type', 'text', 'text', 'Order ' || n)),
       CASE WHEN n % 100 = 7 THEN 'queued' WHEN n % 1000 = 1 THEN 'scheduled' WHEN n % 50 = 0 THEN 'failed' ELSE 'sent' END,
       (n % 3)::smallint, CASE WHEN n % 1000 = 1 THEN now() + interval '300 days' END, n, n, 1, gen_random_uuid(),
       now() - interval '1 day', now() - interval '1 day', CASE WHEN n % 100 <> 7 AND n % 1000 <> 1 THEN now() END
FROM bots, generate_series($FROM, $TO) AS n,
     LATERAL (SELECT replace(gen_random_uuid()::text, '-', '') AS r WHERE n > 0) AS random";
/// Rows of one statement.
const STEP: u32 = 500_000;
/// After the filling, the database comes to rest.
const REST: Duration = Duration::from_secs(5);

/// Runs the loads twice and prints the table: with the rows, without them, and the ratios.
pub async fn run(options: &Options, count: u32) -> Result<()> {
    std::fs::create_dir_all(&options.out)?;
    let telegram = Telegram::start(([127, 0, 0, 1], 0).into(), Duration::from_millis(options.telegram_ms)).await?;
    let out = options.out.canonicalize()?;
    let mut service = Service::new(&options.integrations, &options.data_dir, &out, telegram.address)?;
    let measured = measure(options, &mut service, &telegram, count).await;
    service.stop().await?;
    measured
}

async fn measure(options: &Options, service: &mut Service, telegram: &Telegram, count: u32) -> Result<()> {
    println!("{}", report::machine(options));
    let target = service.ready(501, true).await?;
    switch_off(&target).await?;
    let without = load(options, &target, telegram, "without").await?;
    let folder = service.folder().ok_or("the service has no folder")?.canonicalize()?;
    fill(&folder, count).await?;
    let mut records = load(options, &target, telegram, "with").await?;
    records.extend(without);
    print!("\n{}", report::table(&cli::over_rows(), &records));
    Ok(())
}

/// Switches off the bot for which much waits.
async fn switch_off(target: &Target) -> Result<()> {
    let bot = target.bots.last().ok_or("there are no bots")?;
    let path = format!("/api/integrations/telegram/bots/{bot}");
    let mut request = target.endpoint.request(&path, Some(r#"{"is_active":false}"#.into()))?;
    *request.method_mut() = http::Method::PATCH;
    let (status, answer) = crate::client::Connection::new(target.endpoint.address).send(request).await?;
    if status == 200 { Ok(()) } else { Err(format!("{status} {}", String::from_utf8_lossy(&answer)).into()) }
}

async fn load(options: &Options, target: &Target, telegram: &Telegram, rows: &'static str) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for repeat in 1..=options.repeat {
        for (index, scenario) in cli::over_rows().iter().enumerate() {
            let record = Record::new(index, scenario, rows, repeat, scenario.run(target, telegram).await?);
            println!("{record}");
            records.push(record);
        }
    }
    Ok(records)
}

async fn fill(folder: &std::path::Path, count: u32) -> Result<()> {
    let mut database = service::postgres::running_options(folder).connect().await?;
    let begun = std::time::Instant::now();
    for from in (1..=count).step_by(STEP as usize) {
        let to = count.min(from + STEP - 1);
        let sql = FILL.replace("$FROM", &from.to_string()).replace("$TO", &to.to_string());
        sqlx::raw_sql(AssertSqlSafe(sql.replace("$COUNT", &count.to_string()))).execute(&mut database).await?;
    }
    for sql in ["VACUUM ANALYZE messages", "CHECKPOINT"] {
        sqlx::raw_sql(sql).execute(&mut database).await?;
    }
    let size: String = sqlx::query_scalar(
        "SELECT pg_size_pretty(sum(pg_total_relation_size(inhrelid))) FROM pg_inherits WHERE inhparent = 'messages'::regclass",
    )
    .fetch_one(&mut database)
    .await?;
    println!("{count} rows in {:.0} s: {size} with indexes", begun.elapsed().as_secs_f64());
    tokio::time::sleep(REST).await;
    Ok(())
}
