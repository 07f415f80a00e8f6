//! The header `Idempotency-Key`.

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::error::Error;

/// The header's name.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The longest key, in characters.
const MAX_LENGTH: usize = 255;

/// The key of a request that may be repeated, if the caller gave one: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let (value, another) = (values.next(), values.next());
        if another.is_some() {
            return Err(Error::invalid_parameter(IDEMPOTENCY_KEY, "is given twice"));
        }
        let Some(value) = value else { return Ok(Self(None)) };
        let bytes = value.as_bytes();
        if bytes.is_empty() || bytes.len() > MAX_LENGTH || !bytes.iter().all(u8::is_ascii_graphic) {
            let message = "must be 1 to 255 visible ASCII characters without spaces, for example a UUID";
            return Err(Error::invalid_parameter(IDEMPOTENCY_KEY, message));
        }
        Ok(Self(Some(String::from_utf8_lossy(bytes).into_owned())))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    async fn key(values: &[&[u8]]) -> Result<Option<String>, Error> {
        let mut request = Request::new(());
        for value in values {
            request.headers_mut().append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).unwrap());
        }
        let (mut parts, ()) = request.into_parts();
        IdempotencyKey::from_request_parts(&mut parts, &()).await.map(|key| key.0)
    }

    #[tokio::test]
    async fn the_key_is_optional_and_checked() {
        assert_eq!(key(&[]).await.unwrap(), None);
        assert_eq!(key(&[b"order-17"]).await.unwrap(), Some("order-17".into()));
        assert!(key(&[&[b'a'; 255]]).await.is_ok());
        for bad in [&b""[..], b"a b", "ключ".as_bytes(), &[b'a'; 256]] {
            assert!(key(&[bad]).await.is_err());
        }
        assert!(key(&[b"a", b"b"]).await.is_err());
    }
}
