//! A PostgreSQL server, and what whoever runs one needs.

mod account;
mod binaries;

pub use account::{Account, command};
pub use binaries::binaries;

use std::path::PathBuf;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{free_ports, until};

/// Durable, as in production: what was committed must be there after `kill -9`.
const SETTINGS: &str = "listen_addresses=127.0.0.1 unix_socket_directories= max_connections=200 shared_buffers=64MB fsync=on \
     synchronous_commit=on full_page_writes=on jit=off timezone=UTC";

/// A running server, or one that was killed.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Postgres {
    /// Starts a server with nothing in it but the database `postgres`.
    ///
    /// # Panics
    /// PostgreSQL is not installed or does not start.
    pub fn start() -> Self {
        let [port] = free_ports();
        let folder = tempfile::Builder::new().prefix("postgres").tempdir().expect("a temporary folder");
        if let Some(account) = Account::needed() {
            account.give(folder.path());
        }
        let mut postgres = Self { folder, port, server: None };
        let made = command(&binaries().join("initdb"), Account::needed())
            .arg("-D")
            .arg(postgres.cluster())
            .args(["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"])
            .output()
            .expect("initdb can be run");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        postgres.start_again();
        postgres
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of its database, as its superuser, by way of a port.
    pub fn url_at(port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable")
    }

    /// Ends it as `kill -9` of all of its processes does.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        let Some(pid) = i32::try_from(server.id()).ok().and_then(Pid::from_raw) else { return };
        // Stopped first, so that it starts nothing while its children are looked for.
        let _ = kill_process(pid, Signal::STOP);
        for child in children_of(pid) {
            let _ = kill_process(child, Signal::KILL);
        }
        let _ = server.kill();
        let _ = server.wait();
    }

    /// Ends it in order: connections are closed, what was committed is written.
    ///
    /// # Panics
    /// It does not end.
    pub fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        if let Some(pid) = i32::try_from(server.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::INT);
        }
        until("PostgreSQL ends", || server.try_wait().is_ok_and(|status| status.is_some()));
    }

    /// Starts it on the same port, with what it had written down.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log"));
        let settings = SETTINGS.split_ascii_whitespace().flat_map(|setting| ["-c", setting]);
        let mut server = command(&binaries().join("postgres"), Account::needed())
            .arg("-D")
            .arg(self.cluster())
            .args(["-p", &self.port.to_string()])
            .args(settings)
            .stdout(Stdio::null())
            .stderr(log.expect("the folder is ours"))
            .spawn()
            .expect("postgres can be run");
        until("PostgreSQL starts", || {
            let ended = server.try_wait().is_ok_and(|status| status.is_some());
            assert!(!ended, "PostgreSQL does not start: {}", self.log());
            self.is_ready()
        });
        self.server = Some(server);
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn cluster(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    /// Whether it takes connections: it also listens while it recovers.
    fn is_ready(&self) -> bool {
        let asked = command(&binaries().join("pg_isready"), None)
            .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
            .status();
        asked.is_ok_and(|status| status.success())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

fn children_of(pid: Pid) -> Vec<Pid> {
    let pid = pid.as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_ascii_whitespace().filter_map(|child| child.parse().ok().and_then(Pid::from_raw)).collect()
}
