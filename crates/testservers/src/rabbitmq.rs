//! A RabbitMQ server: the installed one, or that of another system whose files lie in the folder that `RABBITMQ_ROOT` names, see
//! `scripts/rabbitmq4.sh`.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use super::{free_ports, listens, until};

/// A running server, or one that was killed.
#[derive(Debug)]
pub struct RabbitMq {
    folder: TempDir,
    port: u16,
    distribution: u16,
    epmd: u16,
    server: Option<Child>,
}

impl RabbitMq {
    /// Starts a server with nothing in it.
    ///
    /// # Panics
    /// RabbitMQ is not installed or does not start.
    pub fn start() -> Self {
        let [port, distribution, epmd] = free_ports();
        let folder = tempfile::Builder::new().prefix("rabbitmq").tempdir_in(temporary()).expect("a temporary folder");
        std::fs::write(folder.path().join("plugins"), "[].").expect("the folder is ours");
        let mut rabbitmq = Self { folder, port, distribution, epmd, server: None };
        rabbitmq.start_again();
        rabbitmq
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number of its process.
    pub fn id(&self) -> Option<u32> {
        self.server.as_ref().map(Child::id)
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            end_group(&server);
            let _ = server.wait();
            until("the port is free", || !listens(self.port));
        }
    }

    /// Removes everything that it had written down; it must not run.
    ///
    /// # Panics
    /// The folder cannot be removed.
    pub fn wipe(&mut self) {
        assert!(self.server.is_none(), "it runs");
        let data = self.folder.path().join("data");
        if data.exists() {
            std::fs::remove_dir_all(data).expect("the folder is ours");
        }
    }

    /// Starts it on the same port, with what it had written down.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again(&mut self) {
        self.server = Some(self.command(&Self::program("rabbitmq-server")).spawn().expect("the server can be started"));
        until("RabbitMQ starts", || listens(self.port));
        let begun = self.command(&Self::program("rabbitmqctl")).args(["await_startup", "--timeout", "100"]).status();
        assert!(
            begun.is_ok_and(|status| status.success()),
            "RabbitMQ did not start: see {}",
            self.folder.path().display()
        );
    }

    /// Runs `rabbitmqctl` and returns what it prints.
    ///
    /// # Panics
    /// It fails.
    pub fn control(&self, arguments: &[&str]) -> String {
        let output = self.command(&Self::program("rabbitmqctl")).args(arguments).stdout(Stdio::piped()).output();
        let output = output.expect("rabbitmqctl can be started");
        assert!(output.status.success(), "rabbitmqctl {arguments:?} failed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn program(name: &str) -> PathBuf {
        let versions = root().unwrap_or_else(|| "/".into()).join("usr/lib/rabbitmq/lib");
        let versions = std::fs::read_dir(versions).into_iter().flatten().filter_map(Result::ok);
        let found = versions.map(|version| version.path().join("sbin").join(name)).find(|program| program.exists());
        inside(&found.expect("RabbitMQ is installed: scripts/setup.sh test"))
    }

    fn command(&self, program: &Path) -> Command {
        let at = |name: &str| inside(self.folder.path()).join(name);
        let mut command = match root() {
            None => Command::new(program),
            Some(root) => {
                let mut command = Command::new("chroot");
                command.arg(root).arg(program);
                command
            }
        };
        command
            .env("RABBITMQ_NODENAME", format!("test{}@localhost", self.port))
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_DIST_PORT", self.distribution.to_string())
            .env("ERL_EPMD_PORT", self.epmd.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_MNESIA_BASE", at("data"))
            .env("RABBITMQ_LOG_BASE", at("log"))
            .env("RABBITMQ_CONFIG_FILE", at("none"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins"))
            .env("RABBITMQ_PID_FILE", at("pid"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("HOME", at(""))
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

/// The folder of another system.
fn root() -> Option<PathBuf> {
    std::env::var_os("RABBITMQ_ROOT").filter(|root| !root.is_empty()).map(PathBuf::from)
}

/// Where the server can write.
fn temporary() -> PathBuf {
    root().map_or_else(std::env::temp_dir, |root| root.join("tmp"))
}

/// A path as the server knows it.
fn inside(path: &Path) -> PathBuf {
    match root().as_deref().and_then(|root| path.strip_prefix(root).ok()) {
        None => path.to_owned(),
        Some(inside) => Path::new("/").join(inside),
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.kill();
        // Erlang's port mapper outlives the server.
        for process in processes_with(&format!("ERL_EPMD_PORT={}", self.epmd)) {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

fn end_group(server: &Child) {
    if let Some(pid) = i32::try_from(server.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// The processes with a variable in their environment.
fn processes_with(variable: &str) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let has = |folder: &Path| {
        let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
    };
    processes
        .filter(|process| has(&process.path()))
        .filter_map(|process| process.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
        .collect()
}
