//! The HTTP side of the API, without any endpoint: extractors, layers, and the server itself.
//!
//! - [`json`], [`query`], [`path`], [`idempotency`]: extractors that answer bad input with a problem that says what to change
//!   ([`explain`]);
//! - [`page`]: cursor pagination;
//! - [`csv`]: lists as CSV;
//! - [`upload`], [`download`]: bodies that are files, as streams; [`form`]: bodies with files among their parts;
//! - [`layers`]: everything around a route: [`observe`], [`limits`], and the guard of [`crate::auth`];
//! - [`trace`], [`client`], [`route`]: what is known of a request: its trace, its origin, its pattern;
//! - [`server`]: connections, and an orderly end.

pub mod client;
pub mod csv;
pub mod download;
pub mod explain;
pub mod form;
pub mod idempotency;
pub mod json;
pub mod layers;
pub mod limits;
mod malformed;
pub mod observe;
pub mod page;
pub mod path;
pub mod query;
pub mod route;
pub mod server;
mod strict;
pub mod trace;
pub mod upload;

pub use client::{Client, Network};
pub use idempotency::IdempotencyKey;
pub use json::{BodyLimits, Json};
pub use layers::{HttpOptions, layers};
pub use observe::RequestId;
pub use page::{Cursor, Limit, Page};
pub use path::Path;
pub use query::Query;
pub use server::{ServerOptions, serve};
pub use trace::TraceContext;
