//! The caller of a request, for the use cases.

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::{
    Error,
    auth::Identity,
    http::{ClientAddress, RequestId, TraceContext},
    usecases::Caller,
};

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let identity = Identity::from_request_parts(parts, state).await?;
        let extensions = &parts.extensions;
        Ok(Self {
            identity,
            request_id: extensions.get::<RequestId>().map(ToString::to_string),
            traceparent: extensions.get::<TraceContext>().map(ToString::to_string),
            address: extensions.get::<ClientAddress>().map(ToString::to_string),
        })
    }
}
