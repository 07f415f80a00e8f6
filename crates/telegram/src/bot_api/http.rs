//! One HTTP exchange with a Bot API server.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{HttpConnector, capture_connection};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};

use super::form::Form;

/// How long a TCP connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an idle connection is kept. Short, because a server that closes it just when a request is written leaves
/// the fate of that request unknown.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// How much later than it was asked to a server may answer a long poll: a line that broke silently is noticed by that.
const LATE_BY: Duration = Duration::from_secs(10);
/// Bytes a second: an upload that is slower than this is given up.
const SLOWEST_UPLOAD: u64 = 128 * 1024;
/// A hundred updates with long texts, each with the message that it answers.
const MAX_UPDATES: usize = 16 * 1024 * 1024;

/// Why a Bot API server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address is not one of a server.
    #[error(
        "the address of the Bot API server {0}: use one like https://api.telegram.org, without user name, query or fragment"
    )]
    Address(&'static str),
    /// There is nothing to check certificates against.
    #[error("the system's root certificates cannot be read (install the package ca-certificates): {0}")]
    RootCertificates(String),
}

/// What came of one request.
pub(super) enum Exchange {
    /// The server answered in full.
    Answered {
        status: StatusCode,
        body: Bytes,
        /// Whether the whole request was handed to the connection before.
        whole_request: bool,
    },
    /// Certainly not a byte of the request was written.
    NothingSent(String),
    /// The request, or a part of it, was written, and no whole answer came back.
    Unclear(String),
    /// The token cannot stand in an address.
    BadToken,
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What is posted.
struct Post {
    content_type: HeaderValue,
    /// Where the body does not know it.
    length: Option<u64>,
    body: Body,
    /// Whether the last byte of the body was handed to the connection; see [`Form::complete`].
    complete: Arc<AtomicBool>,
}

impl Post {
    fn json(body: Vec<u8>) -> Self {
        let body = Full::from(body).map_err(|never| match never {}).boxed_unsync();
        // Its one chunk may leave at any moment.
        let complete = Arc::new(AtomicBool::new(true));
        Self { content_type: HeaderValue::from_static("application/json"), length: None, body, complete }
    }
}

/// The shared connections to one server.
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    /// The address without a slash at the end.
    base: String,
    timeout: Duration,
}

impl Http {
    pub(super) fn new(base_url: &str, timeout: Duration) -> Result<Self, SetupError> {
        let base = check_base(base_url)?;
        let tls = tls(base.starts_with("https://")).map_err(SetupError::RootCertificates)?;
        Ok(Self::with_tls(base, timeout, tls))
    }

