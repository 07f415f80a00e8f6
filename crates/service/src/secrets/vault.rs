//! Vault's transit engine as the keeper of the wrapping keys: they never leave it.
//!
//! A data key is made here, and wrapped there, bound to the purpose of its record. Unwrapped ones are kept in memory for a while, so that
//! the service goes on with them while Vault is sealed or away.
//!
//! - `http`: one request, bounded in time;
//! - `login`: the token, its renewal, and another login when it ends;
//! - `batch`: many data keys in one request;
//! - `cache`: unwrapped data keys.

mod batch;
mod cache;
mod http;
mod login;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ::http::StatusCode;
use chrono::{DateTime, Utc};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use super::cipher;
use super::{Envelope, SealError};
use crate::metrics::name;
use crate::settings::VaultSettings;
use batch::Job;
use cache::{Cache, DataKey, Id};
use http::{Answer, Http};
use login::Login;

/// What a reference to a key of Vault starts with.
pub(super) const PREFIX: &str = "vault:";
/// How often Vault is asked for a sign of life.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// While it gives none.
const PROBE_AGAIN: Duration = Duration::from_secs(2);
/// What the data keys of probes are bound to; nothing is sealed with them.
const PROBE: &[u8] = b"integrations probe";

/// Why Vault did not do what it was asked for. The texts are Vault's own or ours, and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// It is away, sealed, or answers something else: it may be asked again.
    #[error("Vault cannot be used at the moment: {0}")]
    Unavailable(String),
    /// It does not accept the login, or the policy does not allow this.
    #[error("Vault does not allow it: {0}")]
    Denied(String),
    /// There is no such key or engine.
    #[error("Vault has no such key: {0}")]
    NotFound(String),
    /// It refuses this input.
    #[error("Vault refused: {0}")]
    Refused(String),
}

/// What may be told about the key at Vault.
#[derive(Debug, Clone, Deserialize)]
pub struct TransitKey {
    /// The version that wraps.
    pub latest_version: u32,
    /// What is older is not unwrapped.
    pub min_decryption_version: u32,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    keys: BTreeMap<u32, Value>,
}

impl TransitKey {
    /// Every version that is still there, with the time it was made.
    pub fn versions(&self) -> Vec<(u32, DateTime<Utc>)> {
        let made =
            |seconds: &Value| DateTime::from_timestamp(seconds.as_i64().unwrap_or_default(), 0).unwrap_or_default();
        self.keys.iter().map(|(version, seconds)| (*version, made(seconds))).collect()
    }
}

/// The requests, each with a valid token.
struct Connection {
    http: Arc<Http>,
    login: Login,
    mount: String,
    key: String,
    /// What the last request found, and when Vault last answered one.
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    problem: Option<String>,
    was_asked: bool,
}

/// A Vault. Its tasks end when it is dropped.
pub struct Vault {
    connection: Arc<Connection>,
    cache: Arc<Cache>,
    jobs: mpsc::UnboundedSender<Job>,
    /// Keys that are being unwrapped, so that the same one is asked for once.
    on_their_way: Arc<Mutex<HashMap<Id, Unwrapping>>>,
    /// The newest version seen.
    latest: AtomicU32,
}

type Unwrapping = Shared<BoxFuture<'static, Result<DataKey, VaultError>>>;

impl Vault {
    /// Starts to look after the login; a Vault that is away is no error.
    ///
    /// # Errors
    /// A text for the operator when the certificates to trust cannot be read.
    pub fn start(settings: &VaultSettings) -> Result<Arc<Self>, String> {
        let http = Arc::new(Http::new(settings)?);
        let connection = Arc::new(Connection {
            login: Login::new(http.clone(), settings.login.clone()),
            http,
            mount: settings.mount.clone(),
            key: settings.key.clone(),
            health: Mutex::default(),
        });
        let (jobs, queue) = mpsc::unbounded_channel();
        tokio::spawn(batch::run(connection.clone(), queue));
        let vault = Arc::new(Self {
            connection,
            cache: Arc::new(Cache::new(settings.cache)),
            jobs,
            on_their_way: Arc::default(),
            latest: AtomicU32::new(0),
        });
        tokio::spawn(keep(Arc::downgrade(&vault)));
        Ok(vault)
    }

    /// What an envelope calls a version of the key.
    pub(crate) fn reference(&self, version: u32) -> String {
        format!("{}:{version}", self.name())
    }

    /// What envelopes call the key, without a version.
    pub(crate) fn name(&self) -> String {
        format!("{PREFIX}{}/{}", self.connection.mount, self.connection.key)
    }

