//! Thousands of connected accounts in one process: the memory of each, processor time, a restart, and sends through them.
//! Telegram is the simulator, in this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use telegram_sim::Sim;
use telegram_sim::mtproto::{NewAccount, Revocation};
use telegram_sim::world::{Event, NewUser};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use crate::Result;
use crate::cli::Options;
use crate::client::{Connection, Endpoint};
use crate::ledger::Ledger;
use crate::load::{self, Ask};
use crate::logins::{CONNECT, call, follow, with_accounts};
use crate::pace::Pace;
use crate::processes::{Part, Usage, Used, Watch};
use crate::summary::Percentiles;
use crate::system::{Service, Target};

/// Logins at the same time: enough to be fast, few enough that none waits long.
const TOGETHER: usize = 20;
/// How long nothing is asked while it is watched; longer than the period of the probes.
const WATCHED: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_mins(3);
/// How many messages each account is told, for what that leaves behind.
const TOLD: usize = 30;
/// How long messages are sent, if the options do not say.
const SEND_SECS: u32 = 20;

/// Connects the accounts, watches them, restarts the service, and sends.
pub async fn run(options: &Options, count: usize, rate: u32) -> Result<()> {
    let (sim, mut service) = with_accounts(options).await?;
    println!("{}", crate::report::machine(options));
    let measured = measure(options, &mut service, &sim, count, rate).await;
    service.stop().await?;
    measured
}

