//! `integrations serve` with its private PostgreSQL, and `doctor`, as a person runs them.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// How long a line of the log or the end of a process is waited for. Only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// A folder for one test, with the binary in it, since another user may not be able to enter the build folder.
struct Machine {
    base: TempDir,
    as_nobody: bool,
}

/// A running `serve`.
struct Service {
    child: Child,
    log: Lines<BufReader<ChildStdout>>,
}

impl Machine {
    fn new(as_nobody: bool) -> Self {
        let base = tempfile::tempdir().expect("a temporary folder");
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(base.path(), open).expect("the folder is ours");
        std::fs::copy(env!("CARGO_BIN_EXE_integrations"), base.path().join("integrations")).expect("there is space");
        Self { base, as_nobody }
    }

    fn data(&self) -> PathBuf {
        self.base.path().join("data")
    }

    fn command(&self, command: &str) -> Command {
        let program = self.base.path().join("integrations");
        let mut built = if self.as_nobody {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
            setpriv
        } else {
            Command::new(program)
        };
        built
            .arg(command)
            .current_dir(self.base.path())
            .env("INTEGRATIONS_DATA_DIR", self.data())
            .env("INTEGRATIONS_HTTP__BIND", "127.0.0.1:0")
            .kill_on_drop(true);
        built
    }

    fn serve(&self) -> Service {
        let mut child = self.command("serve").stdout(Stdio::piped()).spawn().expect("the binary starts");
        let log = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Service { child, log }
    }

    async fn output(&self, command: &str) -> Output {
        timeout(PATIENCE, self.command(command).output()).await.expect("it ends").expect("the binary starts")
    }

    fn database_owner(&self) -> u32 {
        self.data().join("postgres/cluster").metadata().expect("it was made").uid()
    }
}

impl Service {
    /// Waits for a line of the log with this text.
    async fn says(&mut self, text: &str) {
        let mut seen = String::new();
        let found = async {
            while let Some(line) = self.log.next_line().await.expect("the log is text") {
                if line.contains(text) {
                    return true;
                }
                seen.push_str(&line);
                seen.push('\n');
            }
            false
        };
        let found = timeout(PATIENCE, found).await.unwrap_or_default();
        assert!(found, "no line with {text:?} in\n{seen}");
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).expect("it runs");
        kill_process(pid, signal).expect("it is ours");
    }

    async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("it is our child")
    }

    async fn stop(mut self) {
        self.signal(Signal::TERM);
        self.says("PostgreSQL ended").await;
        assert!(self.ended().await.success());
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn the_service_starts_with_nothing_configured_and_ends_with_its_database() {
    let machine = Machine::new(false);
    let mut service = machine.serve();
    service.says("PostgreSQL is ready").await;
    service.says("\"message\":\"ready\"").await;
    let pid_file = machine.data().join("postgres/cluster/postmaster.pid");
    assert!(pid_file.exists());
    service.stop().await;
    assert!(!pid_file.exists());
    assert_ne!(machine.database_owner(), 0);
}

#[tokio::test]
async fn another_user_than_root_runs_it_too() {
    // Only root can become somebody else; anybody else is that other user already.
    let machine = Machine::new(geteuid().is_root());
    let mut service = machine.serve();
    service.says("\"message\":\"ready\"").await;
    service.stop().await;
    let expected = if machine.as_nobody { 65534 } else { geteuid().as_raw() };
    assert_eq!(machine.database_owner(), expected);

    // Root finds the owner again.
    let machine = Machine { as_nobody: false, ..machine };
    let mut service = machine.serve();
    service.says("\"message\":\"ready\"").await;
    service.stop().await;
    assert_eq!(machine.database_owner(), expected);
}

#[tokio::test]
async fn after_a_kill_the_next_start_adopts_the_database() {
    let machine = Machine::new(false);
    let mut service = machine.serve();
    service.says("\"message\":\"ready\"").await;
    service.signal(Signal::KILL);
    assert!(!service.ended().await.success());

    let mut service = machine.serve();
    service.says("adopted the PostgreSQL that was running").await;
    service.says("\"message\":\"ready\"").await;
    service.stop().await;
}

#[tokio::test]
async fn a_second_service_on_the_same_data_is_refused() {
    let machine = Machine::new(false);
    let mut first = machine.serve();
    first.says("\"message\":\"ready\"").await;
    let mut second = machine.serve();
    let pid = first.child.id().expect("it runs");
    second.says(&format!("in use by process {pid}")).await;
    assert_eq!(second.ended().await.code(), Some(1));
    first.stop().await;
}

#[tokio::test]
async fn the_doctor_checks_a_service_that_runs_and_one_that_does_not() {
    let machine = Machine::new(false);
    let before = stdout(&machine.output("doctor").await);
    assert!(before.contains("will be made at the first start with PostgreSQL"), "{before}");
    assert!(!machine.data().exists(), "a check makes nothing");

    let mut service = machine.serve();
    service.says("\"message\":\"ready\"").await;
    let during = stdout(&machine.output("doctor").await);
    assert!(during.contains("in use by process") && during.contains("the private one, PostgreSQL 1"), "{during}");
    assert!(during.contains("pg_trgm, pgcrypto, uuid-ossp"), "{during}");
    service.stop().await;

    let after = stdout(&machine.output("doctor").await);
    assert!(after.contains("not in use") && after.contains("the private one, PostgreSQL 1"), "{after}");
}

#[tokio::test]
async fn the_doctor_names_what_cannot_be_reached() {
    let machine = Machine::new(false);
    let output = machine
        .command("doctor")
        .env("INTEGRATIONS_TELEGRAM__BOT_API_URL", "http://127.0.0.1:1")
        .env("INTEGRATIONS_DATABASE__URL", "postgres://someone:s3cr3t@127.0.0.1:1/none")
        .env("INTEGRATIONS_BROKER__URL", "amqp://someone:s3cr3t@127.0.0.1:1/%2f")
        .output()
        .await
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(["bot api", "broker", "database"].iter().all(|name| text.contains(&format!("FAIL  {name}"))), "{text}");
    assert!(text.contains("INTEGRATIONS_TELEGRAM__BOT_API_URL"), "{text}");
    assert!(!text.contains("s3cr3t"), "{text}");
}

#[tokio::test]
async fn bad_settings_are_named_before_anything_starts() {
    let machine = Machine::new(false);
    let file = Path::new("integrations.toml");
    std::fs::write(machine.base.path().join(file), "[http]\nbnd = \"x\"\n").expect("the folder is ours");
    let output = machine.output("serve").await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "");
    let error = String::from_utf8_lossy(&output.stderr);
    let expected = "error: settings: unknown key http.bnd (from integrations.toml); did you mean http.bind?\n";
    assert_eq!(error, expected);
    assert!(!machine.data().exists());

    let doctor = stdout(&machine.output("doctor").await);
    assert!(doctor.starts_with("FAIL  settings  unknown key http.bnd"), "{doctor}");
}