    pub(super) fn with_tls(base: String, timeout: Duration, tls: ClientConfig) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .retry_canceled_requests(false)
            .build(connector);
        Self { client, base, timeout }
    }

    /// The address of the server.
    pub(super) fn server(&self) -> &str {
        &self.base
    }

    /// Calls a method with a JSON body. Bounded by the time-out; never repeated.
    pub(super) async fn post(&self, token: &SecretString, method: &str, body: Vec<u8>) -> Exchange {
        self.post_within(token, method, Post::json(body), self.timeout, MAX_ANSWER).await
    }

    /// Calls a method with a form. The time grows with the files; never repeated.
    ///
    /// An exchange that breaks off before the whole form was handed to the connection proves that nothing was done: what the server
    /// has is shorter than announced and without the boundary that ends the form, which is no request.
    pub(super) async fn post_form(&self, token: &SecretString, method: &str, form: Form) -> Exchange {
        let Ok(content_type) = HeaderValue::try_from(form.content_type) else {
            return Exchange::NothingSent("the form has no valid boundary".to_owned());
        };
        let time = self.timeout + Duration::from_secs(form.file_bytes / SLOWEST_UPLOAD);
        let post = Post { content_type, length: Some(form.length), body: form.body, complete: form.complete };
        self.post_within(token, method, post, time, MAX_ANSWER).await
    }

    /// The same for a call that the server may answer as late as after `hold`, and at length.
    pub(super) async fn long_poll(
        &self,
        token: &SecretString,
        method: &str,
        body: Vec<u8>,
        hold: Duration,
    ) -> Exchange {
        self.post_within(token, method, Post::json(body), hold + self.timeout.min(LATE_BY), MAX_UPDATES).await
    }

    async fn post_within(
        &self,
        token: &SecretString,
        method: &str,
        post: Post,
        time: Duration,
        longest: usize,
    ) -> Exchange {
        let Some(uri) = self.uri(token, method) else { return Exchange::BadToken };
        let Post { content_type, length, body, complete } = post;
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        if let Some(length) = length {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        // Set when a connection is chosen, just before the request is handed to it: as long as it is not, not a byte
        // can have been written.
        let connection = capture_connection(&mut request);
        let result = tokio::time::timeout(time, self.exchange(request, longest)).await;
        let was_connected = connection.connection_metadata().is_some();
        let whole_request = complete.load(Ordering::SeqCst);
        match result {
            Ok(Ok((status, body))) => Exchange::Answered { status, body, whole_request },
            Ok(Err(error)) if !was_connected => {
                Exchange::NothingSent(format!("the Bot API server cannot be reached: {}", error.cause()))
            }
            Ok(Err(error)) if error.is_canceled() => {
                Exchange::NothingSent("the Bot API server closed the connection before the request".to_owned())
            }
            Ok(Err(error)) if !whole_request => {
                Exchange::NothingSent(format!("the upload broke off before its end: {}", error.cause()))
            }
            Ok(Err(error)) => Exchange::Unclear(error.reason()),
            Err(_) if !whole_request => {
                Exchange::NothingSent(format!("the upload did not end within {} s", time.as_secs_f64()))
            }
            Err(_) if !was_connected => {
                Exchange::NothingSent(format!("no connection to the Bot API server within {} s", time.as_secs_f64()))
            }
            Err(_) => Exchange::Unclear(format!("the Bot API server gave no answer within {} s", time.as_secs_f64())),
        }
    }

    async fn exchange(&self, request: Request<Body>, longest: usize) -> Result<(StatusCode, Bytes), Failure> {
        let response = self.client.request(request).await.map_err(Failure::Request)?;
        let status = response.status();
        match Limited::new(response.into_body(), longest).collect().await {
            Ok(body) => Ok((status, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLong),
            Err(_) => Err(Failure::Body(status)),
        }
    }

    /// `None` when the token is not of the form `digits:letters`, so that nothing else can get into the path.
    fn uri(&self, token: &SecretString, method: &str) -> Option<Uri> {
        let token = token.expose_secret();
        let (id, secret) = token.split_once(':')?;
        let is_token = !id.is_empty()
            && !secret.is_empty()
            && id.bytes().all(|b| b.is_ascii_digit())
            && secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !is_token {
            return None;
        }
        format!("{}/bot{token}/{method}", self.base).parse().ok()
    }
}

/// Why an exchange broke off.
enum Failure {
    Request(legacy::Error),
    Body(StatusCode),
    TooLong,
}

impl Failure {
    /// Whether the connection was found closed before the request was begun: hyper gives the request back then.
    fn is_canceled(&self) -> bool {
        match self {
            Self::Request(error) => {
                error.source().and_then(|e| e.downcast_ref()).is_some_and(hyper::Error::is_canceled)
            }
            Self::Body(_) | Self::TooLong => false,
        }
    }

    /// The innermost cause. Causes know at most the server's name, never the path with the token.
    fn cause(&self) -> String {
        let Self::Request(error) = self else { return self.reason() };
        let mut cause: &dyn Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        cause.to_string()
    }

    fn reason(&self) -> String {
        match self {
            Self::Request(_) => "the connection broke before the Bot API server answered".to_owned(),
            Self::Body(status) => {
                format!("the connection broke within the answer of the Bot API server (status {})", status.as_u16())
            }
            Self::TooLong => "the answer of the Bot API server is too long".to_owned(),
        }
    }
}

fn check_base(base_url: &str) -> Result<String, SetupError> {
    let uri: Uri = base_url.parse().map_err(|_| SetupError::Address("is not an address"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(SetupError::Address("does not begin with http:// or https://"));
    }
    if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err(SetupError::Address("has a user name or no host"));
    }
    if uri.query().is_some() || base_url.contains('#') {
        return Err(SetupError::Address("has a query or a fragment"));
    }
    Ok(base_url.trim_end_matches('/').to_owned())
}

/// Plain HTTP, as used for a Bot API server of one's own, works without root certificates.
pub(crate) fn tls(needed: bool) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if needed {
        builder.with_native_roots().map_err(|error| error.to_string())?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}

#[cfg(test)]
pub(super) mod testing {
    use std::time::Duration;

    use super::{Http, tls};

    /// HTTPS without any root certificate.
    pub fn untrusting(base: &str, timeout: Duration) -> Http {
        Http::with_tls(base.to_owned(), timeout, tls(false).expect("a configuration without roots"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::SecretString;

    use super::{Http, check_base};

    #[test]
    fn the_address_of_a_server_is_checked() {
        for (address, base) in [
            ("https://api.telegram.org", "https://api.telegram.org"),
            ("http://127.0.0.1:8081/", "http://127.0.0.1:8081"),
            ("http://proxy.example/telegram/", "http://proxy.example/telegram"),
        ] {
            assert_eq!(check_base(address).expect(address), base);
        }
        for (address, words) in [
            ("", "is not an address"),
            ("api.telegram.org", "http://"),
            ("ftp://a.b", "http://"),
            ("https://user:word@a.b", "user name"),
            ("https://a.b?x=1", "query"),
            ("https://a.b/#x", "fragment"),
        ] {
            let error = check_base(address).expect_err(address).to_string();
            assert!(error.contains(words) && !error.contains("word@"), "{address}: {error}");
        }
    }

    #[test]
    fn only_a_token_gets_into_the_path() {
        let http = Http::new("http://a.b/c", Duration::from_secs(1)).expect("an address");
        let uri = |token: &str| http.uri(&SecretString::from(token), "getMe").map(|uri| uri.to_string());
        assert_eq!(uri("1:aB_-9").expect("a token"), "http://a.b/c/bot1:aB_-9/getMe");
        for token in ["", "1", ":a", "1:", "a:b", "1:b/c", "1:b?c", "1:b c", "1:b\n", "1:ї", "1:b:c"] {
            assert_eq!(uri(token), None, "{token}");
        }
    }
}
