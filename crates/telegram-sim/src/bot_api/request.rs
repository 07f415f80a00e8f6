//! Reading a request: `/bot<token>/<method>`, and parameters from query string and body in every form that the Bot
//! API takes.

use std::collections::HashMap;
use std::future::ready;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use http::request::Parts;
use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Map, Value};

use super::reply::ApiError;
use crate::world::{Content, Receiver, UserId};

/// Largest body without files (bytes).
const MAX_BODY: usize = 20 << 20;
/// Largest body with files (bytes).
const MAX_UPLOAD: usize = 50 << 20;
/// Largest field of a form that is not a file (bytes).
const MAX_FIELD: usize = 1 << 20;

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

/// Parameters by name. As in the real server, values are text; structured ones are the text of their JSON. Files are
/// apart.
#[derive(Debug, Default)]
pub struct Params {
    values: HashMap<String, String>,
    files: HashMap<String, Uploaded>,
}

/// A file that came with a request.
#[derive(Debug, Clone)]
pub struct Uploaded {
    /// Its name.
    pub name: String,
    /// The type that the client gave it.
    pub mime_type: Option<String>,
    /// What is in it.
    pub content: Content,
}

impl Params {
    /// The value, or an empty string.
    pub fn get(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
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

    /// Whether a value was given.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A file that came with the request.
    pub fn file(&self, name: &str) -> Option<&Uploaded> {
        self.files.get(name)
    }

    /// The fields of a JSON object.
    pub fn from_object(fields: &Map<String, Value>) -> Self {
        let mut params = Self::default();
        for (name, value) in fields {
            match value {
                Value::Null => {}
                Value::String(text) => params.insert(name, text),
                other => params.insert(name, other.to_string()),
            }
        }
        params
    }

    fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.insert(name.into(), value.into());
    }
}

impl FromIterator<(String, String)> for Params {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self { values: pairs.into_iter().collect(), files: HashMap::new() }
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

/// Splits `/file/bot<token>/<path>`.
pub fn split_file_path(path: &str) -> Option<(String, String)> {
    let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    let (token, file) = path.strip_prefix("/file/bot")?.split_once('/')?;
    Some((token.to_owned(), file.to_owned()))
}

/// Reads the parameters of a request; files of at most `keep` bytes keep their bytes.
pub async fn read_params(request: Request<Incoming>, keep: usize) -> Result<Params, ApiError> {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let mut params: Params = form_urlencoded::parse(query).into_owned().collect();
    let content_type = content_type(&parts);
    if content_type.starts_with("multipart/form-data") {
        read_multipart(&mut params, &content_type, body, keep).await?;
        return Ok(params);
    }
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body.map_err(|_| too_large())?.to_bytes();
    if body.is_empty() {
        return Ok(params);
    }
    if content_type.starts_with("application/json") {
        read_json(&mut params, &body)?;
    } else if content_type.starts_with("application/x-www-form-urlencoded") {
        for (name, value) in form_urlencoded::parse(&body) {
            params.insert(name, value);
        }
    }
    Ok(params)
}

fn too_large() -> ApiError {
    ApiError::new(413, "Request Entity Too Large")
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
    params.values.extend(Params::from_object(&fields).values);
    Ok(())
}

/// Reads a form as it comes in; what is beyond the limit is read over, so that the client hears why.
async fn read_multipart(params: &mut Params, content_type: &str, body: Incoming, keep: usize) -> Result<(), ApiError> {
    let total = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&total);
    let stream = body.into_data_stream().filter(move |chunk| {
        let length = chunk.as_ref().map_or(0, bytes::Bytes::len);
        ready(counted.fetch_add(length, Ordering::Relaxed) + length <= MAX_UPLOAD)
    });
    let broken = |_| {
        let too_much = total.load(Ordering::Relaxed) > MAX_UPLOAD;
        if too_much { too_large() } else { ApiError::bad_request("can't parse multipart form data") }
    };
    let boundary = multer::parse_boundary(content_type).map_err(broken)?;
    let mut form = multer::Multipart::new(stream, boundary);
    while let Some(part) = form.next_field().await.map_err(broken)? {
        let Some(name) = part.name().map(str::to_owned) else { continue };
        if let Some(file_name) = part.file_name().map(str::to_owned) {
            let file = read_file(part, file_name, keep).await.map_err(broken)?;
            params.files.insert(name, file);
        } else {
            let value = read_field(part).await.map_err(broken)?.ok_or_else(too_large)?;
            let text = String::from_utf8(value);
            params.insert(name, text.map_err(|_| ApiError::bad_request("strings must be encoded in UTF-8"))?);
        }
    }
    Ok(())
}

async fn read_file(mut part: multer::Field<'_>, name: String, keep: usize) -> multer::Result<Uploaded> {
    let mime_type = part.content_type().map(|mime| mime.essence_str().to_owned());
    let mut receiver = Receiver::new(keep);
    while let Some(chunk) = part.chunk().await? {
        receiver.push(&chunk);
    }
    Ok(Uploaded { name, mime_type, content: receiver.finish() })
}

/// `None` if it is too long.
async fn read_field(mut part: multer::Field<'_>) -> multer::Result<Option<Vec<u8>>> {
    let mut value = Vec::new();
    while let Some(chunk) = part.chunk().await? {
        value.extend_from_slice(&chunk);
        if value.len() > MAX_FIELD {
            return Ok(None);
        }
    }
    Ok(Some(value))
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
