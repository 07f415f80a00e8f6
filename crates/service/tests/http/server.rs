use std::time::Duration;

use service::http::{HttpOptions, ServerOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Server, raw};

#[tokio::test]
async fn at_shutdown_requests_in_work_finish_and_idle_connections_close() {
    let server = Server::start().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let request = tokio::spawn(server.get("/wait").send());
    server.waiting.entered.notified().await;
    server.shutdown.cancel();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0, "an idle connection is closed");
    server.waiting.leave.notify_one();
    let response = request.await.unwrap().unwrap();
    assert_eq!(response.text().await.unwrap(), "done");
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_request_that_does_not_finish_is_cut_after_the_time_of_grace() {
    let options = ServerOptions { grace: Duration::from_millis(20), ..ServerOptions::default() };
    let server = Server::start_with(HttpOptions::default(), options).await;
    let request = tokio::spawn(server.get("/wait").send());
    server.waiting.entered.notified().await;
    server.shutdown.cancel();
    server.task.await.unwrap();
    assert!(request.await.unwrap().is_err());
}

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_ends_the_connection() {
    let options = ServerOptions { header_time: Duration::from_millis(20), ..ServerOptions::default() };
    let server = Server::start_with(HttpOptions::default(), options).await;
    assert_eq!(raw(server.address, b"GET /health/live HTTP/1.1\r\nhost: ").await, "");
}

#[tokio::test]
async fn requests_that_follow_on_one_connection_are_answered_in_order() {
    let server = Server::start().await;
    let two =
        b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\nGET /trace HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = raw(server.address, two).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    // A request id may hold the text, too.
    assert!(answer.find("alive").unwrap() < answer.find("\r\n\r\n00-").unwrap(), "{answer}");
}

/// Sends bytes over a connection, and lets the server see them.
async fn begin(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    // Whatever is asked afterwards comes after these.
    server.get("/health/live").send().await.unwrap();
    stream
}

async fn rest(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_request_that_has_begun_to_arrive_is_answered_at_shutdown() {
    let server = Server::start().await;
    let mut in_head = begin(&server, b"GET /trace HTTP/1.1\r\nho").await;
    let mut second = begin(&server, b"GET /trace HTTP/1.1\r\nhost: a\r\n\r\n").await;
    second.read_exact(&mut [0; 12]).await.unwrap();
    second.write_all(b"GET /health/live HT").await.unwrap();
    let mut in_body = begin(
        &server,
        b"POST /notes HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 12\r\n\r\n{\"te",
    )
    .await;
    server.get("/health/live").send().await.unwrap();
    server.shutdown.cancel();
    // It gets time to close what it would close.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    in_head.write_all(b"st: a\r\n\r\n").await.unwrap();
    second.write_all(b"TP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    in_body.write_all(b"xt\":\"x\"}").await.unwrap();
    for stream in [in_head, second, in_body] {
        let answer = rest(stream).await;
        assert!(answer.contains("200 OK"), "{answer}");
        assert_eq!(answer.matches("connection: close").count(), 1, "{answer}");
    }
    server.task.await.unwrap();
}

#[tokio::test]
async fn what_the_system_has_accepted_is_served_at_shutdown() {
    let server = Server::start().await;
    server.get("/health/live").send().await.unwrap();
    // On this one thread the server comes to run only when the test waits.
    let mut waiting = std::net::TcpStream::connect(server.address).unwrap();
    std::io::Write::write_all(&mut waiting, b"GET /trace HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    server.shutdown.cancel();
    waiting.set_nonblocking(true).unwrap();
    let answer = rest(TcpStream::from_std(waiting).unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    server.task.await.unwrap();
}

#[tokio::test]
async fn while_it_drains_requests_are_taken_and_asked_to_close_their_connection() {
    let options = ServerOptions { drain: Duration::from_secs(5), ..ServerOptions::default() };
    let server = Server::start_with(HttpOptions::default(), options).await;
    let kept = begin(&server, b"GET /trace HTTP/1.1\r\nhost: a\r\n\r\n").await;
    server.shutdown.cancel();
    let answer = raw(server.address, b"GET /trace HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("connection: close"), "{answer}");
    let mut kept = kept;
    kept.write_all(b"GET /trace HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let answer = rest(kept).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    assert_eq!(answer.matches("connection: close").count(), 1, "{answer}");
    server.task.await.unwrap();
}
