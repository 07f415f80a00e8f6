//! The caller of a request, for the use cases.

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::{
    Error,
    auth::Identity,
    http::{Client, RequestId, TraceContext},
    usecases::Caller,
};

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let identity = Identity::from_request_parts(parts, state).await?;
        let extensions = &parts.extensions;
        Ok(Self {
            identity,
            request_id: extensions.get::<RequestId>().map(|id| id.0.to_string()),
            traceparent: extensions.get::<TraceContext>().map(TraceContext::traceparent),
            address: extensions.get::<Client>().and_then(|client| client.address).map(|address| address.to_string()),
        })
    }
}
