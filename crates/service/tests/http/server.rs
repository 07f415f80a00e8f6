use std::time::Duration;

use service::http::{HttpOptions, ServerOptions};
use tokio::io::AsyncReadExt as _;
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
