//! The processes of a cluster, as the system shows them: what is running after this service was killed?

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::layout::{Layout, PORT};

/// How often the end of a process is looked for.
const POLL: Duration = Duration::from_millis(20);

/// What `postmaster.pid` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PidFile {
    /// The server's process.
    pub pid: Pid,
    /// Its state.
    pub state: State,
}

/// The state of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not yet accepting connections, maybe recovering.
    Starting,
    /// Accepting connections.
    Ready,
    /// On its way out.
    Stopping,
}

impl PidFile {
    /// Reads the file, which the server keeps up to date; `None` when there is none, or none that is complete.
    pub fn read(cluster: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(cluster.join("postmaster.pid")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = Pid::from_raw(lines.next()?.trim().parse().ok()?)?;
        let state = match lines.nth(6).map(str::trim) {
            Some("ready") => State::Ready,
            Some("stopping") => State::Stopping,
            _ => State::Starting,
        };
        Some(Self { pid, state })
    }
}

/// The running processes of the cluster, also those that outlived their server process. `None` where the system does not
/// tell: then nothing may be concluded.
pub fn members(layout: &Layout) -> Option<Vec<Pid>> {
    let processes = std::fs::read_dir("/proc").ok()?;
    if !Path::new("/proc/self/cmdline").exists() {
        return None;
    }
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    Some(pids.filter(|&pid| is_member(layout, pid)).collect())
}

/// Whether the process is one of the cluster: the server is started with the cluster's path, and gives its other
/// processes titles that begin with the cluster's name.
pub fn is_member(layout: &Layout, pid: Pid) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())) else { return false };
    let mut arguments = line.split(|&byte| byte == 0);
    if line.starts_with(format!("postgres: {}: ", layout.name).as_bytes()) {
        return true;
    }
    let cluster = layout.cluster.as_os_str().as_encoded_bytes();
    arguments.next().is_some_and(|program| program.ends_with(b"postgres"))
        && arguments.next() == Some(b"-D".as_slice())
        && arguments.next() == Some(cluster)
}

/// Sends a signal; a process that is gone already is fine.
pub fn signal(pid: Pid, signal: Signal) {
    if let Err(error) = kill_process(pid, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(error = %error, pid = pid.as_raw_nonzero(), "cannot signal PostgreSQL");
    }
}

/// Waits until no process of the cluster is left; `false` when that takes longer than `limit`.
pub async fn wait_gone(layout: &Layout, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while members(layout).is_some_and(|pids| !pids.is_empty()) {
        if Instant::now() >= end {
            return false;
        }
        sleep(POLL).await;
    }
    true
}

/// Removes what a server that was killed left behind, after it is certain that none of its processes runs. Otherwise a
/// process that by chance has the old one's id now would keep the server from starting.
pub fn remove_traces(layout: &Layout) -> std::io::Result<()> {
    let socket = format!(".s.PGSQL.{PORT}");
    let socket_lock = format!("{socket}.lock");
    let traces = [layout.cluster.join("postmaster.pid"), layout.socket.join(socket), layout.socket.join(socket_lock)];
    for path in traces {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(i32, State)> {
        PidFile::parse(text).map(|file| (file.pid.as_raw_nonzero().get(), file.state))
    }

    #[test]
    fn the_pid_file_is_read() {
        let text = |state| format!("42\n/c\n1700000000\n5432\n/s\n\n  12345  7\n{state}\n");
        assert_eq!(parse(&text("ready   ")), Some((42, State::Ready)));
        assert_eq!(parse(&text("stopping")), Some((42, State::Stopping)));
        assert_eq!(parse(&text("starting")), Some((42, State::Starting)));
        assert_eq!(parse("42\n/c\n"), Some((42, State::Starting)));
        assert_eq!(parse(""), None);
        assert_eq!(parse("0\n"), None);
    }

    #[test]
    fn a_process_of_something_else_is_no_member() {
        let layout = Layout::of(Path::new("/nonexistent"));
        assert_eq!(members(&layout), Some(Vec::new()));
        assert!(!is_member(&layout, rustix::process::getpid()));
    }
}
