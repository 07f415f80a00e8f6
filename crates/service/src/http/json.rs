//! The body of a request as JSON.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::explain::explain;
use super::strict::{self, Fault};
use crate::error::{Code, Error};

/// A JSON body. As an extractor it refuses, with a problem that says what to change: another content type, a body that
/// is too large, too slow, not UTF-8, not JSON, nested deeper than 32 levels, with NUL characters, with a key twice, or of
/// another shape than `T`. Give `T` the attribute `#[serde(deny_unknown_fields)]`. As a response it is plain JSON.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// The limits for reading a body, set by the layers as an extension of the request.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The largest body, in bytes.
    pub bytes: usize,
    /// The whole body must have arrived within this time.
    pub time: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { bytes: 1024 * 1024, time: Duration::from_secs(15) }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        check_type(request.headers())?;
        parse(&read_body(request).await?).map(Json)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => (StatusCode::OK, [(CONTENT_TYPE, "application/json")], bytes).into_response(),
            Err(error) => Error::internal(error).into_response(),
        }
    }
}

/// Parses a whole body.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let position = error.valid_up_to();
        Error::new(Code::InvalidBody, format!("The body is not UTF-8: the byte at offset {position} is not valid."))
    })?;
    match strict::check(text) {
        Ok(()) => {}
        Err(Fault::Syntax(message)) => {
            return Err(Error::new(Code::InvalidBody, format!("The body is not valid JSON: {message}.")));
        }
        Err(Fault::Content { pointer, message }) => return Err(invalid(pointer, message)),
    }
    // Without this check, serde would take an array as the fields of a struct in their order.
    if !text.trim_start().starts_with('{') {
        return Err(invalid(String::new(), "must be a JSON object".into()));
    }
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(|error| {
        let field = explain(error.path(), &error.inner().to_string());
        invalid(field.pointer, field.message)
    })
}

fn invalid(pointer: String, message: String) -> Error {
    let place = if pointer.is_empty() { "it" } else { pointer.as_str() };
    let detail = format!("The body is not valid: {place} {message}.").replace("?.", "?");
    Error::new(Code::InvalidBody, detail).with_field(pointer, message)
}

fn check_type(headers: &HeaderMap) -> Result<(), Error> {
    let refuse = |detail: &str| Err(Error::new(Code::UnsupportedMediaType, detail));
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return refuse("The body has no content type: send `Content-Type: application/json`.");
    };
    let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    if parts.next() != Some("application/json") {
        return refuse("The content type is not JSON: send `Content-Type: application/json`.");
    }
    let other_charset =
        parts.any(|part| part.strip_prefix("charset=").is_some_and(|name| name.trim_matches('"') != "utf-8"));
    if other_charset {
        return refuse("JSON is always UTF-8: leave the charset out.");
    }
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => refuse("Compressed bodies are not accepted."),
        _ => Ok(()),
    }
}

/// Reads a whole body within its limits, whatever it is.
pub async fn read_body(request: Request) -> Result<Bytes, Error> {
    let limits = request.extensions().get::<BodyLimits>().copied().unwrap_or_default();
    let body = Limited::new(request.into_body(), limits.bytes).collect();
    match tokio::time::timeout(limits.time, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("The body is larger than {} bytes.", limits.bytes);
            Err(Error::new(Code::PayloadTooLarge, detail))
        }
        Ok(Err(error)) => {
            Err(Error::new(Code::MalformedRequest, "The body ended early or is badly framed.").with_source(error))
        }
        Err(_) => {
            let detail = format!("The body did not arrive within {} seconds.", limits.time.as_secs());
            Err(Error::new(Code::RequestTimeout, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Note {
        text: String,
    }

    fn request(headers: &[(&str, &str)], body: impl Into<Body>) -> Request {
        let mut request = Request::new(body.into());
        for (name, value) in headers {
            request.headers_mut().append(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                http::HeaderValue::from_str(value).unwrap(),
            );
        }
        request
    }

    async fn code_for(headers: &[(&str, &str)], body: &str) -> Code {
        Json::<Note>::from_request(request(headers, body.to_owned()), &()).await.unwrap_err().code
    }

    #[tokio::test]
    async fn json_with_or_without_charset_is_accepted() {
        for content_type in
            ["application/json", "Application/JSON; charset=UTF-8", "application/json; charset=\"utf-8\""]
        {
            let request = request(&[("content-type", content_type)], r#"{"text": "привет"}"#);
            let Json(note) = Json::<Note>::from_request(request, &()).await.unwrap();
            assert_eq!(note, Note { text: "привет".into() });
        }
    }

    #[tokio::test]
    async fn other_content_types_are_415() {
        let body = r#"{"text": ""}"#;
        for content_type in ["text/plain", "application/jsonp", "application/json; charset=koi8-r", ""] {
            assert_eq!(code_for(&[("content-type", content_type)], body).await, Code::UnsupportedMediaType);
        }
        assert_eq!(code_for(&[], body).await, Code::UnsupportedMediaType);
        let compressed = [("content-type", "application/json"), ("content-encoding", "gzip")];
        assert_eq!(code_for(&compressed, body).await, Code::UnsupportedMediaType);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_413_and_one_at_the_limit_passes() {
        let body = r#"{"text": "abc"}"#;
        for (limit, accepted) in [(body.len(), true), (body.len() - 1, false)] {
            let mut request = request(&[("content-type", "application/json")], body);
            request.extensions_mut().insert(BodyLimits { bytes: limit, ..BodyLimits::default() });
            let outcome = Json::<Note>::from_request(request, &()).await;
            assert_eq!(outcome.map_err(|error| error.code).is_ok(), accepted);
        }
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_408() {
        let endless = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let mut request = request(&[("content-type", "application/json")], endless);
        request.extensions_mut().insert(BodyLimits { time: Duration::from_millis(1), ..BodyLimits::default() });
        let outcome = Json::<Note>::from_request(request, &()).await;
        assert_eq!(outcome.unwrap_err().code, Code::RequestTimeout);
    }

    #[test]
    fn bad_utf8_says_where() {
        let error = parse::<Note>(b"{\"text\": \"\xff\"}").unwrap_err();
        assert!(error.detail.contains("offset 10"), "{}", error.detail);
    }

    #[test]
    fn a_wrong_shape_names_the_field_in_detail_and_errors() {
        let error = parse::<Note>(br#"{"test": "a"}"#).unwrap_err();
        assert_eq!(error.code, Code::InvalidBody);
        assert_eq!(error.detail, "The body is not valid: /test unknown field `test`: did you mean `text`?");
        assert_eq!(error.fields[0].pointer, "/test");
        assert_eq!(parse::<Note>(b"[1").unwrap_err().code, Code::InvalidBody);
        assert_eq!(parse::<Note>(br#"["a"]"#).unwrap_err().detail, "The body is not valid: it must be a JSON object.");
        assert_eq!(parse::<Note>(b"").unwrap_err().code, Code::InvalidBody);
        assert_eq!(parse::<Note>(br#"{"text": "a"}{"#).unwrap_err().code, Code::InvalidBody);
    }
}
