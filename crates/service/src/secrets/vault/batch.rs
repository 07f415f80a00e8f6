//! Wrapping and unwrapping in batches: what came while requests were on their way goes into the next one.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, oneshot};
use zeroize::{Zeroize as _, Zeroizing};

use super::super::cipher::random_key;
use super::super::keyring::KeyBytes;
use super::cache::DataKey;
use super::{Connection, VaultError};

/// Data keys in one request.
const BATCH: usize = 200;
/// Requests at the same time.
const AT_ONCE: usize = 4;

/// One data key to be wrapped or unwrapped.
pub(super) struct Job {
    /// What the data key is bound to.
    pub binding: Vec<u8>,
    /// The wrapped key; `None` asks for a new one.
    pub wrapped: Option<Arc<str>>,
    pub reply: oneshot::Sender<Result<DataKey, VaultError>>,
}

/// Asks for many at once. Ends when the last sender is gone.
pub(super) async fn run(connection: Arc<Connection>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut batch = Vec::with_capacity(BATCH);
    while jobs.recv_many(&mut batch, BATCH).await > 0 {
        // Nobody closes the semaphore.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        // What came while all places were taken goes along.
        while batch.len() < BATCH
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        let (new, known): (Vec<_>, Vec<_>) = batch.drain(..).partition(|job| job.wrapped.is_none());
        let connection = connection.clone();
        tokio::spawn(async move {
            tokio::join!(wrap(&connection, new), unwrap(&connection, known));
            drop(place);
        });
    }
}

#[derive(Serialize)]
struct Batch<T> {
    batch_input: Vec<T>,
}

#[derive(Serialize)]
struct ToWrap {
    plaintext: Zeroizing<String>,
    associated_data: String,
}

#[derive(Serialize)]
struct ToUnwrap {
    ciphertext: Arc<str>,
    associated_data: String,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: Results<T>,
}

#[derive(Deserialize)]
struct Results<T> {
    batch_results: Vec<T>,
}

/// Each has one of the three.
#[derive(Default, Deserialize)]
struct One {
    ciphertext: Option<String>,
    plaintext: Option<Zeroizing<String>>,
    error: Option<String>,
}

async fn wrap(connection: &Connection, jobs: Vec<Job>) {
    if jobs.is_empty() {
        return;
    }
    let mut keys = Vec::with_capacity(jobs.len());
    for _ in &jobs {
        match random_key() {
            Ok(key) => keys.push(key),
            Err(error) => {
                return refuse(jobs, &VaultError::Refused(format!("the system has no random numbers: {error}")));
            }
        }
    }
    let items = jobs.iter().zip(&keys).map(|(job, key)| ToWrap {
        plaintext: Zeroizing::new(STANDARD.encode(key.as_slice())),
        associated_data: STANDARD.encode(&job.binding),
    });
    let body = Batch { batch_input: items.collect() };
    match ask(connection, "encrypt", &body, jobs.len()).await {
        Ok(results) => {
            for ((job, key), result) in jobs.into_iter().zip(keys).zip(results) {
                let _ = job.reply.send(wrapped(result, key));
            }
        }
        Err(error) => refuse(jobs, &error),
    }
}

fn wrapped(result: One, key: KeyBytes) -> Result<DataKey, VaultError> {
    let text = result.ciphertext.ok_or_else(|| VaultError::Refused(result.error.unwrap_or_default()))?;
    let version = version_of(&text).ok_or_else(|| VaultError::Unavailable("its ciphertext has another form".into()))?;
    Ok(DataKey { version, wrapped: text.into(), bytes: Arc::new(key) })
}

async fn unwrap(connection: &Connection, jobs: Vec<Job>) {
    if jobs.is_empty() {
        return;
    }
    let items = jobs.iter().map(|job| ToUnwrap {
        ciphertext: job.wrapped.clone().unwrap_or_default(),
        associated_data: STANDARD.encode(&job.binding),
    });
    let body = Batch { batch_input: items.collect() };
    match ask(connection, "decrypt", &body, jobs.len()).await {
        Ok(results) => {
            for (job, result) in jobs.into_iter().zip(results) {
                let key = unwrapped(job.wrapped.unwrap_or_default(), result);
                let _ = job.reply.send(key);
            }
        }
        Err(error) => refuse(jobs, &error),
    }
}

fn unwrapped(wrapped: Arc<str>, result: One) -> Result<DataKey, VaultError> {
    if let Some(error) = result.error.filter(|error| !error.is_empty()) {
        return Err(VaultError::Refused(error));
    }
    let form = || VaultError::Refused("it holds no data key".into());
    let mut bytes = Zeroizing::new(STANDARD.decode(&*result.plaintext.unwrap_or_default()).map_err(|_| form())?);
    let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| form())?;
    bytes.zeroize();
    let version = version_of(&wrapped).ok_or_else(form)?;
    Ok(DataKey { version, wrapped, bytes: Arc::new(Zeroizing::new(key)) })
}

/// The version that stands in front of a ciphertext, `vault:v3:…`, whose rest must be base64 in its one form: Vault would read others, too.
pub(super) fn version_of(wrapped: &str) -> Option<u32> {
    let (version, rest) = wrapped.strip_prefix("vault:v")?.split_once(':')?;
    let number: u32 = version.parse().ok()?;
    (number.to_string() == version && STANDARD.decode(rest).is_ok()).then_some(number)
}

fn refuse(jobs: Vec<Job>, error: &VaultError) {
    for job in jobs {
        let _ = job.reply.send(Err(error.clone()));
    }
}

async fn ask(
    connection: &Connection,
    operation: &str,
    body: &impl Serialize,
    wanted: usize,
) -> Result<Vec<One>, VaultError> {
    let answer = connection.transit(operation, body).await?;
    // Where one of them fails the status is 400, and the others have their results all the same.
    let Ok(Answer { data: Results { batch_results: results } }) = answer.read::<Answer<One>>() else {
        return Err(match answer.refusal() {
            // It says nothing of the single ones: such as that there is no such key.
            VaultError::Refused(words) => VaultError::NotFound(words),
            other => other,
        });
    };
    if results.len() == wanted { Ok(results) } else { Err(VaultError::Unavailable("its answer is not whole".into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_ciphertext() {
        assert_eq!(version_of("vault:v1:YWJj"), Some(1));
        assert_eq!(version_of("vault:v12:YQ=="), Some(12));
        for bad in ["", "vault:v1", "vault:v01:YWJj", "vault:v1:YR==", "vault:v1:YW\nJj", "vault:vx:YWJj", "local:1"] {
            assert_eq!(version_of(bad), None, "{bad}");
        }
    }
}
