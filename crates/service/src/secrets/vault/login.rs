//! Being logged in to Vault: the token, its renewal, and another login when it ends.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::VaultError;
use super::http::{Answer, Http};
use crate::settings::{Given, VaultLogin};

/// A token is renewed when this part of its time is over.
const RENEW_AFTER: f64 = 0.6;
/// A login that was refused is not tried again before.
const AT_MOST_EVERY: Duration = Duration::from_secs(2);
/// How often is looked whether the token is to be renewed.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A token of Vault with its time.
pub(super) struct Session {
    pub token: SecretString,
    since: Instant,
    /// When it was last given its time.
    renewed: Instant,
    /// How long it is valid from then on; `None` is for ever.
    lease: Option<Duration>,
    /// What it was given at first: a renewal that gives much less meets the token's last end.
    first_lease: Option<Duration>,
    renewable: bool,
}

impl Session {
    fn is_over(&self) -> bool {
        self.lease.is_some_and(|lease| self.renewed.elapsed() >= lease)
    }

    fn is_due(&self) -> bool {
        self.lease.is_some_and(|lease| self.renewed.elapsed() >= lease.mul_f64(RENEW_AFTER))
    }
}

/// Keeps the service logged in.
pub(super) struct Login {
    http: Arc<Http>,
    way: VaultLogin,
    /// Whoever holds the lock logs in; the others wait and find the token.
    current: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    refused: Option<(Instant, VaultError)>,
}

#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: SecretString,
    lease_duration: u64,
    renewable: bool,
}

impl Login {
    pub(super) fn new(http: Arc<Http>, way: VaultLogin) -> Self {
        Self { http, way, current: Mutex::default() }
    }

    /// The token to ask with; logs in first where there is none.
    pub(super) async fn session(&self) -> Result<Arc<Session>, VaultError> {
        let mut state = self.current.lock().await;
        if let Some(session) = state.session.as_ref().filter(|session| !session.is_over()) {
            return Ok(session.clone());
        }
        self.log_in(&mut state).await
    }

    /// Vault refused a token, which may have been revoked: logs in anew, unless that was done meanwhile. The refusal is final when the token
    /// is fresh, or when there is no other one.
    pub(super) async fn after_refusal(&self, used: &Arc<Session>) -> Result<Option<Arc<Session>>, VaultError> {
        let mut state = self.current.lock().await;
        match &state.session {
            Some(session) if !Arc::ptr_eq(session, used) => return Ok(Some(session.clone())),
            Some(session) if session.since.elapsed() < AT_MOST_EVERY => return Ok(None),
            _ => {}
        }
        let next = self.log_in(&mut state).await?;
        Ok((next.token.expose_secret() != used.token.expose_secret()).then_some(next))
    }

    /// Renews the token when it is time. What cannot be renewed is replaced by another login.
    pub(super) async fn renew_if_due(&self) -> Result<(), VaultError> {
        let session = self.current.lock().await.session.clone();
        let Some(session) = session.filter(|session| session.is_due()) else { return Ok(()) };
        let renewed = if session.renewable { self.renew(&session).await } else { Ok(None) };
        let mut state = self.current.lock().await;
        if !state.session.as_ref().is_some_and(|now| Arc::ptr_eq(now, &session)) {
            return Ok(());
        }
        match renewed {
            Ok(Some(next)) => state.session = Some(Arc::new(next)),
            // It lives a while longer: the next look tries again.
            Err(error @ VaultError::Unavailable(_)) => return Err(error),
            Ok(None) | Err(_) => {
                // A token that was given to us has no successor, unless its file has another one.
                drop(self.log_in(&mut state).await?);
            }
        }
        Ok(())
    }

    /// The same token with more time; `None` when it is near its last end.
    async fn renew(&self, session: &Session) -> Result<Option<Session>, VaultError> {
        let asked = Instant::now();
        let answer = self.http.post("auth/token/renew-self", Some(&session.token), &json!({})).await?;
        let LoggedIn { auth } = answer.done()?;
        let lease = Duration::from_secs(auth.lease_duration);
        let is_short = session.first_lease.is_some_and(|first| lease < first.mul_f64(0.5));
        Ok((!is_short).then(|| Session {
            token: auth.client_token,
            since: session.since,
            renewed: asked,
            lease: Some(lease).filter(|lease| !lease.is_zero()),
            first_lease: session.first_lease,
            renewable: auth.renewable,
        }))
    }

    async fn log_in(&self, state: &mut State) -> Result<Arc<Session>, VaultError> {
        if let Some((at, error)) = &state.refused
            && at.elapsed() < AT_MOST_EVERY
        {
            return Err(error.clone());
        }
        match self.way_in().await {
            Ok(session) => {
                let session = Arc::new(session);
                *state = State { session: Some(session.clone()), refused: None };
                Ok(session)
            }
            Err(error) => {
                if !matches!(error, VaultError::Unavailable(_)) {
                    state.refused = Some((Instant::now(), error.clone()));
                }
                Err(error)
            }
        }
    }

    async fn way_in(&self) -> Result<Session, VaultError> {
        let asked = Instant::now();
        let answer = match &self.way {
            VaultLogin::Token(given) => return self.own_token(read(given).await?, asked).await,
            VaultLogin::AppRole { mount, role_id, secret_id } => {
                let secret_id = read(secret_id).await?;
                let body = json!({ "role_id": role_id, "secret_id": secret_id.expose_secret() });
                self.present(mount, body).await?
            }
            VaultLogin::Kubernetes { mount, role, token_file } => {
                let jwt = read_file(token_file).await?;
                self.present(mount, json!({ "role": role, "jwt": jwt.expose_secret() })).await?
            }
        };
        let LoggedIn { auth } = answer.done().map_err(|error| match error {
            // AppRole answers so to a wrong secret.
            VaultError::Refused(words) => VaultError::Denied(words),
            other => other,
        })?;
        let lease = Some(Duration::from_secs(auth.lease_duration)).filter(|lease| !lease.is_zero());
        let token = auth.client_token;
        Ok(Session { token, since: asked, renewed: asked, lease, first_lease: lease, renewable: auth.renewable })
    }

    async fn present(&self, mount: &str, body: Value) -> Result<Answer, VaultError> {
        self.http.post(&format!("auth/{mount}/login"), None, &body).await
    }

    /// A token that was given to us: Vault knows how long it lives.
    async fn own_token(&self, token: SecretString, asked: Instant) -> Result<Session, VaultError> {
        #[derive(Deserialize)]
        struct Found {
            data: About,
        }
        #[derive(Deserialize)]
        struct About {
            ttl: u64,
            #[serde(default)]
            renewable: bool,
        }
        let Found { data } = self.http.get("auth/token/lookup-self", &token).await?.done()?;
        let lease = Some(Duration::from_secs(data.ttl)).filter(|lease| !lease.is_zero());
        Ok(Session { token, since: asked, renewed: asked, lease, first_lease: lease, renewable: data.renewable })
    }
}

async fn read(given: &Given) -> Result<SecretString, VaultError> {
    match given {
        Given::Value(value) => Ok(value.clone()),
        Given::File(path) => read_file(path).await,
    }
}

async fn read_file(path: &Path) -> Result<SecretString, VaultError> {
    let text = tokio::fs::read_to_string(path).await.map(Zeroizing::new);
    let text = text.map_err(|error| VaultError::Denied(format!("{} cannot be read: {error}", path.display())))?;
    Ok(SecretString::from(text.trim()))
}
