//! Reading a request: `/bot<token>/<method>`, and parameters from query string and body in every form that the Bot
//! API takes.

use std::collections::HashMap;
use std::str::FromStr;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::reply::ApiError;
use crate::world::UserId;

/// Largest body that is read (bytes).
const MAX_BODY: usize = 20 * 1024 * 1024;

/// A request that was read completely.
#[derive(Debug)]
pub struct Call {
    /// The token as given; not checked yet.
    pub token: String,
    /// Method name in lower case.
    pub method: String,
    /// Parameters.
    pub params: Params,
}

/// Parameters by name. As in the real server, values are text; structured ones are the text of their JSON.
#[derive(Debug, Default)]
pub struct Params(HashMap<String, String>);

impl Params {
    /// The value, or an empty string.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A number, if one was given.
    pub fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.get(name).trim().parse().ok()
    }

    /// A switch: `true`, `yes` or `1` in any case.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.get(name).trim().to_lowercase().as_str(), "true" | "yes" | "1")
    }

    /// Structured value. `None` if it was not given, an error that names `what` if it is not JSON.
    pub fn json(&self, name: &str, what: &str) -> Result<Option<Value>, ApiError> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(None);
        }
        let unparsable = |_| ApiError::bad_request(format_args!("can't parse {what} JSON object"));
        serde_json::from_str(text).map(Some).map_err(unparsable)
    }

    fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }
}

impl FromIterator<(String, String)> for Params {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// Splits `/bot<token>/<method>`.
pub fn split_path(path: &str) -> Option<(String, String)> {
    let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    let (token, method) = path.strip_prefix("/bot")?.split_once('/')?;
    Some((token.to_owned(), method.trim_end_matches('/').to_lowercase()))
}

/// The bot's id in a well-formed token: `<digits>:<35 characters>`.
pub fn token_bot_id(token: &str) -> Option<UserId> {
    let (id, secret) = token.split_once(':')?;
    let valid_secret =
        secret.len() == 35 && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let valid_id = !id.starts_with('0') && id.bytes().all(|b| b.is_ascii_digit());
    if valid_secret && valid_id { id.parse().ok().filter(|id| (1..1 << 52).contains(id)) } else { None }
}

/// Reads the parameters of a request.
pub async fn read_params(request: Request<Incoming>) -> Result<Params, ApiError> {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let mut params: Params = form_urlencoded::parse(query).into_owned().collect();
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body.map_err(|_| ApiError::new(413, "Request Entity Too Large"))?.to_bytes();
    if body.is_empty() {
        return Ok(params);
    }
    let content_type = content_type(&parts);
    if content_type.starts_with("application/json") {
        read_json(&mut params, &body)?;
    } else if content_type.starts_with("multipart/form-data") {
        read_multipart(&mut params, &content_type, body).await?;
    } else if content_type.starts_with("application/x-www-form-urlencoded") {
        for (name, value) in form_urlencoded::parse(&body) {
            params.insert(name, value);
        }
    }
    Ok(params)
}

fn content_type(parts: &Parts) -> String {
    let value = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn read_json(params: &mut Params, body: &[u8]) -> Result<(), ApiError> {
    if std::str::from_utf8(body).is_err() {
        return Err(ApiError::bad_request("strings must be encoded in UTF-8"));
    }
    let value: Value = serde_json::from_slice(body).map_err(|_| ApiError::bad_request("can't parse JSON object"))?;
    let Value::Object(fields) = value else {
        return Err(ApiError::bad_request("JSON object expected"));
    };
    for (name, value) in fields {
        match value {
            Value::Null => {}
            Value::String(text) => params.insert(name, text),
            other => params.insert(name, other.to_string()),
        }
    }
    Ok(())
}

/// Files are read over: no method here takes one.
async fn read_multipart(params: &mut Params, content_type: &str, body: Bytes) -> Result<(), ApiError> {
    let broken = |_| ApiError::bad_request("can't parse multipart form data");
    let boundary = multer::parse_boundary(content_type).map_err(broken)?;
    let stream = futures::stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
    let mut parts = multer::Multipart::new(stream, boundary);
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let name = part.name().map(str::to_owned);
        if let (Some(name), None) = (name, part.file_name()) {
            let value = part.bytes().await.map_err(broken)?;
            let text = String::from_utf8(value.into());
            params.insert(name, text.map_err(|_| ApiError::bad_request("strings must be encoded in UTF-8"))?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_token_and_method() {
        let expected = Some(("1:ab".to_owned(), "getme".to_owned()));
        assert_eq!(split_path("/bot1:ab/getMe"), expected);
        assert_eq!(split_path("/bot1%3Aab/GETME/"), expected);
        assert_eq!(split_path("/1:ab/getMe"), None);
        assert_eq!(split_path("/bot1:ab"), None);
    }

    #[test]
    fn knows_a_well_formed_token() {
        let secret = "AAFabcdefghijklmnopqrstuvwxyz_-01234";
        assert_eq!(secret.len(), 36);
        assert_eq!(token_bot_id(&format!("123:{}", &secret[..35])), Some(123));
        let malformed = [format!("123:{secret}"), format!("0123:{}", &secret[..35]), "123".to_owned(), ":".to_owned()];
        for token in malformed {
            assert_eq!(token_bot_id(&token), None, "{token}");
        }
    }

    #[test]
    fn json_values_become_text() {
        let mut params = Params::default();
        read_json(&mut params, br#"{"a":"x","b":[1],"c":true,"d":null,"e":-5}"#).unwrap();
        assert_eq!((params.get("a"), params.get("b"), params.get("d")), ("x", "[1]", ""));
        assert!(params.flag("c"));
        assert_eq!(params.number::<i64>("e"), Some(-5));
        assert!(read_json(&mut params, b"[1]").is_err());
    }
}