    /// Whether Vault answered when it was last asked, and what it said if not.
    pub fn state(&self) -> Result<(), String> {
        let health = lock(&self.connection.health);
        match &health.problem {
            Some(problem) => Err(problem.clone()),
            None if !health.was_asked => Err("it has not been asked yet".into()),
            None => Ok(()),
        }
    }

    /// Seals with a fresh data key. While Vault is away, with the one that the record had last, if that is known.
    pub(super) async fn seal(&self, purpose: &str, plaintext: &[u8]) -> Result<Envelope, SealError> {
        let key = match self.wrap(self.binding(purpose)).await {
            Ok(key) => {
                self.cache.keep(purpose, key.clone());
                key
            }
            Err(error) => self.last_key(purpose).ok_or(error)?,
        };
        cipher::seal_with(self.reference(key.version), key.wrapped.to_string(), &key.bytes, purpose, plaintext)
    }

    /// Opens with the data key, from memory if it is there.
    pub(super) async fn open(&self, purpose: &str, envelope: &Envelope) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let refused = || SealError::Refused(purpose.to_owned());
        let unknown = || SealError::UnknownKey(envelope.key.clone());
        let (name, version) = envelope.key.rsplit_once(':').ok_or_else(unknown)?;
        if name != self.name() {
            return Err(unknown());
        }
        if batch::version_of(&envelope.dek).map(|version| version.to_string()).as_deref() != Some(version) {
            return Err(refused());
        }
        let id = Cache::id(purpose, &envelope.dek);
        let key = match self.cache.get(&id) {
            Some(key) => key,
            None => self.unwrap_once(id, purpose, &envelope.dek).await.map_err(|error| match error {
                VaultError::Refused(words) if words.contains("too old") || words.contains("too new") => unknown(),
                VaultError::Refused(_) => refused(),
                other => other.into(),
            })?,
        };
        cipher::open_with(&key.bytes, purpose, envelope)
    }

    /// Wraps a data key for nothing: what that takes is what sealing takes. Returns the version that seals.
    pub async fn probe(&self) -> Result<u32, VaultError> {
        Ok(self.wrap(PROBE.to_vec()).await?.version)
    }

    /// The newest version that was seen; 0 before the first.
    pub fn latest(&self) -> u32 {
        self.latest.load(Ordering::Relaxed)
    }

    /// What Vault tells of the key.
    pub async fn key(&self) -> Result<TransitKey, VaultError> {
        #[derive(Deserialize)]
        struct Found {
            data: TransitKey,
        }
        let Connection { mount, key, .. } = &*self.connection;
        let answer = self.connection.ask(&format!("{mount}/keys/{key}"), None::<&()>).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(VaultError::NotFound(format!("{mount}/keys/{key}")));
        }
        Ok(answer.done::<Found>()?.data)
    }

    /// Adds a version to the key, which wraps from now on. Returns it.
    pub async fn rotate(&self) -> Result<u32, VaultError> {
        let path = format!("{}/keys/{}/rotate", self.connection.mount, self.connection.key);
        let answer = self.connection.ask(&path, Some(&json!({}))).await?;
        if !answer.status.is_success() {
            return Err(answer.refusal());
        }
        self.probe().await
    }

    /// From now on Vault refuses what older versions wrapped.
    pub async fn retire_below(&self, version: u32) -> Result<(), VaultError> {
        let path = format!("{}/keys/{}/config", self.connection.mount, self.connection.key);
        let answer = self.connection.ask(&path, Some(&json!({ "min_decryption_version": version }))).await?;
        if answer.status.is_success() { Ok(()) } else { Err(answer.refusal()) }
    }

    fn binding(&self, purpose: &str) -> Vec<u8> {
        cipher::data_key_binding(&self.name(), purpose)
    }

    async fn wrap(&self, binding: Vec<u8>) -> Result<DataKey, VaultError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.jobs.send(Job { binding, wrapped: None, reply });
        let key = done(sent.is_ok(), answer.await)?;
        self.latest.fetch_max(key.version, Ordering::Relaxed);
        Ok(key)
    }

    /// Those who want the same key at the same time wait for one answer, which is kept even when none of them waits any more.
    async fn unwrap_once(&self, id: Id, purpose: &str, wrapped: &str) -> Result<DataKey, VaultError> {
        let unwrapping =
            lock(&self.on_their_way).entry(id).or_insert_with(|| self.unwrap(id, purpose, wrapped)).clone();
        unwrapping.await
    }

    fn unwrap(&self, id: Id, purpose: &str, wrapped: &str) -> Unwrapping {
        let (reply, answer) = oneshot::channel();
        let sent = self.jobs.send(Job { binding: self.binding(purpose), wrapped: Some(wrapped.into()), reply }).is_ok();
        let (cache, on_their_way, purpose) = (self.cache.clone(), self.on_their_way.clone(), purpose.to_owned());
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let key = done(sent, answer.await);
            if let Ok(key) = &key {
                cache.keep(&purpose, key.clone());
            }
            lock(&on_their_way).remove(&id);
            // Nobody may wait for it any more.
            let _ = tell.send(key);
        });
        async move { done(true, told.await) }.boxed().shared()
    }

    /// The key that a record had last, unless a newer version wraps now.
    fn last_key(&self, purpose: &str) -> Option<DataKey> {
        self.cache.last(purpose).filter(|key| key.version >= self.latest())
    }
}