#[tokio::test]
async fn migrate_can_be_repeated_and_run_by_several_at_once() {
    let machine = Machine::new(false);
    assert!(machine.output("migrate").await.status.success());
    assert!(machine.output("migrate").await.status.success());

    let mut service = machine.serve();
    service.says("\"message\":\"ready\"").await;
    let socket = machine.data().join("postgres/socket");
    let migrate = |database: &'static str| {
        let url = format!("postgres://integrations@localhost/{database}?host={}", socket.display());
        machine.command("migrate").env("INTEGRATIONS_DATABASE__URL", url).output()
    };
    // An empty database, which none of them finds up to date.
    let options = service::postgres::running_options(&machine.data());
    let mut connection = sqlx::ConnectOptions::connect(&options).await.expect("it runs");
    sqlx::raw_sql("CREATE DATABASE empty").execute(&mut connection).await.expect("it may");
    let (one, two, three) = tokio::join!(migrate("empty"), migrate("empty"), migrate("empty"));
    for output in [one, two, three] {
        let output = output.expect("the binary starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    service.stop().await;
}

#[tokio::test]
async fn token_prints_a_token_and_nothing_else() {
    let machine = Machine::new(false);
    let token = |arguments: &'static [&'static str]| {
        let mut command = machine.command("token");
        command.args(arguments).env("INTEGRATIONS_AUTH__JWT_SECRET", "0123456789abcdef0123456789abcdef");
        async move { command.output().await.expect("the binary starts") }
    };
    let made = token(&["--user", "7", "--scope", "messages:send", "integrations:read", "--ttl", "1h"]).await;
    assert!(made.status.success() && made.stderr.is_empty());
    let text = stdout(&made);
    assert_eq!(text.matches('.').count(), 2, "{text}");
    assert_eq!(text.lines().count(), 1);

    let refused = token(&["--user", "7", "--scope", "everything"]).await;
    assert_eq!(stdout(&refused), "");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the scopes are integrations:read"));
    assert!(!token(&["--user", "0"]).await.status.success());
}
