//! The parameters in the path of a request.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::explain::explain_message;
use crate::error::Error;

/// Path parameters, for example `Path<Uuid>` or `Path<(Uuid, u32)>`.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let names = check(parts, state).await?;
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(refuse(rejection, &names)),
        }
    }
}

/// Refuses bad UTF-8 and NUL characters; returns the names of the parameters in their order.
async fn check<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<Vec<String>, Error> {
    let params = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Error::invalid_parameter("path", "is not UTF-8 after percent-decoding"))?;
    let mut names = Vec::new();
    for (name, value) in &params {
        if value.contains('\0') {
            return Err(Error::invalid_parameter(name, "contains a NUL character: remove it"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn refuse(rejection: PathRejection, names: &[String]) -> Error {
    let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
        return Error::internal(rejection);
    };
    let name_at = |index: usize| names.get(index).cloned().unwrap_or_else(|| "path".into());
    match failed.into_kind() {
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => invalid(&key, expected_type),
        ErrorKind::ParseErrorAtIndex { index, expected_type, .. } => invalid(&name_at(index), expected_type),
        ErrorKind::ParseError { expected_type, .. } => invalid(&name_at(0), expected_type),
        ErrorKind::DeserializeError { key, message, .. } => Error::invalid_parameter(key, explain_message(&message)),
        ErrorKind::Message(message) => Error::invalid_parameter(name_at(0), explain_message(&message)),
        ErrorKind::InvalidUtf8InPathParam { key } => {
            Error::invalid_parameter(key, "is not UTF-8 after percent-decoding")
        }
        // The number and types of the parameters are fixed by the code of the route.
        other => Error::internal(other.to_string()),
    }
}

fn invalid(name: &str, expected_type: &str) -> Error {
    Error::invalid_parameter(name, explain_message(&format!("invalid value, expected {expected_type}")))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::Request;
    use tower::ServiceExt as _;
    use uuid::Uuid;

    use super::*;

    async fn answer(path: &str) -> (u16, String) {
        let router =
            Router::new().route("/bots/{id}", get(|Path(id): Path<Uuid>| async move { id.to_string() })).route(
                "/items/{n}/of/{name}",
                get(|Path((n, name)): Path<(u8, String)>| async move { format!("{n}{name}") }),
            );
        let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn good_parameters_arrive() {
        let id = "0198c5e0-7c1a-7b6e-9c7f-2f1d3c4b5a69";
        assert_eq!(answer(&format!("/bots/{id}")).await, (200, id.into()));
        assert_eq!(answer("/items/7/of/%D1%8F").await, (200, "7я".into()));
    }

    #[tokio::test]
    async fn bad_parameters_are_400_and_named() {
        for (path, name, message) in [
            ("/bots/x", "id", "must be a UUID"),
            ("/bots/%00", "id", "NUL"),
            ("/bots/%FF", "path", "UTF-8"),
            ("/bots/%zz", "id", "must be a UUID"),
            ("/items/300/of/a", "n", "must be an integer from 0 to 255"),
            ("/items/1/of/a%00", "name", "NUL"),
        ] {
            let (status, body) = answer(path).await;
            assert_eq!(status, 400, "{path}: {body}");
            assert!(body.contains(&format!("\"pointer\":\"{name}\"")), "{path}: {body}");
            assert!(body.contains(message), "{path}: {body}");
        }
    }
}
