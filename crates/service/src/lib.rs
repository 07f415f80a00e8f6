//! The binary: configuration, API, use cases, worker, secrets, telemetry.

pub mod auth;
pub mod commands;
pub mod data_dir;
pub mod api;
pub mod app;
pub mod database;
pub mod events;
pub mod health;
pub mod platforms;
pub mod usecases;
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
pub mod database;
pub mod postgres;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod auth;
pub mod error;
pub mod http;
pub mod metrics;

pub use error::{Code, Error, Result};
