//! A server that does exactly what a test says, on bare TCP.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What the server does after it has read one request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Writes these bytes.
    Bytes(String),
    /// Writes these bytes, then nothing more while the connection stays open.
    Stall(String),
}

/// One connection: its requests are answered in turn, then it is closed. Without replies it is closed unread.
pub type Script = Vec<Reply>;

pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
    closed: Arc<Notify>,
}

impl Server {
    /// Plays one script for each connection, in the order of their arrival; further ones are closed unread.
    pub async fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let closed = Arc::new(Notify::new());
        let (log, done) = (requests.clone(), closed.clone());
        tokio::spawn(async move {
            let mut scripts = scripts.into_iter();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(play(stream, scripts.next().unwrap_or_default(), log.clone(), done.clone()));
            }
        });
        Self { url, requests, closed }
    }

    /// The requests that arrived, head and body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no test panics with the lock").clone()
    }

    /// Waits until a connection was closed, and lets the client notice.
    pub async fn connection_closed(&self) {
        self.closed.notified().await;
        // The runtime looks at its sockets before it sleeps, so the client's side sees the end of the stream here.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

async fn play(mut stream: TcpStream, script: Script, log: Arc<Mutex<Vec<String>>>, closed: Arc<Notify>) {
    for reply in script {
        let Some(request) = read_request(&mut stream).await else { break };
        log.lock().expect("no test panics with the lock").push(request);
        let (Reply::Bytes(bytes) | Reply::Stall(bytes)) = &reply;
        if stream.write_all(bytes.as_bytes()).await.is_err() {
            break;
        }
        if matches!(reply, Reply::Stall(_)) {
            std::future::pending::<()>().await;
        }
    }
    drop(stream);
    closed.notify_one();
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or("0", str::trim);
            if body.len() >= length.parse().expect("a length") {
                return Some(text);
            }
        }
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
}

/// A whole answer with a length, after which the connection stays open.
pub fn answer(status: u16, body: &str) -> Reply {
    Reply::Bytes(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}
