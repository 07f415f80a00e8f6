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
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

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
    /// At shutdown, the time for requests in work.
    pub grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self { header_bytes: 16 * 1024, header_time: Duration::from_secs(75), grace: Duration::from_secs(20) }
    }
}

/// Serves until the token is cancelled; then accepts nothing more, lets the requests in work finish within the time of
/// grace, and cuts what is left.
pub async fn serve(listener: TcpListener, router: Router, options: ServerOptions, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, router.clone(), options, shutdown.clone());
                connections.spawn(cut.clone().run_until_cancelled_owned(connection));
            }
            Err(error) => pause(&error).await,
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(options.grace, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "cutting connections that did not finish in time");
        cut.cancel();
        connections.wait().await;
    }
}

async fn pause(error: &io::Error) {
    // A client that gave up before it was accepted is not a reason to wait.
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::error!(cause = %error, "could not accept a connection");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    options: ServerOptions,
    shutdown: CancellationToken,
) {
    // Small answers should not wait for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(cause = %error, "could not set TCP_NODELAY");
    }
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_time)
        .max_header_size(options.header_bytes)
        .serve_connection(TokioIo::new(ExplainErrors::new(stream)), Routes { router, peer });
    let mut stopping = false;
    let outcome = loop {
        tokio::select! {
            outcome = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break outcome,
            () = shutdown.cancelled(), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(cause = %error, "a connection ended early");
    }
    linger(connection.into_parts().io.into_inner().into_inner()).await;
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
}

impl Service<Request<Incoming>> for Routes {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        self.router.clone().oneshot(request).boxed()
    }
}
