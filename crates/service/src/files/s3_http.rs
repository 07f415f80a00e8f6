//! Carries the requests of the S3 client over the HTTP and TLS libraries that the service has already.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, Client, connect::HttpConnector as TcpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};

use crate::circuit::{Circuit, Rule};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the store may take to answer.
const ANSWER: Duration = Duration::from_mins(1);

/// A store that does not answer is left alone (each request is tried up to five times), so that requests and tasks do not wait for it one after the other.
const RULE: Rule = Rule { failures: 8, first: Duration::from_secs(1), cap: Duration::from_secs(15), unproven: None };

/// The circuit of the store.
pub fn circuit() -> Arc<Circuit> {
    Circuit::upstream("s3", RULE)
}

/// Makes clients.
#[derive(Debug)]
pub struct HyperConnector(pub Arc<Circuit>);

impl HttpConnector for HyperConnector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let failed = |error: &dyn std::fmt::Display| object_store::Error::Generic {
            store: "S3",
            source: format!("the system's root certificates cannot be read: {error}").into(),
        };
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_native_roots()
            .map_err(|error| failed(&error))?
            .with_no_client_auth();
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Ok(HttpClient::new(Hyper { client, circuit: self.0.clone() }))
    }
}

#[derive(Debug)]
struct Hyper {
    client: Client<HttpsConnector<TcpConnector>, HttpRequestBody>,
    circuit: Arc<Circuit>,
}

#[async_trait]
impl HttpService for Hyper {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = tokio::time::timeout(ANSWER, self.client.request(request));
        let answer =
            self.circuit.call(answer, |answer| matches!(answer, Ok(Ok(answer)) if !answer.status().is_server_error()));
        // Of a kind that the client does not try again.
        let answer = answer.await.map_err(|shut| HttpError::new(HttpErrorKind::Unknown, shut))?;
        let answer = answer.map_err(|error| HttpError::new(HttpErrorKind::Timeout, error))?;
        let (parts, body) = answer.map_err(|error| HttpError::new(kind(&error), error))?.into_parts();
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

/// What the S3 client decides by whether it may try again.
fn kind(error: &legacy::Error) -> HttpErrorKind {
    if error.is_connect() {
        return HttpErrorKind::Connect;
    }
    match error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>()) {
        Some(cause) if cause.is_canceled() => HttpErrorKind::Request,
        Some(cause) if cause.is_timeout() => HttpErrorKind::Timeout,
        _ => HttpErrorKind::Interrupted,
    }
}
