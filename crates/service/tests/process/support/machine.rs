//! A folder with a data folder and settings in it, as one machine of an operator.

use std::fmt::Display;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{ConnectOptions, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;

use super::{Service, must_end};

/// One machine. What PostgreSQL leaves running when a test fails ends with it.
pub struct Machine {
    base: TempDir,
    settings: Vec<(String, String)>,
}

impl Machine {
    /// An empty data folder, and settings of which only the port differs from the default.
    pub fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        // Another user, as whom PostgreSQL runs when the test runs as root, has to reach the data.
        std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { base, settings: Vec::new() }.with("INTEGRATIONS_HTTP__BIND", "127.0.0.1:0")
    }

    /// Changes a setting.
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        self.settings.retain(|(other, _)| other != name);
        self.settings.push((name.to_owned(), format!("{value}")));
        self
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.base.path().join("data")
    }

    /// The binary with these arguments; nothing of the tester's environment reaches it. `INTEGRATIONS_BINARY` names another one than
    /// that of this build, such as a release build.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let binary = std::env::var_os("INTEGRATIONS_BINARY");
        let mut command = Command::new(binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_integrations").into()));
        command
            .args(arguments)
            .current_dir(self.base.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("INTEGRATIONS_DATA_DIR", self.data())
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub async fn output(&self, arguments: &[&str]) -> Output {
        must_end("the command ends", self.command(arguments).output()).await.unwrap()
    }

    /// Starts `serve` and waits until it takes requests.
    pub async fn serve(&self) -> Service {
        let mut service = Service::spawn(self.command(&["serve"]));
        service.ready().await;
        service
    }

    /// A token of user 1.
    pub async fn token(&self) -> String {
        let output = self.output(&["token", "--user", "1", "--ttl", "1d"]).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A connection to the private PostgreSQL, beside the service.
    pub async fn database(&self) -> PgConnection {
        service::postgres::running_options(&self.data().canonicalize().unwrap()).connect().await.unwrap()
    }

    /// The process of the private PostgreSQL, while there is one.
    pub fn postgres(&self) -> Option<Pid> {
        let file = std::fs::read_to_string(self.data().join("postgres/cluster/postmaster.pid")).ok()?;
        Pid::from_raw(file.lines().next()?.trim().parse().ok()?)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(pid) = self.postgres() {
            // It is gone when the service ended in order.
            let _ = kill_process(pid, Signal::QUIT);
        }
    }
}
