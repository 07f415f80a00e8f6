//! The binary: configuration, API, use cases, worker, secrets, telemetry.

pub mod api;
pub mod app;
pub mod auth;
pub mod broadcasts;
pub mod cache;
pub mod circuit;
pub mod commands;
pub mod data_dir;
pub mod database;
pub mod egress;
pub mod error;
pub mod events;
pub mod files;
pub mod health;
pub mod http;
pub mod logins;
pub mod metrics;
pub mod platforms;
pub mod postgres;
pub mod questions;
pub mod queue;
pub mod redis_server;
pub mod secrets;
pub mod server;
pub mod settings;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod usecases;
pub mod worker;

pub use error::{Code, Error, Result};
