//! The middleware: answers a read from the cache, or keeps what the handler answered. It stands behind the guard, so that whoever may not
//! read never comes here.

use std::sync::Arc;

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE};

use super::{HotReads, Key};
use crate::{Error, auth::Identity, http::route};

/// What the triggers of `user_changes` look after. A channel with its senders is not among them: it also shows waits of its senders, which
/// end by themselves.
const READS: [&str; 5] = [
    "/api/integrations/telegram/accounts",
    "/api/integrations/telegram/accounts/{id}",
    "/api/integrations/telegram/bots",
    "/api/integrations/telegram/bots/{id}",
    "/api/integrations/telegram/channels",
];
/// Longer addresses are not worth it.
const LONGEST_TARGET: usize = 500;
/// Larger answers would push out many others.
const LARGEST: u64 = 512 * 1024;

/// See the module.
pub async fn answer(State(reads): State<Option<Arc<HotReads>>>, request: Request, next: Next) -> Response {
    let Some((reads, key)) = reads.and_then(|reads| Some((reads, key(&request)?))) else {
        return next.run(request).await;
    };
    // Before anything else is read: what changes from here on has another generation.
    let Some(generation) = reads.generation(key.user_id).await else { return next.run(request).await };
    if let Some(answer) = reads.find(&key, generation).await {
        return json(answer);
    }
    let response = next.run(request).await;
    let is_small = response.body().size_hint().exact().is_some_and(|size| size <= LARGEST);
    if response.status() != StatusCode::OK || !is_small {
        return response;
    }
    let (parts, body) = response.into_parts();
    // It is in memory already, and its size is known.
    let answer = match to_bytes(body, usize::MAX).await {
        Ok(answer) => answer,
        Err(error) => return Error::internal(error).into_response(),
    };
    reads.keep(&key, generation, &answer).await;
    Response::from_parts(parts, Body::from(answer))
}

/// The key of a read that may be kept. Administrators see the rows of everybody, whose generations are not looked at.
fn key(request: &Request) -> Option<Key> {
    let pattern = route::pattern(request.extensions())?;
    let identity = request.extensions().get::<Identity>()?;
    let target = request.uri().path_and_query()?.as_str();
    if request.method() != Method::GET || !READS.contains(&pattern) || target.len() > LONGEST_TARGET {
        return None;
    }
    Some(Key { user_id: identity.owner()?, scopes: identity.scopes, target: target.to_owned() })
}

fn json(answer: Bytes) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], answer).into_response()
}
