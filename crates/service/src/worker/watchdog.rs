//! A small process that ends this one when it gives no sign of life: a process that is stopped or hangs cannot drop its connections
//! by itself, while the others take its senders over.
//!
//! The worker writes a byte into a pipe twice a second. The watchdog, in a process group of its own so that what stops the worker does
//! not stop it, kills the worker when nothing came for the time limit, and ends by itself when the pipe does.

use std::{
    io::{self, Read as _},
    os::unix::process::CommandExt as _,
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{PidfdFlags, Signal, getppid, pidfd_open, pidfd_send_signal},
};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

/// The command under which the binary is the watchdog.
pub const COMMAND: &str = "watchdog";

/// How often the worker gives a sign of life.
const BEAT_EVERY: Duration = Duration::from_millis(500);
/// A watchdog that cannot be started, or that ends sooner than this, is tried again after so long; else at once.
const AGAIN: Duration = Duration::from_secs(5);

/// Keeps a watchdog over this process, until the process ends.
pub async fn keep(limit: Duration) {
    loop {
        let begun = Instant::now();
        let ended = match start(limit) {
            Ok(child) => beat(child).await,
            Err(error) => error,
        };
        tracing::error!(error = %ended, "the watchdog does not run: a process that hangs would keep its connections");
        if begun.elapsed() < AGAIN {
            tokio::time::sleep(AGAIN).await;
        }
    }
}

fn start(limit: Duration) -> io::Result<Child> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command
        .arg(COMMAND)
        .arg(limit.as_millis().to_string())
        // It needs nothing of it, and there are secrets in it.
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0);
    Command::from(command).spawn()
}

/// Gives signs of life until they are not taken any more.
async fn beat(mut child: Child) -> io::Error {
    let Some(mut pipe) = child.stdin.take() else { return io::Error::other("it has no pipe") };
    loop {
        if let Err(error) = pipe.write_all(b".").await {
            // Its end is awaited, so that it does not stay behind as a zombie.
            let _ = child.wait().await;
            return error;
        }
        tokio::time::sleep(BEAT_EVERY).await;
    }
}

/// The watchdog itself. Returns when the pipe ends, or when it has killed the process that started it.
///
/// # Errors
/// When the system refuses to watch or to kill.
pub fn watch(limit: Duration) -> io::Result<ExitCode> {
    let Some(parent) = getppid() else { return Ok(ExitCode::FAILURE) };
    // A handle, not a number: it never means another process.
    let handle = pidfd_open(parent, PidfdFlags::empty())?;
    let mut stdin = io::stdin().lock();
    let mut bytes = [0; 64];
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    loop {
        let pipe = &mut [PollFd::new(&stdin, PollFlags::IN)];
        match poll(pipe, Some(&limit)) {
            Ok(0) => break,
            Ok(_) if stdin.read(&mut bytes)? == 0 => return Ok(ExitCode::SUCCESS),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    pidfd_send_signal(handle, Signal::KILL)?;
    eprintln!("watchdog: the process {} gave no sign of life and was killed", parent.as_raw_nonzero());
    Ok(ExitCode::SUCCESS)
}
