//! The `telegram-sim` binary.

use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Parser};
use serde_json::json;
use telegram_sim::bot_api::Limits;
use telegram_sim::{DEMO, Sim, SimOptions, mtproto};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A stand-in for Telegram. Prints one line of JSON with its addresses when it is ready; logs go to stderr.
#[derive(Debug, Parser)]
#[command(version, group(ArgGroup::new("addresses").required(true).multiple(true)))]
struct Args {
    /// Serve the Bot API here; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", group = "addresses")]
    bot_api: Option<String>,
    /// Serve MTProto here, all data centres at one address; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", group = "addresses")]
    mtproto: Option<String>,
    /// Give each MTProto data centre a port of its own, from that of --mtproto on.
    #[arg(long, requires = "mtproto")]
    mtproto_port_per_dc: bool,
    /// Serve the control API and the page here; port 0 picks a free one.
    #[arg(long, value_name = "HOST:PORT", group = "addresses")]
    control: Option<String>,
    /// Make up every well-formed token's bot, and every user it writes to, when first used.
    #[arg(long)]
    open_world: bool,
    /// Do not apply Telegram's sending limits.
    #[arg(long)]
    no_limits: bool,
    /// Keep MTProto keys and accounts in this file over restarts, so that clients stay signed in.
    #[arg(long, value_name = "FILE", requires = "mtproto")]
    mtproto_state: Option<PathBuf>,
    /// Keep only the newest N messages.
    #[arg(long, value_name = "N")]
    keep_messages: Option<usize>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> std::io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let sim = Sim::start(SimOptions {
        bot_api: resolve(args.bot_api).await?,
        mtproto: resolve(args.mtproto).await?,
        mtproto_port_per_dc: args.mtproto_port_per_dc,
        mtproto_settings: mtproto::Settings { limits: !args.no_limits, ..mtproto::Settings::default() },
        control: resolve(args.control).await?,
        limits: Limits { enabled: !args.no_limits, ..Limits::default() },
        open_world: args.open_world,
        demo: true,
        keep_messages: args.keep_messages,
        world: None,
    })
    .await?;
    if let Some(path) = &args.mtproto_state {
        sim.accounts().load(path).map_err(|error| about(path, &error))?;
    }
    announce(&sim)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        never = save_now_and_then(&sim, args.mtproto_state.as_deref()) => match never? {},
    }
    tracing::info!("stopping");
    if let Some(path) = &args.mtproto_state {
        sim.accounts().save(path).map_err(|error| about(path, &error))?;
    }
    sim.stop().await;
    Ok(())
}

/// Saves every few seconds, so that a sudden end loses little.
async fn save_now_and_then(sim: &Sim, path: Option<&Path>) -> std::io::Result<Infallible> {
    let Some(path) = path else { return std::future::pending().await };
    loop {
        tokio::time::sleep(Duration::from_secs(3)).await;
        sim.accounts().save(path).map_err(|error| about(path, &error))?;
    }
}

fn about(path: &Path, error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("state file {}: {error}", path.display()))
}

/// The one line on stdout: where it listens, and the demo to try.
fn announce(sim: &Sim) -> std::io::Result<()> {
    let line = json!({
        "bot_api": sim.bot_api, "mtproto": sim.mtproto, "control": sim.control, "demo_bot_id": DEMO.bot,
        "demo_bot_token": DEMO.token, "demo_chat_ids": [DEMO.user, DEMO.group, DEMO.channel],
        "demo_phone": DEMO.phone, "demo_phone_with_password": DEMO.phone_with_password, "demo_password": DEMO.password,
    });
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

async fn resolve(address: Option<String>) -> std::io::Result<Option<SocketAddr>> {
    let Some(address) = address else { return Ok(None) };
    let resolved = tokio::net::lookup_host(&address).await.ok().and_then(|mut found| found.next());
    let unclear = || std::io::Error::other(format!("{address} is not an address: write HOST:PORT, as in 127.0.0.1:0"));
    resolved.map(Some).ok_or_else(unclear)
}
