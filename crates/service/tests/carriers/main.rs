//! Hints between processes: what every carrier does, and what happens while RabbitMQ is away.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

#[path = "../common/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the journeys use more of it")]
mod common;

mod broker;
mod suite;