/// What came of a job.
fn done(
    sent: bool,
    answer: Result<Result<DataKey, VaultError>, oneshot::error::RecvError>,
) -> Result<DataKey, VaultError> {
    match answer {
        Ok(answer) if sent => answer,
        _ => Err(VaultError::Unavailable("the process ends".into())),
    }
}

impl Connection {
    /// Asks the transit key to wrap or unwrap.
    async fn transit(&self, operation: &str, body: &impl Serialize) -> Result<Answer, VaultError> {
        let path = format!("{}/{operation}/{}", self.mount, self.key);
        let begun = Instant::now();
        let answer = self.ask(&path, Some(body)).await;
        {
            let mut health = lock(&self.health);
            health.was_asked = true;
            health.problem = match &answer {
                Ok(answer) if answer.status.is_success() || answer.status == StatusCode::BAD_REQUEST => None,
                Ok(answer) => Some(answer.refusal().to_string()),
                Err(error) => Some(error.to_string()),
            };
        }
        let result = if answer.is_ok() { "ok" } else { "error" };
        let labels = [("operation", operation.to_owned()), ("result", result.to_owned())];
        metrics::counter!(name::VAULT_REQUESTS, &labels).increment(1);
        metrics::histogram!(name::VAULT_SECONDS).record(begun.elapsed().as_secs_f64());
        answer
    }

    /// Asks with a valid token; once more after another login, if the token is refused. A `GET` where there is no body. What is answered has
    /// one of the statuses 2xx, 400 and 404.
    async fn ask(&self, path: &str, body: Option<&impl Serialize>) -> Result<Answer, VaultError> {
        let mut session = self.login.session().await?;
        for last in [false, true] {
            let answer = match body {
                Some(body) => self.http.post(path, Some(&session.token), body).await?,
                None => self.http.get(path, &session.token).await?,
            };
            match answer.status.as_u16() {
                401 | 403 if !last => match self.login.after_refusal(&session).await? {
                    Some(next) => session = next,
                    None => return Err(answer.refusal()),
                },
                401 | 403 => return Err(answer.refusal()),
                400.. if answer.status != StatusCode::BAD_REQUEST && answer.status != StatusCode::NOT_FOUND => {
                    return Err(answer.refusal());
                }
                _ => return Ok(answer),
            }
        }
        Err(VaultError::Denied("the token is refused".into()))
    }
}

/// Renews the token, asks for signs of life and erases what was kept for long enough, as long as anybody holds the Vault.
async fn keep(vault: Weak<Vault>) {
    let mut probe_at = Instant::now();
    let mut was_up = None;
    while let Some(vault) = vault.upgrade() {
        vault.cache.sweep();
        if let Err(error) = vault.connection.login.renew_if_due().await {
            tracing::debug!(%error, "the token of Vault could not be renewed; it is tried again");
        }
        if Instant::now() >= probe_at {
            let probed = vault.probe().await;
            let is_up = probed.is_ok();
            // Told once, however long it lasts.
            if was_up.replace(is_up) != Some(is_up) {
                match probed {
                    Ok(version) => tracing::info!(version, "Vault works"),
                    Err(error) => {
                        tracing::warn!(%error, "Vault does not work: what is not in memory cannot be unsealed");
                    }
                }
            }
            metrics::gauge!(name::VAULT_UP).set(if is_up { 1.0 } else { 0.0 });
            probe_at = Instant::now() + if is_up { PROBE_EVERY } else { PROBE_AGAIN };
        }
        drop(vault);
        tokio::time::sleep(login::LOOK_EVERY).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves whole values behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("name", &self.name()).finish_non_exhaustive()
    }
}
