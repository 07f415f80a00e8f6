//! Connections that go only where they may.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Uri;
use http::uri::Scheme;
use hyper::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpStream, lookup_host};
use tower::Service;

use super::{Egress, Refused};

/// How long it may take to find a server and to be connected with it.
const CONNECT: Duration = Duration::from_secs(10);
/// A name with more addresses than this is one of no usual server.
const MOST_ADDRESSES: usize = 32;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It may not be made.
    #[error("{0}")]
    Refused(Refused),
    /// Nothing is known under the name.
    #[error("the name of the server could not be resolved")]
    Unknown(#[source] io::Error),
    /// The server does not take connections.
    #[error("the server takes no connection")]
    Unreachable(#[source] io::Error),
    /// It took too long.
    #[error("the server could not be reached within {} seconds", CONNECT.as_secs())]
    TimedOut,
}

/// Makes connections for an HTTP client.
#[derive(Debug, Clone)]
pub struct Guarded(Egress);

impl Egress {
    /// A client whose every connection is judged when it is made. Connections are not kept, redirects not followed.
    pub fn client<B>(&self) -> Client<HttpsConnector<Guarded>, B>
    where
        B: Body + Send,
        B::Data: Send,
    {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls())
            .https_or_http()
            .enable_http1()
            .wrap_connector(Guarded(self.clone()));
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .build(connector)
    }

    async fn connect(&self, uri: &Uri) -> Result<TcpStream, ConnectError> {
        let refused = |why| ConnectError::Refused(why);
        let host = uri.host().ok_or(refused(Refused::Syntax))?;
        let default = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default);
        let addresses = resolve(host, port).await?;
        // All of them: a name that leads inside and outside is not to be trusted either.
        for address in &addresses {
            self.judge(address.ip(), address.port()).map_err(refused)?;
        }
        let mut problem = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => problem = error,
            }
        }
        Err(ConnectError::Unreachable(problem))
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = literal.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = lookup_host((host, port)).await.map_err(ConnectError::Unknown)?;
    let found: Vec<SocketAddr> = found.take(MOST_ADDRESSES).collect();
    if found.is_empty() { Err(ConnectError::Unknown(io::ErrorKind::NotFound.into())) } else { Ok(found) }
}

impl Service<Uri> for Guarded {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let egress = self.0.clone();
        async move {
            let connected = tokio::time::timeout(CONNECT, egress.connect(&uri)).await;
            connected.map_err(|_| ConnectError::TimedOut)?.map(TokioIo::new)
        }
        .boxed()
    }
}
