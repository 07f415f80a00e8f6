//! The binary: configuration, API, use cases, worker, secrets, telemetry.

pub mod queue;
pub mod worker;
pub mod data_dir;
pub mod postgres;
pub mod settings;
pub mod telemetry;
pub mod error;
pub mod http;

pub use error::{Code, Error, Result};
