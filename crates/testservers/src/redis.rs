//! A Redis server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{free_ports, listens, until};

/// A running server, or one that was killed.
#[derive(Debug)]
pub struct Redis {
    folder: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Redis {
    /// Starts a server with nothing in it.
    ///
    /// # Panics
    /// `redis-server` is not installed or does not start.
    pub fn start() -> Self {
        let [port] = free_ports();
        let folder = tempfile::Builder::new().prefix("redis").tempdir().expect("a temporary folder");
        let mut redis = Self { folder, port, server: None };
        redis.start_again();
        redis
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Removes everything in it.
    ///
    /// # Panics
    /// It does not answer.
    pub fn flush(&self) {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        connection.write_all(b"FLUSHALL\r\n").expect("it reads");
        let mut answer = [0; 5];
        connection.read_exact(&mut answer).expect("it answers");
        assert_eq!(&answer, b"+OK\r\n");
    }

    /// Starts it on the same port, with what it had written down.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again(&mut self) {
        let server = command(self.folder.path(), self.port).spawn();
        self.server = Some(server.expect("redis-server is installed: scripts/setup.sh test"));
        until("Redis starts", || listens(self.port));
    }
}

fn command(folder: &Path, port: u16) -> Command {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--port"]).arg(port.to_string());
    command.arg("--dir").arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
