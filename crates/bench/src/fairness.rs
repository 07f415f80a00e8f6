//! One user's single messages while another one sends in bulk: a broadcast of 10,000, and sends as fast as they are accepted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Result;
use crate::cli::Options;
use crate::client::{Connection, Endpoint};
use crate::ledger::Ledger;
use crate::load::{self, Ask};
use crate::logins::call;
use crate::pace::Pace;
use crate::summary::Percentiles;
use crate::system::{Service, Target};
use crate::telegram::Telegram;

/// Targets of the broadcast: the most that one may have.
const TARGETS: usize = 10_000;
/// Single messages per second of the other user; what a bot may send.
const RATE: u32 = 20;
/// How long each part is measured, if the options do not say.
const SECS: u32 = 15;
/// Connections of the one that sends in bulk.
const BULK_CONNECTIONS: usize = 16;
/// The other user.
const OTHER: i32 = 2;

/// Runs the measurements and prints a line for each.
pub async fn run(options: &Options) -> Result<()> {
    std::fs::create_dir_all(&options.out)?;
    let telegram = Telegram::start(([127, 0, 0, 1], 0).into(), Duration::from_millis(options.telegram_ms)).await?;
    let out = options.out.canonicalize()?;
    let mut service = Service::new(&options.integrations, &options.data_dir, &out, telegram.address)?;
    println!("{}", crate::report::machine(options));
    let mut measured = Ok(());
    for _ in 0..options.repeat {
        measured = measured.and(measure(options, &mut service, &telegram).await);
        service.stop().await?;
    }
    measured
}

/// The other user, and the first message of the next part.
struct Single<'a> {
    telegram: &'a Telegram,
    endpoint: Endpoint,
    bot: String,
    secs: u32,
}

async fn measure(options: &Options, service: &mut Service, telegram: &Telegram) -> Result<()> {
    let target = service.ready(1, true).await?;
    let endpoint = service.endpoint_of(OTHER).await?;
    let mut connection = Connection::new(endpoint.address);
    let token = json!({ "token": format!("800000000:{:035}", 8) });
    let bot = call(&mut connection, &endpoint, "/api/integrations/telegram/bots", Some(token)).await?;
    let bot = bot["id"].as_str().ok_or("the bot has no id")?.to_owned();
    let single = Single { telegram, endpoint, bot, secs: options.secs.unwrap_or(SECS) };
    single.warm_up().await?;
    single.send("nothing else", 1).await?;

    let broadcast = create(&target).await?;
    single.send("while a broadcast of 10,000 runs", 2).await?;
    let mut connection = Connection::new(target.endpoint.address);
    let path = format!("/api/integrations/broadcasts/{broadcast}");
    let counts = call(&mut connection, &target.endpoint, &path, None).await?["counts"].take();
    println!("  of the broadcast meanwhile: {counts}");
    call(&mut connection, &target.endpoint, &format!("{path}/cancel"), Some(json!({}))).await?;

    // While broadcasts are made one after another: each is read, checked and stored as a whole.
    let making = tokio::spawn(make_broadcasts(target.clone(), single.secs));
    single.send("while broadcasts of 10,000 are made one after another", 3).await?;
    println!("  made meanwhile: {}", making.await??);

    let bulk = Arc::new(Ledger::new(4, 0));
    let ask = Ask::Send { bots: target.bots.clone(), first_chat: 500_000_000, ledger: bulk };
    let time = Duration::from_secs(u64::from(single.secs) + 1);
    let endpoint = target.endpoint.clone();
    let flood = tokio::spawn(async move {
        load::drive(&endpoint, Arc::new(ask), BULK_CONNECTIONS, || Pace::closed(time, usize::MAX / 2)).await
    });
    single.send("while another user sends as fast as it is accepted", 5).await?;
    println!("  accepted meanwhile: {:?}", flood.await??.statuses);
    Ok(())
}

async fn create(target: &Target) -> Result<String> {
    let targets: Vec<Value> = (0..TARGETS).map(|n| json!({ "chat_id": 600_000_000 + n })).collect();
    let body = json!({ "via": { "bot_id": target.bots[0] }, "message": { "text": "to all" }, "targets": targets });
    let mut connection = Connection::new(target.endpoint.address);
    let made = call(&mut connection, &target.endpoint, "/api/integrations/broadcasts", Some(body)).await?;
    Ok(made["id"].as_str().ok_or("the broadcast has no id")?.to_owned())
}

async fn make_broadcasts(target: Target, secs: u32) -> Result<usize> {
    let end = Instant::now() + Duration::from_secs(secs.into());
    let mut made = 0;
    let mut connection = Connection::new(target.endpoint.address);
    while Instant::now() < end {
        let id = create(&target).await?;
        call(&mut connection, &target.endpoint, &format!("/api/integrations/broadcasts/{id}/cancel"), Some(json!({})))
            .await?;
        made += 1;
    }
    Ok(made)
}

impl Single<'_> {
    async fn warm_up(&self) -> Result<()> {
        let ledger = Arc::new(Ledger::new(9, 10));
        self.telegram.note_in(ledger.clone());
        let ask = Ask::Send { bots: vec![self.bot.clone()], first_chat: 1_000_000, ledger };
        load::drive(&self.endpoint, Arc::new(ask), 1, || Pace::open(10, 10)).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(())
    }

    async fn send(&self, what: &str, run: u64) -> Result<()> {
        let total = (RATE * self.secs) as usize;
        let ledger = Arc::new(Ledger::new(run, total));
        self.telegram.note_in(ledger.clone());
        let first_chat = usize::try_from(run)? * 10_000_000;
        let ask = Ask::Send { bots: vec![self.bot.clone()], first_chat, ledger: ledger.clone() };
        load::drive(&self.endpoint, Arc::new(ask), 8, || Pace::open(RATE, total)).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Some(Percentiles { p50, p99, max, .. }) = Percentiles::of(ledger.latencies()) {
            let lost = ledger.counts().lost;
            println!("{what}: POST to arrival p50 {p50:.1}, p99 {p99:.1}, max {max:.1} ms, {lost} not there yet");
        }
        Ok(())
    }
}
