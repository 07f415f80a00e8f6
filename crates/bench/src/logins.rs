//! Logins by QR code: from the scan to the connected account, one after another and many at once, and what the API does meanwhile.
//! Telegram is the simulator, in this process: its share of the arithmetic of passwords is part of what is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use telegram_sim::mtproto::NewAccount;
use telegram_sim::{Sim, SimOptions};

use crate::Result;
use crate::cli::Options;
use crate::client::{Connection, Endpoint};
use crate::summary::Percentiles;
use crate::system::Service;

/// Where logins begin.
pub const CONNECT: &str = "/api/integrations/telegram/connect";
/// The password of everybody who has one.
pub const PASSWORD: &str = "correct horse battery staple";
/// How often a login is looked at: the resolution of what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often the API is asked for something else meanwhile.
const ASK_EVERY: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs the three measurements and prints a line for each.
pub async fn run(options: &Options) -> Result<()> {
    let (sim, mut service) = with_accounts(options).await?;
    let measured = measure(options, &mut service, &sim).await;
    service.stop().await?;
    measured
}

/// The simulator, and a service that takes it for Telegram.
pub async fn with_accounts(options: &Options) -> Result<(Arc<Sim>, Service)> {
    std::fs::create_dir_all(&options.out)?;
    let mut sim_options = SimOptions::default();
    sim_options.mtproto_settings.limits = false;
    let sim = Arc::new(Sim::start(sim_options).await?);
    let mtproto = sim.mtproto.ok_or("the simulator has no MTProto half")?;
    let bot_api = sim.bot_api.ok_or("the simulator has no Bot API half")?;
    let environment = vec![
        ("INTEGRATIONS_TELEGRAM__API_ID", "1".to_owned()),
        ("INTEGRATIONS_TELEGRAM__API_HASH", "0".repeat(32)),
        ("INTEGRATIONS_TELEGRAM__TEST_SERVER__ADDRESS", mtproto.to_string()),
        ("INTEGRATIONS_TELEGRAM__TEST_SERVER__KEYS_URL", format!("{}/mtproto/keys", sim.control_url())),
    ];
    let out = options.out.canonicalize()?;
    let service = Service::new(&options.integrations, &options.data_dir, &out, bot_api)?.with(environment);
    Ok((sim, service))
}

async fn measure(options: &Options, service: &mut Service, sim: &Arc<Sim>) -> Result<()> {
    println!("{}", crate::report::machine(options));
    let endpoint = service.ready(0, true).await?.endpoint;
    let mut people = 0;
    for _ in 0..options.repeat {
        let mut times = Vec::new();
        for _ in 0..20 {
            people += 1;
            times.extend(together(&endpoint, sim, people, 1, false).await?.0);
        }
        print("20 logins, one after another", times, None);
        for with_password in [false, true] {
            let (times, api) = together(&endpoint, sim, people + 1, 50, with_password).await?;
            people += 50;
            print(if with_password { "50 logins at once, with 2FA" } else { "50 logins at once" }, times, Some(api));
        }
    }
    Ok(())
}

fn print(what: &str, times: Vec<Duration>, api: Option<Vec<Duration>>) {
    let show = |percentiles: Option<Percentiles>| {
        percentiles.map_or_else(String::new, |p| format!("p50 {:.0}, p99 {:.0}, max {:.0} ms", p.p50, p.p99, p.max))
    };
    let meanwhile =
        api.map_or_else(String::new, |api| format!("; other requests meanwhile: {}", show(Percentiles::of(api))));
    println!("{what}: scan to active {}{meanwhile}", show(Percentiles::of(times)));
}

/// So many logins at the same time. Returns the time of each, and of other requests to the API meanwhile.
async fn together(
    endpoint: &Endpoint,
    sim: &Arc<Sim>,
    first: usize,
    count: usize,
    with_password: bool,
) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let mut begun = Vec::new();
    for number in first..first + count {
        let sim = sim.clone();
        let person = NewAccount {
            phone: format!("1999{number:07}"),
            password: with_password.then(|| PASSWORD.to_owned()),
            ..NewAccount::default()
        };
        let user = tokio::task::spawn_blocking(move || sim.accounts().create_account(person)).await??;
        let mut connection = Connection::new(endpoint.address);
        let login = call(&mut connection, endpoint, CONNECT, Some(json!({ "method": "qr" }))).await?;
        begun.push((user, connection, login));
    }
    let over = Arc::new(AtomicBool::new(false));
    let asker = tokio::spawn(ask_meanwhile(endpoint.clone(), over.clone()));
    let mut running = tokio::task::JoinSet::new();
    for (user, connection, login) in begun {
        let (endpoint, sim) = (endpoint.clone(), sim.clone());
        running.spawn(async move { follow(connection, &endpoint, &sim, user, &login).await });
    }
    let mut times = Vec::new();
    while let Some(done) = running.join_next().await {
        times.push(done??);
    }
    over.store(true, Relaxed);
    Ok((times, asker.await??))
}

/// Scans the code of a login and follows it until the account is connected.
pub async fn follow(
    mut connection: Connection,
    endpoint: &Endpoint,
    sim: &Sim,
    user: i64,
    login: &Value,
) -> Result<Duration> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let path = format!("{CONNECT}/{}", text(&login["id"]));
    let mut current = call(&mut connection, endpoint, &path, None).await?;
    sim.accounts().scan(user, &text(&current["step"]["url"]))?;
    let scanned = Instant::now();
    while scanned.elapsed() < PATIENCE {
        match current["status"].as_str() {
            Some("done") => return Ok(scanned.elapsed()),
            Some("active") => {}
            _ => return Err(format!("a login failed: {current}").into()),
        }
        if current["step"]["type"] == "password" {
            let body = json!({ "password": PASSWORD });
            current = call(&mut connection, endpoint, &format!("{path}/password"), Some(body)).await?;
            continue;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        current = call(&mut connection, endpoint, &path, None).await?;
    }
    Err(format!("a login took too long: {current}").into())
}

/// Lists accounts all the time, and tells how long each answer took.
async fn ask_meanwhile(endpoint: Endpoint, over: Arc<AtomicBool>) -> Result<Vec<Duration>> {
    let mut connection = Connection::new(endpoint.address);
    let mut times = Vec::new();
    while !over.load(Relaxed) {
        let asked = Instant::now();
        call(&mut connection, &endpoint, "/api/integrations/telegram/accounts?limit=10", None).await?;
        times.push(asked.elapsed());
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(times)
}

/// One request; an answer other than 2xx is an error.
pub async fn call(connection: &mut Connection, endpoint: &Endpoint, path: &str, body: Option<Value>) -> Result<Value> {
    let (status, answer) = connection.send(endpoint.request(path, body.map(|body| body.to_string()))?).await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    if (200..300).contains(&status) {
        return Ok(answer);
    }
    Err(format!("{path} answered {status}: {answer}").into())
}
