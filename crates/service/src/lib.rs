//! The binary: configuration, API, use cases, worker, secrets, telemetry.

pub mod commands;
pub mod data_dir;
pub mod database;
pub mod postgres;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
