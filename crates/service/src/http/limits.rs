//! What keeps one request from harming the others: limits on time and on number, and containment of panics.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use tokio::sync::Semaphore;

use super::{route, upload};
use crate::auth::access;
use crate::error::{Code, Error};

const OVERLOAD_RETRY: Duration = Duration::from_secs(1);

/// The time for a request, up to the head of the response.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Of most requests.
    pub usual: Duration,
    /// Of those that bring or fetch files.
    pub files: Duration,
}

/// Answers 503 when the head of the response is not there in time. A stream of events is not cut.
pub async fn time(State(times): State<Times>, request: Request, next: Next) -> Response {
    let is_long = *request.method() == Method::POST
        && (route::pattern(request.extensions()).is_some_and(|p| p == access::UPLOAD || p == access::FETCH)
            || upload::is_form(request.headers()));
    let limit = if is_long { times.files } else { times.usual };
    if let Ok(response) = tokio::time::timeout(limit, next.run(request)).await {
        return response;
    }
    let detail = format!("The request took longer than {} seconds.", limit.as_secs_f32());
    Error::new(Code::Timeout, detail).with_retry_after(OVERLOAD_RETRY).into_response()
}

/// Answers 503 at once when too many requests are in work, rather than letting all of them become slow. Probes and metrics
/// always pass: an overloaded service is alive and wants to be seen.
pub async fn number(State(permits): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let vital = route::pattern(request.extensions()).is_some_and(|p| p.starts_with("/health/") || p == "/metrics");
    if vital {
        return next.run(request).await;
    }
    let Ok(_permit) = permits.try_acquire() else {
        let detail = "The service is at its limit. Nothing was done.";
        return Error::new(Code::Overloaded, detail).with_retry_after(OVERLOAD_RETRY).into_response();
    };
    next.run(request).await
}

/// Turns a panic of a handler into a 500.
pub fn panicked(panic: Box<dyn Any + Send>) -> Response<Body> {
    let text = match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other.downcast::<&str>().map_or_else(|_| "no text".into(), |text| (*text).to_owned()),
    };
    Error::internal(format!("panic: {text}")).into_response()
}
