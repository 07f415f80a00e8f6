//! The Redis that processes share, where one is configured. Whatever asks it goes on without an answer: it is asked within a bounded time,
//! and left alone while it does not answer.

use std::{sync::Arc, time::Duration};

use redis::{
    Client, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use secrecy::ExposeSecret as _;

use crate::{
    circuit::{Circuit, Rule, State},
    settings::RedisSettings,
};

/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_millis(100);
/// Left alone soon, so that requests do not wait for it one after the other, and tried again soon.
const RULE: Rule = Rule { failures: 2, first: Duration::from_millis(500), cap: Duration::from_secs(2), unproven: None };

/// See the module.
pub struct RedisServer {
    connection: ConnectionManager,
    circuit: Arc<Circuit>,
    prefix: String,
}

impl RedisServer {
    /// Prepares a connection, which the first question makes; `None` where no Redis is configured.
    ///
    /// # Errors
    /// A text for the operator: the address cannot be one of Redis.
    pub fn configured(settings: &RedisSettings) -> Result<Option<Arc<Self>>, String> {
        let Some(url) = &settings.url else { return Ok(None) };
        let connect = || {
            let client = Client::open(url.expose_secret())?;
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(Duration::from_secs(2)))
                .set_response_timeout(Some(PATIENCE))
                .set_number_of_retries(1);
            ConnectionManager::new_lazy_with_config(client, config)
        };
        let connection = connect()
            .map_err(|error: RedisError| format!("the setting redis.url does not lead to a Redis: {error}"))?;
        let circuit = Circuit::upstream("redis", RULE);
        Ok(Some(Arc::new(Self { connection, circuit, prefix: settings.prefix.clone() })))
    }

    /// The name of a key.
    pub fn key(&self, rest: &str) -> String {
        format!("{}:{rest}", self.prefix)
    }

    /// Asks a question; `None` when there is no answer.
    pub async fn ask<T>(&self, question: impl AsyncFnOnce(ConnectionManager) -> Result<T, RedisError>) -> Option<T> {
        let answer = tokio::time::timeout(PATIENCE, question(self.connection.clone()));
        match self.circuit.call(answer, |answer| matches!(answer, Ok(Ok(_)))).await {
            Ok(Ok(Ok(answer))) => Some(answer),
            Ok(Ok(Err(error))) => {
                tracing::debug!(%error, "Redis did not answer");
                None
            }
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Whether it is left alone because it did not answer.
    pub fn is_away(&self) -> bool {
        self.circuit.state() != State::Closed
    }

    /// Whether it answers now.
    pub async fn answers(&self) -> bool {
        let mut connection = self.connection.clone();
        let ping = redis::cmd("PING");
        tokio::time::timeout(PATIENCE, ping.exec_async(&mut connection)).await.is_ok_and(|answer| answer.is_ok())
    }
}
