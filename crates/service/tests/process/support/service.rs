//! A running process of the service.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::{must_end, until};

/// A running `serve`.
pub struct Service {
    child: Child,
    pid: Pid,
    log: Log,
    readers: [JoinHandle<()>; 2],
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Without the requests: there are thousands.
            let log = self.log.lock().unwrap();
            let lines: Vec<_> = log.iter().filter(|line| !line.contains("integrations::access")).cloned().collect();
            let end = lines[lines.len().saturating_sub(40)..].join("\n");
            println!("the end of the log of process {}:\n{end}", self.pid);
        }
    }
}

/// What the process has written.
type Log = Arc<Mutex<Vec<String>>>;

impl Service {
    /// Starts it, in a process group of its own as a terminal would.
    pub fn spawn(mut command: Command) -> Self {
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Log::default();
        let readers = [
            tokio::spawn(read(child.stdout.take().unwrap(), log.clone())),
            tokio::spawn(read(child.stderr.take().unwrap(), log.clone())),
        ];
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        Self { child, pid, log, readers }
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Everything that it has written.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Whether a line of its log has this text.
    pub fn has_said(&self, text: &str) -> bool {
        self.log.lock().unwrap().iter().any(|line| line.contains(text))
    }

    /// Waits for a line of its log with this text.
    pub async fn says(&mut self, text: &str) {
        loop {
            let ended = self.child.try_wait().unwrap().is_some() && self.readers.iter().all(JoinHandle::is_finished);
            if self.has_said(text) {
                return;
            }
            assert!(!ended, "it ended without saying {text:?}:\n{}", self.log());
            tokio::time::sleep(super::LOOK_EVERY).await;
        }
    }

    /// Waits until it takes requests.
    pub async fn ready(&mut self) {
        must_end("the service is ready", self.says("\"message\":\"ready\"")).await;
    }

    /// The address of its API.
    pub fn url(&self) -> String {
        let log = self.log.lock().unwrap();
        let ready = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let address = ready
            .filter(|line| line["message"] == "ready")
            .find_map(|line| line["labels.address"].as_str().map(str::to_owned));
        format!("http://{}", address.unwrap())
    }

    /// Sends a signal to it alone.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Sends a signal to its process group, as Ctrl-C does.
    pub fn signal_group(&self, signal: Signal) {
        kill_process_group(self.pid, signal).unwrap();
    }

    /// Waits until it has ended and everything that it wrote is read.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = must_end("the process ends", self.child.wait()).await.unwrap();
        until("its log is read", async || self.readers.iter().all(JoinHandle::is_finished)).await;
        status
    }

    /// Kills it: nothing of it runs any more when this returns.
    pub async fn kill(mut self) {
        self.signal(Signal::KILL);
        must_end("the process is gone", self.child.wait()).await.unwrap();
    }

    /// Ends it in order.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}:\n{}", self.log());
    }
}

async fn read(from: impl AsyncRead + Unpin, log: Log) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.lock().unwrap().push(line);
    }
}
