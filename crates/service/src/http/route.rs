//! The pattern of the route that a request matched, such as `/api/integrations/messages/{id}`.

use std::sync::Arc;

use axum::extract::MatchedPath;
use http::Extensions;

/// The path that the whole service is mounted under, without a slash at the end; kept in the extensions of a request.
#[derive(Clone, Debug)]
pub struct BasePath(pub Arc<str>);

/// The pattern without the base path; `None` when no route matches.
pub fn pattern(extensions: &Extensions) -> Option<&str> {
    let matched = extensions.get::<MatchedPath>()?.as_str();
    let base = extensions.get::<BasePath>().map_or("", |base| &base.0);
    Some(matched.strip_prefix(base).unwrap_or(matched))
}
