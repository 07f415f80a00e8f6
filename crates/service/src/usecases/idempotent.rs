//! A request with an `Idempotency-Key` runs once; repeated, it meets the first one's answer.

use std::{future::Future, time::Duration};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::idempotency::{self, KeyState};

use super::Caller;
use crate::{Code, Error, Result, app::App};

/// A claim that its process could not finish is open again so long after the time of a request: by then, nothing of it is under way.
const MARGIN: Duration = Duration::from_secs(5);

/// The hash that tells whether a repeated request is the same one.
pub fn body_hash(route: &str, body: &impl Serialize) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(route.as_bytes());
    hash.update([0]);
    // Serialising plain data to memory cannot fail; an empty body hashes like itself.
    hash.update(serde_json::to_vec(body).unwrap_or_default());
    hash.finalize().to_vec()
}

/// Runs a request of several steps under its key; without a key, just runs it. `run` answers with an HTTP status and a JSON body.
/// A failure is not kept: the caller may try again with the same key.
pub async fn idempotent<F>(app: &App, caller: &Caller, key: Option<&str>, hash: &[u8], run: F) -> Result<(u16, Value)>
where
    F: Future<Output = Result<(u16, Value)>>,
{
    let Some(key) = key else { return run.await };
    let user_id = caller.identity.user_id;
    let lock = (app.request_time + MARGIN).as_secs_f64();
    match idempotency::begin(&app.pool, user_id, key, hash, lock).await? {
        KeyState::Begun => {}
        state => return replay(state),
    }
    match run.await {
        Ok((status, body)) => {
            idempotency::finish(&app.pool, user_id, key, None, status, &body).await?;
            Ok((status, body))
        }
        Err(error) => {
            if let Err(lost) = idempotency::abandon(&app.pool, user_id, key).await {
                tracing::warn!(error = %lost, "a key stays claimed until the time of its request is over");
            }
            Err(error)
        }
    }
}

/// The answer for a key that was used before.
pub fn replay(state: KeyState) -> Result<(u16, Value)> {
    match state {
        KeyState::Done { status, response } => Ok((status, response)),
        KeyState::OtherBody => Err(Error::new(
            Code::IdempotencyKeyReused,
            "This `Idempotency-Key` was used with another request. Use a new key for a new request.",
        )),
        KeyState::Begun | KeyState::InProgress => Err(Error::new(
            Code::IdempotencyInProgress,
            "A request with this `Idempotency-Key` is being processed. Repeat it a little later.",
        )
        .with_retry_after(Duration::from_secs(1))),
    }
}
