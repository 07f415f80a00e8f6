//! Makes the cluster, starts the server and ends it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use sqlx::{ConnectOptions, Connection};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::account::Account;
use super::binaries::{Binaries, cluster_version};
use super::error::PostgresError;
use super::keeper::Ending;
use super::layout::{Layout, PORT};
use super::processes::{self, PidFile, State};
use super::{ANSWER, FAST, IMMEDIATE, NAME, options};
use crate::settings::DatabaseSettings;

/// How often the server's state is looked at while it starts.
const POLL: Duration = Duration::from_millis(10);

/// How often it is looked whether an adopted server still runs.
const WATCH: Duration = Duration::from_millis(200);

/// How long the start may take: after a crash it first replays what was not yet in the data files.
const START: Duration = Duration::from_mins(5);

/// Connections beyond those of the pools: accepting, delivering, the cache, migrations, listeners, the operator.
const SPARE_CONNECTIONS: u32 = 20;

/// A running server.
pub struct Server {
    pid: Pid,
    /// The server when it is a child of this process; a child that ended has to be waited for.
    child: Option<Child>,
}

impl Server {
    /// A server that another process started.
    pub fn adopted(pid: Pid) -> Self {
        Self { pid, child: None }
    }

    /// Starts the server, after making the cluster when there is none, and waits until it is ready.
    pub async fn start(layout: &Layout, settings: &DatabaseSettings) -> Result<Self, PostgresError> {
        let version = cluster_version(&layout.cluster);
        let binaries = Binaries::find(settings.bin_dir.as_deref(), &layout.cluster, version)?;
        let account = Account::choose(&layout.cluster)?;
        layout.prepare(account.as_ref())?;
        if version.is_none() {
            init(&binaries, layout, account.as_ref()).await?;
        }
        let (log, log_start) = layout.open_log()?;
        let program = binaries.program("postgres");
        let mut child = command(&program, account.as_ref())
            .arg("-D")
            .arg(&layout.cluster)
            .args(
                configuration(layout, settings)
                    .iter()
                    .flat_map(|(key, value)| ["-c".to_owned(), format!("{key}={value}")]),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(PostgresError::system("start", &program))?;
        wait_ready(layout, &mut child, log_start).await?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid =
            pid.ok_or_else(|| PostgresError::Ended { log: layout.log.clone(), output: layout.log_tail(log_start) })?;
        tracing::info!(pid = pid.as_raw_nonzero(), version = binaries.major, "PostgreSQL is ready");
        Ok(Self { pid, child: Some(child) })
    }

    /// Waits until the server has ended, for whatever reason.
    pub async fn ended(&mut self, layout: &Layout) {
        match &mut self.child {
            // An error says that the child is not there to be waited for.
            Some(child) => drop(child.wait().await),
            None => {
                while processes::is_member(layout, self.pid) {
                    sleep(WATCH).await;
                }
            }
        }
    }

    /// Ends the server, more harshly each time that it takes too long.
    pub async fn end(mut self, layout: &Layout, ending: Ending) {
        let patience = if ending == Ending::Fast { FAST } else { Duration::ZERO };
        for (signal, limit) in [(Signal::INT, patience), (Signal::QUIT, IMMEDIATE), (Signal::KILL, IMMEDIATE)] {
            processes::signal(self.pid, signal);
            if timeout(limit, self.ended(layout)).await.is_ok() {
                tracing::info!("PostgreSQL ended");
                return;
            }
        }
        tracing::error!(pid = self.pid.as_raw_nonzero(), "PostgreSQL does not end");
    }
}

/// Waits until nothing of a server that ended is left, and removes its traces, so that it can be started.
pub async fn clear(layout: &Layout) -> Result<(), PostgresError> {
    if processes::members(layout).is_none() {
        return Ok(());
    }
    // Processes whose server was killed notice that by themselves, but not while they are stuck.
    if !processes::wait_gone(layout, IMMEDIATE).await {
        for pid in processes::members(layout).unwrap_or_default() {
            processes::signal(pid, Signal::KILL);
        }
        processes::wait_gone(layout, IMMEDIATE).await;
    }
    processes::remove_traces(layout).map_err(PostgresError::system("clean up", &layout.cluster))
}

/// Whether the running server gets ready and answers.
pub async fn answers(layout: &Layout, pid: Pid) -> bool {
    let end = Instant::now() + START;
    loop {
        match PidFile::read(&layout.cluster).map(|file| file.state) {
            Some(State::Ready) => break,
            Some(State::Starting) if processes::is_member(layout, pid) && Instant::now() < end => sleep(POLL).await,
            _ => return false,
        }
    }
    let ask = async { options(layout, "postgres").connect().await?.ping().await };
    timeout(ANSWER, ask).await.is_ok_and(|answer: Result<(), sqlx::Error>| answer.is_ok())
}

/// A program of the server, as the server's user, in a process group of its own, so that Ctrl-C reaches only the service,
/// which then ends the server in order.
fn command(program: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    // PGDATA, PGPORT and others would change what the server does.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C.UTF-8");
    command.current_dir("/").process_group(0);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Makes the cluster beside its place and moves it there when it is complete, so that a half-made one is never started.
async fn init(binaries: &Binaries, layout: &Layout, account: Option<&Account>) -> Result<(), PostgresError> {
    let new = layout.cluster.with_extension("new");
    if new.exists() {
        std::fs::remove_dir_all(&new).map_err(PostgresError::system("remove", &new))?;
    }
    layout.hand_over(&new, account)?;
    tracing::info!(version = binaries.major, folder = %layout.cluster.display(), "making a private PostgreSQL database");
    let program = binaries.program("initdb");
    let output = command(&program, account)
        .arg("-D")
        .arg(&new)
        .args(["-U", NAME, "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C.UTF-8"])
        .args(["--data-checksums", "--no-sync", "--no-instructions"])
        .output()
        .await
        .map_err(PostgresError::system("start", &program))?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(PostgresError::Init { path: layout.cluster.clone(), output });
    }
    // One call for all files is much faster than initdb's own, file by file.
    let folder = std::fs::File::open(&layout.folder).map_err(PostgresError::system("open", &layout.folder))?;
    rustix::fs::syncfs(&folder).map_err(|error| PostgresError::system("write", &layout.folder)(error.into()))?;
    std::fs::rename(&new, &layout.cluster).map_err(PostgresError::system("rename", &new))?;
    folder.sync_all().map_err(PostgresError::system("write", &layout.folder))
}

/// The server's settings for this use; they win over those in the cluster's own file.
fn configuration(layout: &Layout, settings: &DatabaseSettings) -> Vec<(&'static str, String)> {
    let fixed = [
        ("listen_addresses", ""),
        ("unix_socket_permissions", "0700"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("shared_buffers", "128MB"),
        ("jit", "off"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("timezone", "UTC"),
        // The log says what happens to the server. What happens to statements the service logs itself, without values.
        ("logging_collector", "off"),
        ("log_destination", "stderr"),
        ("log_timezone", "UTC"),
        ("log_min_messages", "log"),
        ("log_min_error_statement", "panic"),
        ("log_error_verbosity", "terse"),
        ("log_checkpoints", "off"),
    ];
    let mut all: Vec<_> = fixed.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
    all.push(("unix_socket_directories", layout.socket_setting()));
    all.push(("port", PORT.to_string()));
    all.push(("cluster_name", layout.name.clone()));
    all.push(("max_connections", (settings.max_connections * 3 / 2 + SPARE_CONNECTIONS).max(100).to_string()));
    all
}

async fn wait_ready(layout: &Layout, child: &mut Child, log_start: u64) -> Result<(), PostgresError> {
    let end = Instant::now() + START;
    let ours = child.id().and_then(|id| i32::try_from(id).ok());
    loop {
        let ended = child.try_wait().map_err(PostgresError::system("wait for", &layout.cluster))?;
        if ended.is_some() {
            return Err(PostgresError::Ended { log: layout.log.clone(), output: layout.log_tail(log_start) });
        }
        let file = PidFile::read(&layout.cluster).filter(|file| Some(file.pid.as_raw_nonzero().get()) == ours);
        if file.is_some_and(|file| file.state == State::Ready) {
            return Ok(());
        }
        if Instant::now() >= end {
            let output = layout.log_tail(log_start);
            return Err(PostgresError::Slow { seconds: START.as_secs(), log: layout.log.clone(), output });
        }
        sleep(POLL).await;
    }
}
