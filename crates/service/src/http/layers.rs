//! The layers around every route, put together.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state as middleware;
use http::header::{AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Method};
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::client::Network;
use super::json::BodyLimits;
use super::limits::{self, Times};
use super::observe::{Observer, X_REQUEST_ID, observe};
use super::route::BasePath;
use crate::auth::Gate;
use crate::auth::guard::guard;
use crate::error::{Code, Error};

/// How the API behaves towards its callers.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// The path that everything is mounted under, such as `/integration-service`; empty for the root.
    pub base_path: String,
    /// The origins whose pages may call the API, such as `https://console.example.com`; `*` for all; empty for none.
    pub cors_origins: Vec<String>,
    /// The gateways whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<Network>,
    /// The largest body, and the time for it to arrive.
    pub body: BodyLimits,
    /// The time for a whole request, up to the head of the response.
    pub request_time: Duration,
    /// The same for a request that brings or fetches files.
    pub file_time: Duration,
    /// The number of requests in work at the same time.
    pub concurrency: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            base_path: String::new(),
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            body: BodyLimits::default(),
            request_time: Duration::from_secs(30),
            file_time: Duration::from_hours(1),
            concurrency: 1024,
        }
    }
}

/// Puts the layers around the routes, the outermost first: observation, panics, CORS, number, time, and the guard.
/// Fails with a text for the operator when an option is not valid.
pub fn layers(routes: Router, options: &HttpOptions, gate: Arc<Gate>) -> Result<Router, String> {
    let base = base_path(&options.base_path)?;
    let cors = cors(&options.cors_origins)?;
    let observer =
        Observer { base: BasePath(base.into()), trusted: options.trusted_proxies.clone(), body: options.body };
    let stack = ServiceBuilder::new()
        .layer(middleware(Arc::new(observer), observe))
        .layer(CatchPanicLayer::custom(limits::panicked))
        .option_layer(cors)
        .layer(middleware(Arc::new(Semaphore::new(options.concurrency)), limits::number))
        .layer(middleware(Times { usual: options.request_time, files: options.file_time }, limits::time))
        .layer(middleware(gate, guard));
    let routes = routes.method_not_allowed_fallback(method_not_allowed);
    let routes = if base.is_empty() { routes } else { Router::new().nest(base, routes) };
    Ok(routes.fallback(not_found).layer(stack))
}

/// Checks the base path and takes the slash off its end.
fn base_path(text: &str) -> Result<&str, String> {
    let base = text.trim_end_matches('/');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if base.is_empty() || (base.starts_with('/') && !base.contains("//") && base.bytes().all(allowed)) {
        return Ok(base);
    }
    Err(format!("the base path `{text}` must start with a slash and hold only letters, digits, `/`, `.`, `_` and `-`"))
}

fn cors(origins: &[String]) -> Result<Option<CorsLayer>, String> {
    if origins.is_empty() {
        return Ok(None);
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().map(|origin| checked_origin(origin)).collect::<Result<Vec<_>, _>>()?)
    };
    let header = HeaderName::from_static;
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            X_REQUEST_ID,
            header("idempotency-key"),
            header("last-event-id"),
            header("traceparent"),
            header("tracestate"),
        ])
        .expose_headers([
            X_REQUEST_ID,
            LOCATION,
            RETRY_AFTER,
            CONTENT_DISPOSITION,
            header("ratelimit-limit"),
            header("ratelimit-remaining"),
            header("ratelimit-reset"),
        ])
        .max_age(Duration::from_mins(10));
    Ok(Some(layer))
}

/// An origin is compared as text, so that a slash at the end would never match.
fn checked_origin(origin: &str) -> Result<HeaderValue, String> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let is_origin = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' ', '*']));
    let value = HeaderValue::from_str(origin).ok().filter(|_| is_origin);
    value.ok_or_else(|| format!("`{origin}` is not an origin such as https://console.example.com, without a path"))
}

fn not_found() -> Ready<Error> {
    ready(Error::new(Code::NotFound, "Nothing exists at this address."))
}

fn method_not_allowed() -> Ready<Error> {
    ready(Error::new(Code::MethodNotAllowed, "This address does not have the method of the request."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_checked() {
        assert_eq!(base_path("/"), Ok(""));
        assert_eq!(base_path("/a/b-c/"), Ok("/a/b-c"));
        for bad in ["a", "/a//b", "/{x}", "/a b", "/*"] {
            assert!(base_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_origin_has_a_scheme_and_no_path() {
        assert!(cors(&["https://console.example.com".into(), "http://localhost:5173".into()]).is_ok());
        for bad in ["console.example.com", "https://a.example/", "https://", "https://*.example.com"] {
            assert!(cors(&[bad.into()]).is_err(), "{bad}");
        }
    }
}
