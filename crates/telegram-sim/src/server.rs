//! Accepting HTTP connections. On hyper itself, because a handler has to be able to cut its connection, and because
//! stopping closes those that are open.

use std::error::Error;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Serves each connection with a service of its own until `stop`; then all are closed at once. A service that fails
/// cuts its connection without an answer.
pub(crate) async fn serve<S, B>(listener: TcpListener, stop: CancellationToken, new_service: impl Fn() -> S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Future: Send, Error: Error + Send + Sync> + Send + 'static,
    B: Body<Data: Send, Error: Error + Send + Sync> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(stop.clone().run_until_cancelled_owned(connection(stream, new_service())));
            }
            Err(error) => tracing::warn!(%error, "cannot accept a connection"),
        }
    }
}

async fn connection<S, B>(stream: TcpStream, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Error + Send + Sync + 'static>,
    B: Body<Error: Error + Send + Sync + 'static> + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection ended");
    }
}
