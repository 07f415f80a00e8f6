//! The shared SQL. Every module is named after the table it serves; the platforms' own tables are theirs.
//!
//! - [`db`]: the pool and the migrations;
//! - [`group`]: grouped commits;
//! - [`messages`], [`delivery`], [`leases`]: what is sent, how it is claimed and finished, and by whom; [`changes`]: what is done with
//!   it afterwards;
//! - [`chats`]: where messages go;
//! - [`tasks`]: background work; [`retention`]: what is removed after a while;
//! - [`workers`], [`queues`]: what operators see; [`waits`]: what a message would wait for;
//! - [`events`], [`logs`], [`audit`]: what happened; [`stats`]: how often and how fast;
//! - [`files`]: what is sent besides text;
//! - [`sealing`]: what seals credentials, and sealing them anew;
//! - [`users`], [`idempotency`], [`senders`]: what requests need; [`generations`]: whether what they read has changed.

pub mod audit;
pub mod broadcasts;
pub mod changes;
pub mod chats;
pub mod db;
pub mod delivery;
pub mod events;
pub mod files;
pub mod generations;
pub mod group;
pub mod idempotency;
pub mod leases;
pub mod logs;
pub mod messages;
pub mod questions;
pub mod queues;
pub mod retention;
pub mod sealing;
pub mod senders;
pub mod stats;
pub mod tasks;
pub mod users;
pub mod waits;
pub mod workers;

pub use db::{connect, migrate};
pub use sqlx::PgPool;
use uuid::Uuid;

/// A part of a list, newest first.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// How many rows at most.
    pub rows: i64,
    /// Only rows with a smaller id.
    pub before: Option<Uuid>,
}
