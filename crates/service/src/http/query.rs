//! The query string of a request.

use std::collections::HashSet;

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::explain::explain;
use crate::error::Error;

/// Query parameters. Refuses bad percent-encoding, text that is not UTF-8, NUL characters, a parameter given twice, and
/// everything that `T` refuses. Give `T` the attribute `#[serde(deny_unknown_fields)]`, and don't flatten in it.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parse(parts.uri.query().unwrap_or_default()).map(Query)
    }
}

/// Parses a query string, without its question mark.
pub fn parse<T: DeserializeOwned>(query: &str) -> Result<T, Error> {
    check(query)?;
    let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let field = explain(error.path(), &error.inner().to_string());
        let name = field.pointer.trim_start_matches('/').to_owned();
        invalid(&name, &field.message.replace("unknown field", "unknown parameter"))
    })
}

/// The parser is lenient: it keeps bad escapes and replaces bad UTF-8. Both are refused here.
fn check(query: &str) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).map_err(|message| invalid("", &format!("a parameter's name {message}")))?;
        decode(value).map_err(|message| invalid(&name, message))?;
        if !seen.insert(name.clone()) {
            return Err(invalid(&name, "is given twice"));
        }
    }
    Ok(())
}

fn decode(text: &str) -> Result<String, &'static str> {
    let valid_escape = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(valid_escape) {
        return Err("has bad percent-encoding: write a percent sign as %25");
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "is not UTF-8 after percent-decoding")?;
    if decoded.contains('\0') {
        return Err("contains a NUL character: remove it");
    }
    Ok(decoded.replace('+', " "))
}

fn invalid(name: &str, message: &str) -> Error {
    let mut error = Error::invalid_parameter(name, message);
    error.detail = match name {
        "" => format!("The query string is not valid: {message}."),
        name => format!("The query parameter `{name}` is not valid: {message}.").replace("?.", "?"),
    };
    error
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::error::Code;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        status: Option<String>,
        limit: Option<u8>,
        active: Option<bool>,
    }

    fn fault(query: &str) -> (String, String) {
        let error = parse::<Filter>(query).unwrap_err();
        assert_eq!(error.code, Code::InvalidParameter);
        (error.fields[0].pointer.clone(), error.fields[0].message.clone())
    }

    #[test]
    fn values_are_decoded() {
        let filter = parse::<Filter>("status=%D1%8F+a&limit=7&active=true").unwrap();
        assert_eq!(filter, Filter { status: Some("я a".into()), limit: Some(7), active: Some(true) });
        assert_eq!(parse::<Filter>("").unwrap(), Filter::default());
    }

    #[test]
    fn an_unknown_parameter_is_named_with_the_nearest() {
        assert_eq!(fault("limmit=1"), ("limmit".into(), "unknown parameter `limmit`: did you mean `limit`?".into()));
    }

    #[test]
    fn values_of_another_type_say_what_is_expected() {
        assert_eq!(fault("limit=x"), ("limit".into(), "must be an integer".into()));
        assert_eq!(fault("limit=300").1, "is an integer out of range");
        assert_eq!(fault("limit=-1").1, "must be an integer");
        assert_eq!(fault("limit=").1, "must be an integer");
        assert_eq!(fault("active=yes").1, "must be true or false");
    }

    #[test]
    fn broken_text_is_refused() {
        for query in ["status=%", "status=%z1", "status=%0", "status=100%"] {
            assert!(fault(query).1.contains("percent-encoding"), "{query}");
        }
        assert!(fault("status=%FF").1.contains("UTF-8"));
        assert!(fault("status=a%00b").1.contains("NUL"));
        assert!(fault("%FF=1").1.contains("UTF-8"));
        assert_eq!(fault("status=a&status=b"), ("status".into(), "is given twice".into()));
    }
}
