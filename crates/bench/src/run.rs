//! Every scenario, repeated, on every system in turn.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use crate::Result;
use crate::accounts;
use crate::channels;
use crate::cli::{Cli, Command, Options};
use crate::fairness;
use crate::logins;
use crate::report::{self, Record};
use crate::rows;
use crate::scenario::Scenario;
use crate::soak;
use crate::system::{Baseline, Replicas, Running, Service, System};
use crate::telegram::Telegram;

/// Runs everything and prints the table.
pub async fn run(cli: Cli) -> Result<()> {
    if matches!(cli.command, Some(Command::Logins)) {
        return logins::run(&cli.options).await;
    }
    if let Some(Command::Accounts { count, rate }) = cli.command {
        return accounts::run(&cli.options, count, rate).await;
    }
    if let Some(Command::Rows { count }) = cli.command {
        return rows::run(&cli.options, count).await;
    }
    if matches!(cli.command, Some(Command::Channels)) {
        return channels::run(&cli.options).await;
    }
    if matches!(cli.command, Some(Command::Fairness)) {
        return fairness::run(&cli.options).await;
    }
    if let Some(Command::Soak { minutes, seed }) = cli.command {
        return soak::run(&cli.options, minutes, seed.unwrap_or_else(rand::random)).await;
    }
    let scenarios = cli.scenarios();
    let options = &cli.options;
    fs::create_dir_all(&options.out)?;
    let listen = options.bot_api.unwrap_or(([127, 0, 0, 1], 0).into());
    let telegram = Telegram::start(listen, Duration::from_millis(options.telegram_ms)).await?;
    let mut systems = systems(options, &telegram)?;
    let measured = tokio::select! {
        measured = measure(options, &scenarios, &mut systems, &telegram) => measured,
        interrupted = tokio::signal::ctrl_c() => Err(interrupted.map_or_else(Into::into, |()| "interrupted".into())),
    };
    let mut stopped = Ok(());
    for system in &mut systems {
        stopped = stopped.and(system.stop().await);
    }
    let records = measured?;
    print!("\n{}", report::table(&scenarios, &records));
    stopped
}

fn systems(options: &Options, telegram: &Telegram) -> Result<Vec<System>> {
    let mut systems = vec![match (options.address, &options.token_file) {
        (Some(address), Some(token)) => System::Running(Running::new(address, token, options.pid)?),
        _ => System::Service(Box::new(Service::new(
            &options.integrations,
            &options.data_dir,
            &options.out.canonicalize()?,
            telegram.address,
        )?)),
    }];
    if options.replicas {
        let out = options.out.canonicalize()?;
        let replicas = Replicas::new(&options.integrations, &options.data_dir, &out, telegram.address)?;
        systems.push(System::Replicas(Box::new(replicas)));
    }
    if let Some(folder) = std::env::var_os("BASELINE").filter(|folder| !folder.is_empty()) {
        let baseline = Baseline::new(folder.as_ref(), &options.out.canonicalize()?, telegram.address)?;
        systems.push(System::Baseline(baseline));
    }
    Ok(systems)
}

async fn measure(
    options: &Options,
    scenarios: &[Scenario],
    systems: &mut [System],
    telegram: &Telegram,
) -> Result<Vec<Record>> {
    let path = options.out.join(format!("{}.jsonl", chrono::Utc::now().format("%Y%m%d-%H%M%S")));
    let mut file = File::create(&path)?;
    let machine = report::machine(options);
    println!("{machine}\nLines of JSON go to {}.", path.display());
    writeln!(file, "{}", serde_json::to_string(&machine)?)?;
    let mut records = Vec::new();
    for repeat in 1..=options.repeat {
        for (index, scenario) in scenarios.iter().enumerate() {
            for system in &mut *systems {
                let target = system.ready(scenario.bots, scenario.worker).await?;
                let measured = scenario.run(&target, telegram).await?;
                let record = Record::new(index, scenario, system.name(), repeat, measured);
                println!("{record}");
                writeln!(file, "{}", serde_json::to_string(&record)?)?;
                records.push(record);
            }
        }
        for system in &mut *systems {
            system.refresh().await?;
        }
    }
    Ok(records)
}
