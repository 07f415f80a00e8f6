//! Rendering of an [`Error`] as `application/problem+json` (RFC 9457).
//!
//! A handler returns the error; [`finish`], called by the outermost layer, adds what only that layer knows (the path and
//! the request id) and writes the internal cause to the log.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::{Error, FieldError};

/// The media type of every error body.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The challenge of a 401 that says nothing about the token.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"integrations\"");

/// The body of an error.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

/// The error behind a response, kept in the extensions of the response for the outermost layer.
#[derive(Clone)]
struct Failure(Arc<Error>);

/// The body for an error. `instance` is the path of the request.
pub fn body(error: &Error, instance: Option<&str>, request_id: Option<&str>) -> String {
    let problem = Problem {
        r#type: error.code.type_uri(),
        title: error.code.title(),
        status: error.code.status_number(),
        detail: &error.detail,
        instance,
        code: error.code.name(),
        request_id,
        errors: &error.fields,
    };
    serde_json::to_string(&problem).expect("a struct of strings and numbers always serialises")
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(body(&self, None, None)));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if self.code.status() == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds_rounded_up(wait).into());
        }
        response.extensions_mut().insert(Failure(Arc::new(self)));
        response
    }
}

/// Adds path and request id to the body of a response that came from an [`Error`], and logs its cause.
/// Other responses pass unchanged.
pub fn finish(mut response: Response, instance: &str, request_id: &str) -> Response {
    let Some(Failure(error)) = response.extensions_mut().remove::<Failure>() else { return response };
    if let Some(cause) = error.cause() {
        if error.code.status().is_server_error() {
            tracing::error!(request_id, code = error.code.name(), cause, "request failed");
        } else {
            tracing::debug!(request_id, code = error.code.name(), cause, "request refused");
        }
    }
    let text = body(&error, Some(instance), Some(request_id));
    response.headers_mut().remove(CONTENT_LENGTH);
    *response.body_mut() = Body::from(text);
    response
}

/// Whole seconds, at least one: a wait that is never too short.
pub fn seconds_rounded_up(wait: Duration) -> u64 {
    let extra = u64::from(wait.subsec_nanos() > 0);
    (wait.as_secs() + extra).max(1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::error::Code;

    async fn json_of(response: Response) -> Value {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn a_problem_names_code_fields_path_and_request_but_not_the_cause() {
        let error = Error::invalid_field("/text", "is required").with_source("the internal cause");
        let response = finish(error.into_response(), "/api/x", "req-1");
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
        let expected = json!({
            "type": "/docs/errors#invalid_body",
            "title": "Invalid body",
            "status": 400,
            "detail": "The body is not valid.",
            "instance": "/api/x",
            "code": "invalid_body",
            "request_id": "req-1",
            "errors": [{"pointer": "/text", "message": "is required"}],
        });
        assert_eq!(json_of(response).await, expected);
    }

    #[tokio::test]
    async fn a_wait_is_rounded_up_and_a_401_challenges() {
        let error = Error::new(Code::Unauthorized, "No token.").with_retry_after(Duration::from_millis(1200));
        let response = error.into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer realm=\"integrations\"");
        assert_eq!(seconds_rounded_up(Duration::ZERO), 1);
    }

    #[tokio::test]
    async fn a_response_that_is_no_error_passes_unchanged() {
        let response = finish("fine".into_response(), "/", "r");
        let bytes = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(bytes, "fine");
    }
}
