//! The binary: configuration, API, use cases, worker, secrets, telemetry.

pub mod data_dir;
pub mod postgres;
pub mod settings;
pub mod telemetry;
