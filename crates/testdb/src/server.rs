//! The PostgreSQL server that all test processes of a checkout share.
//!
//! Its folder is in the system's temporary folder, where PostgreSQL's own user can reach it and the path of the socket is
//! short. Two locks in it: `start` is held while somebody looks whether the server runs, starts or ends it; `users` is
//! held, shared, by every process that uses it. A small watcher ends the server when nobody holds `users` any more.

use std::fs::{DirBuilder, File, OpenOptions};
use std::future::Future;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, postgres::PgConnectOptions};
use testservers::postgres::{Account, binaries, command};

use crate::apart;

/// How often something is looked at again.
const POLL: Duration = Duration::from_millis(20);
/// How long the server may take to start or to end.
const PATIENCE: Duration = Duration::from_mins(1);
/// Durability is of no use here: a server that was killed is made anew.
const SETTINGS: &str = "listen_addresses= unix_socket_permissions=0700 max_connections=400 shared_buffers=64MB fsync=off \
     synchronous_commit=off full_page_writes=off wal_level=minimal max_wal_senders=0 autovacuum=off jit=off timezone=UTC";
/// Ends the server ($1) of the folder ($0) once nobody uses it, and removes its data.
const WATCHER: &str = r#"
runs='grep -q -F "$0" "/proc/$1/cmdline"'
while sleep 20 && eval "$runs"; do
    flock -n -x "$0/start" flock -n -x "$0/users" sh -c "
        kill -INT \$1
        while $runs; do sleep 0.1; done
        rm -rf \"\$0/cluster\" \"\$0/socket\"" "$0" "$1" && exit
done"#;

/// The running server. Its locks last as long as the process.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    _users: File,
}

impl Server {
    /// The server, started if it does not run.
    pub fn get() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| {
            let folder = folder();
            let start = lock(&folder.join("start"), FlockOperation::LockExclusive);
            let users = lock(&folder.join("users"), FlockOperation::LockShared);
            let server = Self { folder, _users: users };
            if !server.answers() {
                server.start();
            }
            drop(start);
            server
        })
    }

    /// Makes a database and fills it, unless it is there already; in each process for one name only.
    pub fn make_once<F>(&self, name: &str, fill: impl Fn(PgConnectOptions) -> F + Send + Sync)
    where
        F: Future<Output = ()> + Send,
    {
        static DONE: OnceLock<()> = OnceLock::new();
        DONE.get_or_init(|| {
            let start = lock(&self.folder.join("start"), FlockOperation::LockExclusive);
            apart(async {
                if !self.has(name).await {
                    let unfinished = format!("{name}_unfinished");
                    self.admin(&format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")).await;
                    self.admin(&format!("CREATE DATABASE {unfinished}")).await;
                    fill(self.options(&unfinished)).await;
                    self.admin(&format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await;
                }
            });
            drop(start);
        });
    }

    /// How to connect to one of its databases.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.folder.join("socket"))
            .username("postgres")
            .database(database)
    }

    /// Executes a statement that must succeed, as the superuser.
    pub async fn admin(&self, statement: &str) {
        self.execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Executes a statement as the superuser.
    pub async fn execute(&self, statement: &str) -> Result<(), sqlx::Error> {
        let mut connection = self.options("postgres").connect().await?;
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await
    }

    async fn has(&self, database: &str) -> bool {
        let mut connection = self.options("postgres").connect().await.expect("the test server answers");
        let found = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)").bind(database);
        found.fetch_one(&mut connection).await.expect("the catalogue can be read")
    }

    fn answers(&self) -> bool {
        apart(async { self.options("postgres").connect().await?.ping().await }).is_ok()
    }

    /// Ends what is left of an earlier server and makes a new one.
    #[expect(clippy::zombie_processes, reason = "server and watcher outlive this process")]
    fn start(&self) {
        let (cluster, socket) = (self.folder.join("cluster"), self.folder.join("socket"));
        end_leftover(&cluster);
        let account = Account::needed();
        for folder in [&cluster, &socket] {
            match std::fs::remove_dir_all(folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    panic!("cannot remove {}: {error}", folder.display())
                }
                _ => {}
            }
            DirBuilder::new().mode(0o700).create(folder).expect("the folder is ours");
            if let Some(account) = account {
                account.give(folder);
            }
        }
        let binaries = binaries();
        let made = command(&binaries.join("initdb"), account)
            .arg("-D")
            .arg(&cluster)
            .args(["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
            .output()
            .expect("initdb can be run");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let log = self.folder.join("log");
        let settings = SETTINGS.split_ascii_whitespace().map(str::to_owned);
        let settings = settings.chain([format!("unix_socket_directories={}", socket.display())]);
        let mut child = command(&binaries.join("postgres"), account)
            .arg("-D")
            .arg(&cluster)
            .args(settings.flat_map(|setting| ["-c".to_owned(), setting]))
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("the folder is ours"))
            .spawn()
            .expect("postgres can be run");
        let end = Instant::now() + PATIENCE;
        while !self.answers() {
            let ended = child.try_wait().expect("it is a child of this process").is_some();
            let output = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(!ended && Instant::now() < end, "the test server does not start: {}", output());
            std::thread::sleep(POLL);
        }
        let watcher = command(Path::new("sh"), None)
            .args(["-c", WATCHER])
            .arg(&self.folder)
            .arg(child.id().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        watcher.expect("sh can be run");
    }
}

/// The folder of this checkout's server, made if it is missing.
fn folder() -> PathBuf {
    let digest = Sha256::digest(env!("CARGO_MANIFEST_DIR"));
    let uid = geteuid().as_raw();
    let folder = std::env::temp_dir().join(format!("integrations-tests-{uid}-{}", hex::encode(&digest[..5])));
    match DirBuilder::new().mode(0o755).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("cannot make {}: {error}", folder.display()),
        _ => {}
    }
    let metadata = folder.symlink_metadata().expect("it was just made");
    assert!(metadata.is_dir() && metadata.uid() == uid, "{} belongs to somebody else: remove it", folder.display());
    folder
}

fn lock(path: &Path, operation: FlockOperation) -> File {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).expect("the folder is ours");
    flock(&file, operation).expect("the file system has locks");
    file
}

/// Ends the server that a lost process has left, if it still runs.
fn end_leftover(cluster: &Path) {
    let pid_file = std::fs::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
    let Some(pid) = pid_file.lines().next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw) else { return };
    let runs = || {
        let command_line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        String::from_utf8_lossy(&command_line).contains(&*cluster.to_string_lossy())
    };
    for (signal, patience) in [(Signal::INT, PATIENCE / 4), (Signal::QUIT, PATIENCE / 4), (Signal::KILL, PATIENCE)] {
        let end = Instant::now() + patience;
        // An error says that it has ended meanwhile.
        let _ = if runs() { kill_process(pid, signal) } else { return };
        while runs() && Instant::now() < end {
            std::thread::sleep(POLL);
        }
    }
}
