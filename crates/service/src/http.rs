//! The HTTP side of the API, without any endpoint: extractors, layers, and the server itself.
//!
//! - [`json`], [`query`], [`path`], [`idempotency`]: extractors that answer bad input with a problem that says what to change;
//! - [`page`]: cursor pagination;
//! - [`route`]: the pattern that a request matched.

pub mod explain;
pub mod idempotency;
pub mod json;
pub mod page;
pub mod path;
pub mod query;
pub mod route;
mod strict;

pub use idempotency::IdempotencyKey;
pub use json::Json;
pub use page::{Cursor, Limit, Page};
pub use path::Path;
pub use query::Query;