async fn measure(options: &Options, service: &mut Service, sim: &Arc<Sim>, count: usize, rate: u32) -> Result<()> {
    let target = service.ready(0, true).await?;
    let empty = watch(&target).await;
    print("no accounts, idle", &empty);

    let friend = sim.world().lock().add_user(NewUser::default());
    let begun = Instant::now();
    let accounts = connect(&target.endpoint, sim, count, friend).await?;
    println!("{count} accounts connected in {:.0} s", begun.elapsed().as_secs_f64());
    let connected = watch(&target).await;
    print(&format!("{count} accounts, idle"), &connected);
    per_account("after they were connected", &empty, &connected, count);

    let begun = Instant::now();
    let target = service.restart().await?;
    let ready = begun.elapsed();
    until_back(sim, count).await?;
    println!(
        "restart: ready after {:.1} s, all back after {:.1} s",
        ready.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    let restarted = watch(&target).await;
    print(&format!("{count} accounts, idle, after a restart"), &restarted);
    per_account("after a restart", &empty, &restarted, count);

    tell(sim, friend).await?;
    let told = watch(&target).await;
    per_account(&format!("after each was told {TOLD} messages"), &empty, &told, count);

    for _ in 0..options.repeat {
        send(options, &target, sim, &accounts, friend, rate).await?;
    }

    let before = sim.accounts().counters().connections_accepted;
    sim.accounts().cut(None)?;
    let begun = Instant::now();
    while usize::try_from(sim.accounts().counters().connections_accepted - before)? < count {
        if begun.elapsed() > PATIENCE {
            return Err("not all accounts came back after their connections were cut".into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("all connections cut at once: all back after {:.1} s", begun.elapsed().as_secs_f64());
    let cut = watch(&target).await;
    per_account("after all were cut at once", &empty, &cut, count);
    revoke(&target, sim, &accounts).await
}

/// Ends some sessions at Telegram without a word, and waits until the service shows it.
async fn revoke(target: &Target, sim: &Arc<Sim>, accounts: &[String]) -> Result<()> {
    let mut times = Vec::new();
    for account in accounts.iter().step_by((accounts.len() / 5).max(1)) {
        let path = format!("/api/integrations/telegram/accounts/{account}");
        let mut connection = Connection::new(target.endpoint.address);
        let shown = call(&mut connection, &target.endpoint, &path, None).await?;
        let user = shown["telegram_user_id"].as_i64().ok_or_else(|| format!("who is it? {shown}"))?;
        sim.accounts().revoke(user, None, Revocation::Revoked)?;
        let begun = Instant::now();
        while call(&mut connection, &target.endpoint, &path, None).await?["status"] != "needs_login" {
            if begun.elapsed() > PATIENCE {
                return Err(format!("the revoked account {account} is still called connected").into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        times.push(begun.elapsed());
    }
    let shown = Percentiles::of(times).ok_or("no account was revoked")?;
    println!("sessions revoked without a word: shown after p50 {:.1}, max {:.1} s", shown.p50 / 1e3, shown.max / 1e3);
    Ok(())
}

/// Logs so many people in, who all hear from a friend then.
async fn connect(endpoint: &Endpoint, sim: &Arc<Sim>, count: usize, friend: i64) -> Result<Vec<String>> {
    let mut logins = JoinSet::new();
    let mut accounts = Vec::new();
    for number in 0..count {
        if logins.len() >= TOGETHER {
            accounts.extend(logins.join_next().await.transpose()?.transpose()?);
        }
        logins.spawn(log_in(endpoint.clone(), sim.clone(), number, friend));
    }
    while let Some(done) = logins.join_next().await {
        accounts.push(done??);
    }
    Ok(accounts)
}

async fn log_in(endpoint: Endpoint, sim: Arc<Sim>, number: usize, friend: i64) -> Result<String> {
    let person = NewAccount { phone: format!("1998{number:07}"), ..NewAccount::default() };
    let user = sim.accounts().create_account(person)?;
    let mut connection = Connection::new(endpoint.address);
    let login = call(&mut connection, &endpoint, CONNECT, Some(json!({ "method": "qr" }))).await?;
    follow(connection, &endpoint, &sim, user, &login).await?;
    sim.accounts().deliver(friend, user, "hello")?;
    let path = format!("{CONNECT}/{}", login["id"].as_str().unwrap_or_default());
    let done = call(&mut Connection::new(endpoint.address), &endpoint, &path, None).await?;
    Ok(done["account_id"].as_str().ok_or_else(|| format!("no account: {done}"))?.to_owned())
}

/// A friend writes to all accounts, again and again.
async fn tell(sim: &Arc<Sim>, friend: i64) -> Result<()> {
    let people: Vec<_> = sim.accounts().accounts().iter().map(|account| account.user_id).collect();
    for _ in 0..TOLD {
        for some in people.chunks(250) {
            for person in some {
                sim.accounts().deliver(friend, *person, "how are you?")?;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// Watches a service that has nothing to do but to keep its accounts alive.
async fn watch(target: &Target) -> Used {
    tokio::time::sleep(Duration::from_secs(5)).await;
    let watch = Watch::begin(target.roots.clone());
    tokio::time::sleep(WATCHED).await;
    watch.end()
}

/// Until each account has a connection at Telegram again.
async fn until_back(sim: &Sim, count: usize) -> Result<()> {
    let begun = Instant::now();
    let mut open = 0;
    while begun.elapsed() < PATIENCE {
        open = sim.accounts().counters().connections_open;
        if usize::try_from(open)? >= count {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("only {open} of {count} accounts came back").into())
}

/// Sends at a fixed rate, each message through another account.
async fn send(
    options: &Options,
    target: &Target,
    sim: &Arc<Sim>,
    accounts: &[String],
    friend: i64,
    rate: u32,
) -> Result<()> {
    let total = (rate * options.secs.unwrap_or(SEND_SECS)) as usize;
    let run = u64::try_from(chrono::Utc::now().timestamp_millis())?;
    let ledger = Arc::new(Ledger::new(run, total));
    let listener = tokio::spawn(listen(sim.clone(), ledger.clone()));
    let ask = Ask::SendAs { accounts: accounts.to_vec(), chat_id: friend, ledger: ledger.clone() };
    let watch = Watch::begin(target.roots.clone());
    load::drive(&target.endpoint, Arc::new(ask), 64, || Pace::open(rate, total)).await?;
    let used = watch.end();
    let begun = Instant::now();
    while ledger.counts().lost > 0 && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    listener.abort();
    let counts = ledger.counts();
    let arrival = Percentiles::of(ledger.latencies()).ok_or("nothing arrived")?;
    println!(
        "{rate} messages/s through them: POST to arrival p50 {:.1}, p99 {:.1}, max {:.1} ms; accepted {}, lost {}, doubled {}",
        arrival.p50, arrival.p99, arrival.max, counts.accepted, counts.lost, counts.doubles
    );
    print("meanwhile", &used);
    Ok(())
}

/// Notes what arrives.
async fn listen(sim: Arc<Sim>, ledger: Arc<Ledger>) {
    let mut events = sim.world().subscribe();
    loop {
        match events.recv().await {
            Ok(Event::Message(message)) => ledger.arrived(&message.body.text, Instant::now()),
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => eprintln!("{missed} events were missed: the simulator is too busy"),
            Err(RecvError::Closed) => return,
        }
    }
}

fn print(what: &str, used: &Used) {
    let part = |part: Part| used.parts.get(&part).copied().unwrap_or(Usage { cpu: 0.0, rss_peak: 0.0, pss: 0.0 });
    let (service, postgres) = (part(Part::Service), part(Part::Postgres));
    println!(
        "{what}: service {:.1} MiB (peak {:.1}), {:.1} % of a core; PostgreSQL {:.1} % of a core; \
         simulator {:.1} %, others {:.1} %",
        service.pss, service.rss_peak, service.cpu, postgres.cpu, used.bench_cpu, used.other_cpu
    );
}

fn per_account(when: &str, empty: &Used, full: &Used, count: usize) {
    let memory = |used: &Used| used.parts.get(&Part::Service).map_or(0.0, |usage| usage.pss);
    let count = u32::try_from(count).map_or(f64::MAX, f64::from);
    println!("memory of an account {when}: {:.1} kB", (memory(full) - memory(empty)) * 1048.576 / count);
}
