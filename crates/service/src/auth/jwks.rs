//! The public keys of an outside issuer (JSON Web Key Set, RFC 7517), fetched when they are needed and kept.
//!
//! An unknown key id makes one fetch, at most one per interval however many requests ask; while the issuer is down, the
//! keys that are known stay in use.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::token::refuse;
use crate::error::{Code, Error};

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_WITHOUT_KEYS: Duration = Duration::from_secs(1);
const MAX_BYTES: usize = 1024 * 1024;
/// RSA keys below 2048 bits are not accepted.
const MIN_RSA_BYTES: usize = 256;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Where the keys come from, and how often they are fetched.
#[derive(Clone, Debug)]
pub struct JwksOptions {
    /// The address of the key set.
    pub url: Uri,
    /// The least time between two fetches.
    pub min_interval: Duration,
    /// Keys older than this are fetched again in the background, so that a withdrawn key goes.
    pub max_age: Duration,
}

impl JwksOptions {
    /// The usual intervals: 30 seconds and 10 minutes.
    pub fn new(url: Uri) -> Self {
        Self { url, min_interval: Duration::from_secs(30), max_age: Duration::from_mins(10) }
    }
}

/// The keys of an issuer.
#[derive(Clone)]
pub struct Jwks(Arc<Inner>);

struct Inner {
    options: JwksOptions,
    keys: RwLock<Arc<KeySet>>,
    /// The time of the last attempt. Whoever holds the lock fetches; the others wait and then look again.
    last_attempt: Arc<Mutex<Option<Instant>>>,
}

#[derive(Default)]
struct KeySet {
    keys: Vec<Key>,
    fetched: Option<Instant>,
}

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Jwks {
    /// Nothing is fetched before the first token.
    pub fn new(options: JwksOptions) -> Self {
        let (keys, last_attempt) = (RwLock::default(), Arc::default());
        Self(Arc::new(Inner { options, keys, last_attempt }))
    }

    /// The key for a token: by its id, or the only one of the algorithm when the token names none.
    pub async fn key(&self, algorithm: Algorithm, id: Option<&str>) -> Result<DecodingKey, Error> {
        let known = self.current();
        if let Some(key) = known.find(algorithm, id) {
            self.renew_when_old(&known);
            return Ok(key);
        }
        self.refresh().await;
        let known = self.current();
        match known.find(algorithm, id) {
            Some(key) => Ok(key),
            None if known.fetched.is_none() => {
                let detail = "The keys of the identity provider could not be fetched yet.";
                Err(Error::new(Code::IdentityUnavailable, detail).with_retry_after(self.interval()))
            }
            None if id.is_none() => Err(refuse("names no key (`kid`), and there is not exactly one to try")),
            None => Err(refuse("is signed with a key (`kid`) that the issuer does not publish")),
        }
    }

    fn current(&self) -> Arc<KeySet> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn renew_when_old(&self, known: &KeySet) {
        let old = known.fetched.is_none_or(|at| at.elapsed() > self.0.options.max_age);
        if old && self.0.last_attempt.try_lock().is_ok_and(|last| self.may_fetch(*last)) {
            let jwks = self.clone();
            tokio::spawn(async move { jwks.refresh().await });
        }
    }

    /// Fetches the keys, unless somebody just did. Runs to its end even when the request that asked goes away.
    async fn refresh(&self) {
        let mut last = Arc::clone(&self.0.last_attempt).lock_owned().await;
        if !self.may_fetch(*last) {
            return;
        }
        *last = Some(Instant::now());
        let jwks = self.clone();
        let fetching = tokio::spawn(async move {
            jwks.fetch_and_store().await;
            drop(last);
        });
        if fetching.await.is_err() {
            tracing::error!("fetching the keys of the identity provider was aborted");
        }
    }

    fn may_fetch(&self, last: Option<Instant>) -> bool {
        last.is_none_or(|at| at.elapsed() >= self.interval())
    }

    /// Shorter while there are no keys at all: then nobody can call.
    fn interval(&self) -> Duration {
        let interval = self.0.options.min_interval;
        if self.current().fetched.is_none() { interval.min(RETRY_WITHOUT_KEYS) } else { interval }
    }

    async fn fetch_and_store(&self) {
        match fetch(&self.0.options.url).await.and_then(|body| parse(&body)) {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "fetched the keys of the identity provider");
                let set = Arc::new(KeySet { keys, fetched: Some(Instant::now()) });
                *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = set;
            }
            Err(cause) => {
                let cause = Error::internal(cause).cause();
                tracing::warn!(cause, "could not fetch the keys of the identity provider; the known ones stay in use");
            }
        }
    }
}

impl KeySet {
    fn find(&self, algorithm: Algorithm, id: Option<&str>) -> Option<DecodingKey> {
        let mut fitting =
            self.keys.iter().filter(|key| key.algorithm == algorithm && (id.is_none() || key.id.as_deref() == id));
        let first = fitting.next()?;
        // Without an id, two keys would make it a guess.
        (id.is_some() || fitting.next().is_none()).then(|| first.decoding.clone())
    }
}

async fn fetch(url: &Uri) -> Result<Bytes, Cause> {
    let request = async {
        // One fetch in half a minute at most: a client is not worth keeping.
        if url.scheme_str() == Some("https") {
            let connector =
                hyper_rustls::HttpsConnectorBuilder::new().with_native_roots()?.https_only().enable_http1().build();
            get(connector, url).await
        } else {
            get(HttpConnector::new(), url).await
        }
    };
    tokio::time::timeout(FETCH_TIMEOUT, request).await?
}

async fn get<C: Connect + Clone + Send + Sync + 'static>(connector: C, url: &Uri) -> Result<Bytes, Cause> {
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let response = client.get(url.clone()).await?;
    if response.status() != StatusCode::OK {
        return Err(format!("the key set was answered with status {}", response.status()).into());
    }
    Ok(Limited::new(response.into_body(), MAX_BYTES).collect().await?.to_bytes())
}

/// Takes the keys that can verify signatures; others in the set are for other purposes and skipped.
fn parse(body: &[u8]) -> Result<Vec<Key>, Cause> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<Value>,
    }
    let document: Document = serde_json::from_slice(body)?;
    Ok(document.keys.into_iter().filter_map(|value| usable(&serde_json::from_value(value).ok()?)).collect())
}

fn usable(jwk: &Jwk) -> Option<Key> {
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    // Never a symmetric key: whoever can read the set could sign with it.
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    };
    if jwk.common.key_algorithm.is_some_and(|declared| declared != algorithm.into()) {
        return None;
    }
    let decoding = DecodingKey::from_jwk(jwk).ok()?;
    if let DecodingKeyKind::RsaModulusExponent { n, .. } = decoding.kind()
        && n.len() < MIN_RSA_BYTES
    {
        return None;
    }
    Some(Key { id: jwk.common.key_id.clone(), algorithm, decoding })
}

#[cfg(test)]
mod tests;
