//! The binary: configuration, API, use cases, worker, secrets, telemetry.

pub mod auth;
pub mod error;
pub mod http;

pub use error::{Code, Error, Result};
