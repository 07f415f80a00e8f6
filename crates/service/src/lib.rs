//! The binary: configuration, API, use cases, worker, secrets, telemetry.

pub mod settings;
