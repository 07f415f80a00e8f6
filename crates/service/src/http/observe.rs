//! The outermost layer: gives each request its id, trace and origin, finishes problems, sets the headers of every response,
//! counts, and writes the access log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use metrics::SharedString;
use tracing::Instrument as _;
use uuid::Uuid;

use super::client::{Client, Network};
use super::json::BodyLimits;
use super::route::{self, BasePath};
use super::trace::TraceContext;
use crate::auth::guard::UserId;
use crate::error::problem;
use crate::metrics::name;

/// The header with the id of a request.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The label of requests that match no route.
pub(super) const OTHER: &str = "other";

/// The id of a request: the caller's, if it is acceptable, else a new one. Kept in the extensions of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);

impl RequestId {
    /// Takes 1 to 128 characters of `[A-Za-z0-9._-]`.
    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
        given.filter(|id| is_acceptable(id)).map_or_else(Self::new, |id| Self(id.into()))
    }

    /// A new id.
    pub(super) fn new() -> Self {
        Self(Uuid::now_v7().to_string().into())
    }
}

fn is_acceptable(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// What the layer adds to every request.
pub(super) struct Observer {
    pub base: BasePath,
    pub trusted: Vec<Network>,
    pub body: BodyLimits,
}

/// What is remembered of a request for its log line.
struct Seen {
    started: Instant,
    method: Method,
    pattern: Option<String>,
    path: String,
    id: RequestId,
    client: Client,
}

pub(super) async fn observe(State(observer): State<Arc<Observer>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = RequestId::of(request.headers());
    let trace = TraceContext::from_headers(request.headers());
    let client = Client::of(request.headers(), request.extensions(), &observer.trusted);
    let span = tracing::info_span!(
        "request",
        request_id = &*id.0,
        trace_id = hex::encode(trace.trace_id),
        span_id = hex::encode(trace.span_id)
    );
    let extensions = request.extensions_mut();
    extensions.insert(observer.base.clone());
    extensions.insert(observer.body);
    extensions.insert(id.clone());
    extensions.insert(trace);
    extensions.insert(client);
    let pattern = route::pattern(extensions).map(Into::into);
    let seen =
        Seen { started, method: request.method().clone(), pattern, path: request.uri().path().to_owned(), id, client };
    async {
        let response = next.run(request).await;
        finish(seen, response)
    }
    .instrument(span)
    .await
}

fn finish(seen: Seen, response: Response) -> Response {
    let mut response = problem::finish(response, &seen.path, &seen.id.0);
    set_headers(response.headers_mut());
    if let Ok(id) = HeaderValue::from_str(&seen.id.0) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    log(&seen, &response);
    let endpoint = seen.pattern.map_or(SharedString::const_str(OTHER), SharedString::from);
    count(endpoint, &seen.method, response.status(), seen.started.elapsed());
    response
}

/// A handler may set its own, as the pages of the documentation do.
pub(super) fn set_headers(headers: &mut HeaderMap) {
    let defaults = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    let is_page = headers.get(http::header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    for (name, value) in defaults {
        // A page needs scripts and styles of its own; which ones, only its handler knows.
        let value = if is_page && name == CONTENT_SECURITY_POLICY { "frame-ancestors 'none'" } else { value };
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

pub(super) fn count(endpoint: SharedString, method: &Method, status: StatusCode, time: Duration) {
    metrics::histogram!(name::API_DURATION, "endpoint" => endpoint.clone()).record(time.as_secs_f64());
    metrics::counter!(name::API_TOTAL, "endpoint" => endpoint.clone()).increment(1);
    // Counted with zero, so that a rate can be taken before the first error.
    let errors = u64::from(status.is_server_error());
    metrics::counter!(name::API_ERROR, "endpoint" => endpoint.clone()).increment(errors);
    let (method, status) = (method_label(method), status.as_u16().to_string());
    metrics::counter!(name::API_RESPONSES, "endpoint" => endpoint, "method" => method, "status" => status).increment(1);
}

/// A method may be any word, so that only the usual ones become labels.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => OTHER,
    }
}

fn log(seen: &Seen, response: &Response) {
    let duration_ms = u64::try_from(seen.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let endpoint = seen.pattern.as_deref().unwrap_or(OTHER);
    let user_id = response.extensions().get::<UserId>().map(|user| user.0);
    let client = seen.client.address.map(tracing::field::display);
    tracing::info!(
        target: "integrations::access",
        method = %seen.method,
        endpoint,
        status = response.status().as_u16(),
        duration_ms,
        request_id = &*seen.id.0,
        user_id,
        client,
        "answered"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(given: &str) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, given.parse().unwrap());
        RequestId::of(&headers)
    }

    #[test]
    fn an_acceptable_id_is_kept_and_any_other_replaced() {
        assert_eq!(&*id_for("Order_1.2-3").0, "Order_1.2-3");
        for bad in ["", "a b", "a\"b", &"x".repeat(129)] {
            assert!(Uuid::parse_str(&id_for(bad).0).is_ok(), "{bad}");
        }
        assert_ne!(RequestId::new(), RequestId::new());
    }

    #[test]
    fn a_handler_keeps_its_own_headers() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, "public, max-age=60".parse().unwrap());
        set_headers(&mut headers);
        assert_eq!(headers[CACHE_CONTROL], "public, max-age=60");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}
