//! One request to Vault, bounded in time and length.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::VaultError;
use crate::settings::VaultSettings;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// The longest answer that is read: several batches of data keys.
const MAX_ANSWER: usize = 4 << 20;

/// The shared connections to Vault.
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    namespace: Option<String>,
    timeout: Duration,
}

/// An answer in full. It may hold keys, so it is erased.
pub(super) struct Answer {
    pub status: StatusCode,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The answer of a request that was done.
    pub(super) fn done<T: DeserializeOwned>(self) -> Result<T, VaultError> {
        if !self.status.is_success() {
            return Err(self.refusal());
        }
        self.read()
    }

    /// Reads it whatever its status is.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, VaultError> {
        // What could not be read is not quoted: it may hold a key.
        serde_json::from_slice(&self.body)
            .map_err(|_| VaultError::Unavailable(format!("its answer ({}) has another form", self.status.as_u16())))
    }

    /// What the status of a refusal means.
    pub(super) fn refusal(&self) -> VaultError {
        let words = self.words();
        match self.status.as_u16() {
            400 => VaultError::Refused(words),
            401 | 403 => VaultError::Denied(words),
            404 => VaultError::NotFound(words),
            status => VaultError::Unavailable(format!("it answers {status}: {words}")),
        }
    }

    /// The errors that it names. They quote no input.
    fn words(&self) -> String {
        let answer: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let errors: Vec<&str> = answer["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if errors.is_empty() { "it gives no reason".to_owned() } else { errors.join("; ") }
    }
}

impl Http {
    /// Reads the certificates to trust; nothing is asked yet.
    pub(super) fn new(settings: &VaultSettings) -> Result<Self, String> {
        let tls = tls(settings)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        let namespace = settings.namespace.clone();
        Ok(Self { client, base: format!("{}/v1", settings.addr), namespace, timeout: settings.timeout })
    }

    /// Asks without a body.
    pub(super) async fn get(&self, path: &str, token: &SecretString) -> Result<Answer, VaultError> {
        self.call(Method::GET, path, Some(token), Bytes::new()).await
    }

    /// Posts JSON, which is erased from memory afterwards.
    pub(super) async fn post(
        &self,
        path: &str,
        token: Option<&SecretString>,
        body: &impl Serialize,
    ) -> Result<Answer, VaultError> {
        let body = serde_json::to_vec(body).map_err(|_| VaultError::Refused("the request has no JSON form".into()))?;
        self.call(Method::POST, path, token, Bytes::from_owner(Zeroizing::new(body))).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
        body: Bytes,
    ) -> Result<Answer, VaultError> {
        let mut request =
            Request::builder().method(method).uri(format!("{}/{path}", self.base)).header("X-Vault-Request", "true");
        if let Some(token) = token {
            let mut value = http::HeaderValue::from_str(token.expose_secret())
                .map_err(|_| VaultError::Denied("the token cannot stand in a header".into()))?;
            value.set_sensitive(true);
            request = request.header("X-Vault-Token", value);
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        let request = request.body(Full::new(body)).map_err(|error| VaultError::Unavailable(error.to_string()))?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| away(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| VaultError::Unavailable(format!("its answer broke off: {error}")))?;
            Ok(Answer { status: head.status, body: Zeroizing::new(Vec::from(body.to_bytes())) })
        };
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or_else(|_| {
            Err(VaultError::Unavailable(format!("it does not answer within {} s", self.timeout.as_secs_f64())))
        })
    }
}

/// The error with what is behind it, since the client's own words say little.
fn away(error: &dyn std::error::Error) -> VaultError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    VaultError::Unavailable(text)
}

fn tls(settings: &VaultSettings) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &settings.ca_file {
        Some(path) => builder.with_root_certificates(roots(path)?),
        // Plain HTTP needs no certificates, and a system may have none.
        None if settings.addr.starts_with("http://") => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_native_roots().map_err(|error| {
            format!(
                "the system's root certificates cannot be read (install ca-certificates, or set vault.ca_file): {error}"
            )
        })?,
    };
    Ok(builder.with_no_client_auth())
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let bad = |why: &dyn std::fmt::Display| format!("vault.ca_file {} cannot be used: {why}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| bad(&error))? {
        roots.add(certificate.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
    }
    if roots.is_empty() { Err(bad(&"it holds no certificate")) } else { Ok(roots) }
}
