//! The binary: configuration, API, use cases, worker, secrets, telemetry.

pub mod auth;
pub mod commands;
pub mod data_dir;
pub mod database;
pub mod error;
pub mod http;
pub mod postgres;
pub mod queue;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod worker;

pub use error::{Code, Error, Result};
