//! The HTTP/1.1 server.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use futures::future::BoxFuture;
use futures::{FutureExt as _, TryFutureExt as _};
use http::header::CONNECTION;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::io::InspectReader;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::drain::Begun;
use super::malformed::ExplainErrors;

/// After the last answer, what a client still sends is read away up to this size and time: closing a connection with unread
/// bytes would reset it, and the client might lose the answer.
const LINGER_BYTES: u64 = 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// A pause when no connection can be accepted, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How the server treats connections.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// The largest head of a request: request line and headers, in bytes.
    pub header_bytes: usize,
    /// The time for the head of a request to arrive; also how long a connection may wait for its next request. It should
    /// exceed the time that gateways keep idle connections (60 seconds in nginx), or a request may meet a closing connection.
    pub header_time: Duration,
    /// At shutdown, connections are still accepted and kept for so long, so that gateways notice that the process is not ready; answers
    /// ask to close the connection.
    pub drain: Duration,
    /// After that, the time for requests in work.
    pub grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            header_bytes: 16 * 1024,
            header_time: Duration::from_secs(75),
            drain: Duration::ZERO,
            grace: Duration::from_secs(20),
        }
    }
}

/// Serves until the token is cancelled; then drains, accepts nothing more, lets the requests in work and those that have begun to arrive
/// finish within the time of grace, and cuts what is left.
pub async fn serve(listener: TcpListener, router: Router, options: ServerOptions, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let end = End { draining: shutdown.clone(), closing: CancellationToken::new() };
    let take = |(stream, peer)| {
        let connection = connection(stream, peer, router.clone(), options, end.clone());
        connections.spawn(cut.clone().run_until_cancelled_owned(connection));
    };
    let accept = async {
        loop {
            match listener.accept().await {
                Ok(accepted) => take(accepted),
                Err(error) => pause(&error).await,
            }
        }
    };
    let drained = async {
        shutdown.cancelled().await;
        tokio::time::sleep(options.drain).await;
    };
    tokio::select! {
        () = accept => {}
        () = drained => {}
    }
    // The system has accepted these already: they would be reset with the listener.
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        take(accepted);
    }
    drop(listener);
    end.closing.cancel();
    connections.close();
    if tokio::time::timeout(options.grace, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "cutting connections that did not finish in time");
        cut.cancel();
        connections.wait().await;
    }
}

/// The two steps of the end.
#[derive(Clone)]
struct End {
    /// Answers ask to close the connection.
    draining: CancellationToken,
    /// Connections are closed as soon as no request is in work.
    closing: CancellationToken,
}

async fn pause(error: &io::Error) {
    // A client that gave up before it was accepted is not a reason to wait.
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::error!(cause = %error, "could not accept a connection");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, options: ServerOptions, end: End) {
    // Small answers should not wait for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(cause = %error, "could not set TCP_NODELAY");
    }
    let begun = Begun::default();
    let note = begun.clone();
    let stream = InspectReader::new(stream, move |bytes: &[u8]| note.came(bytes));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_time)
        .max_header_size(options.header_bytes)
        .serve_connection(
            TokioIo::new(ExplainErrors::new(stream)),
            Routes { router, peer, begun: begun.clone(), draining: end.draining },
        );
    let (mut closing, mut told) = (false, false);
    let outcome = loop {
        let work = poll_fn(|cx| {
            let mut work = connection.poll_without_shutdown(cx);
            // What has arrived was read just now. A connection is not closed in the middle of a head.
            if closing && !told && work.is_pending() && !begun.is_begun() {
                told = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
                work = connection.poll_without_shutdown(cx);
            }
            work
        });
        tokio::select! {
            outcome = work => break outcome,
            () = end.closing.cancelled(), if !closing => closing = true,
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(cause = %error, "a connection ended early");
    }
    linger(connection.into_parts().io.into_inner().into_inner().into_inner()).await;
}

async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES);
        // Whatever comes of it, the connection is over.
        let _ = tokio::time::timeout(LINGER_TIME, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}

/// The routes as hyper calls them, with the peer's address among the extensions of each request.
struct Routes {
    router: Router,
    peer: SocketAddr,
    begun: Begun,
    draining: CancellationToken,
}

impl Service<Request<Incoming>> for Routes {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        self.begun.taken();
        let (draining, begun) = (self.draining.clone(), self.begun.clone());
        let answer = self.router.clone().oneshot(request);
        answer
            .map_ok(move |mut response| {
                // What came meanwhile was the body.
                begun.taken();
                if draining.is_cancelled() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                response
            })
            .boxed()
    }
}
