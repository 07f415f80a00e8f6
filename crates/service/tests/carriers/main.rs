//! What processes tell each other and count together, through the database, RabbitMQ and Redis, also while one of these is away.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

#[path = "../common/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the journeys use more of it")]
mod common;

mod broker;
mod limits;
mod reads;
mod suite;
