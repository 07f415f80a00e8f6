//! Sealing of credentials: nothing secret is stored in clear.
//!
//! - [`Sealer`]: seals and opens, whatever manages the keys;
//! - [`envelope`]: the sealed form, as it is stored;
//! - [`keyring`]: the keys of an installation without an outside key management, in a private file;
//! - [`vault`]: the outside key management;
//! - [`agreement`]: which key all processes seal with; [`columns`]: where envelopes are;
//! - `cipher`: AES-256-GCM with a fresh data key for each record.

pub mod agreement;
mod cipher;
pub mod columns;
pub mod envelope;
pub mod keyring;
mod private_file;
pub mod vault;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use envelope::Envelope;
pub use keyring::{Keyring, KeyringError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
pub use vault::{Vault, VaultError};
use zeroize::Zeroizing;

use crate::{
    error::{Code, Error},
    settings::VaultSettings,
    worker::OpenError,
};

/// When it makes sense to ask again while Vault is away.
const VAULT_RETRY: Duration = Duration::from_secs(5);

/// Why sealing or opening failed. No text holds a part of a secret.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The text or document is not an envelope.
    #[error("not a sealed envelope: {0}")]
    Malformed(&'static str),
    /// The envelope was written by a later release.
    #[error("the sealed envelope has version {0}, which this release does not know")]
    UnsupportedVersion(u8),
    /// The key is gone, or was never here.
    #[error(
        "the key `{0}` of the sealed envelope is not there: restore the keyring file that belongs to this database, or configure the Vault"
    )]
    UnknownKey(String),
    /// The authentication failed.
    #[error("the sealed envelope was changed, or belongs to another record than `{0}`")]
    Refused(String),
    /// The plaintext is too long, which no credential is.
    #[error("the secret is too long to be sealed")]
    TooLong,
    /// The random numbers of the system are not available.
    #[error("the system has no random numbers: {0}")]
    NoRandomness(#[from] rand::rngs::SysError),
    /// The keyring could not be read again.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// Vault did not do its part.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl SealError {
    /// It says nothing of the secret: it may work another time, without anybody having restored a key or a row.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Vault(_) | Self::Keyring(_) | Self::NoRandomness(_))
    }
}

impl From<SealError> for OpenError {
    fn from(error: SealError) -> Self {
        if error.is_passing() { Self::Later(error.to_string()) } else { Self::Broken(error.to_string()) }
    }
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Vault(_) => {
                Self::new(Code::KeysUnavailable, "The management of keys does not do its work at the moment.")
                    .with_retry_after(VAULT_RETRY)
                    .with_source(error)
            }
            error => Self::internal(error),
        }
    }
}

/// What wraps the data keys of what is sealed from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The keyring file.
    Local,
    /// Vault.
    Vault,
}

impl Target {
    /// The column value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Vault => "vault",
        }
    }

    /// The target of a column value.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Local, Self::Vault].into_iter().find(|target| target.name() == name)
    }
}

/// What this process seals with, as all processes have agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The keeper of the key.
    pub target: Target,
    /// Its version, of the keyring only: Vault itself says which one wraps. `None` is the newest.
    pub version: Option<u32>,
}

/// Seals credentials and opens them again: with one key of one keeper, and with all keys of all keepers that are there.
#[derive(Clone, Debug)]
pub struct Sealer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keyring: Arc<Keyring>,
    vault: Option<Arc<Vault>>,
    choice: RwLock<Choice>,
}

impl Sealer {
    /// With the keys of a keyring file only.
    pub fn local(keyring: Keyring) -> Self {
        Self::new(keyring, None, Target::Local)
    }

    /// With both keepers. Which of them seals is found out later, from the database (see [`agreement`]); until then it is Vault if there is one.
    ///
    /// # Errors
    /// A text for the operator when the settings of Vault cannot work.
    pub fn configured(keyring: Keyring, vault: Option<&VaultSettings>) -> Result<Self, String> {
        let vault = vault.map(Vault::start).transpose()?;
        let target = if vault.is_some() { Target::Vault } else { Target::Local };
        Ok(Self::new(keyring, vault, target))
    }

    fn new(keyring: Keyring, vault: Option<Arc<Vault>>, target: Target) -> Self {
        let choice = RwLock::new(Choice { target, version: None });
        Self(Arc::new(Inner { keyring: Arc::new(keyring), vault, choice }))
    }

    /// The keyring file, which is always there.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.0.keyring
    }

    /// Vault, where it is configured.
    pub fn vault(&self) -> Option<&Arc<Vault>> {
        self.0.vault.as_ref()
    }

    /// What seals.
    pub fn choice(&self) -> Choice {
        *self.0.choice.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this seals.
    pub fn choose(&self, choice: Choice) {
        *self.0.choice.write().unwrap_or_else(PoisonError::into_inner) = choice;
    }

    /// Seals a secret. `purpose` (see [`purpose`]) binds it to its record: it opens with the same purpose only.
    pub async fn seal(&self, purpose: &str, plaintext: &[u8]) -> Result<Envelope, SealError> {
        let Choice { target, version } = self.choice();
        match target {
            Target::Local => {
                let key = Keyring::find_version(&self.0.keyring, version).await?;
                cipher::seal(&key, purpose, plaintext)
            }
            Target::Vault => self.vault_or_unknown(vault::PREFIX)?.seal(purpose, plaintext).await,
        }
    }

    /// Opens a sealed secret.
    pub async fn open(&self, purpose: &str, envelope: &Envelope) -> Result<Zeroizing<Vec<u8>>, SealError> {
        if envelope.key.starts_with(vault::PREFIX) {
            return self.vault_or_unknown(&envelope.key)?.open(purpose, envelope).await;
        }
        let key = Keyring::find(&self.0.keyring, &envelope.key).await?;
        cipher::open(&key, purpose, envelope)
    }

    /// What envelopes that are sealed now call their key; asks Vault.
    pub async fn current_key(&self) -> Result<String, SealError> {
        let Choice { target, version } = self.choice();
        match target {
            Target::Local => Ok(Keyring::find_version(&self.0.keyring, version).await?.reference),
            Target::Vault => {
                let vault = self.vault_or_unknown(vault::PREFIX)?;
                Ok(vault.reference(vault.probe().await?))
            }
        }
    }

    /// Fails when nothing can be sealed now, so that no work is begun that would end with that.
    pub async fn must_work(&self) -> Result<(), SealError> {
        self.current_key().await.map(drop)
    }

    /// How the keys are kept, or what is wrong with them; asks nobody.
    pub fn state(&self) -> Result<String, String> {
        match (self.choice().target, &self.0.vault) {
            (Target::Local, None) => Ok("keyring file".into()),
            (Target::Local, Some(_)) => {
                Ok("keyring file; Vault is configured: `integrations keys move --to vault`".into())
            }
            (Target::Vault, Some(vault)) => {
                let told = vault.state().map(|()| format!("Vault, version {}", vault.latest()));
                told.map_err(|problem| format!("{problem}; what is in memory goes on"))
            }
            (Target::Vault, None) => Err("the keys are in Vault, which is not configured (vault.addr)".into()),
        }
    }

    fn vault_or_unknown(&self, key: &str) -> Result<&Arc<Vault>, SealError> {
        self.0.vault.as_ref().ok_or_else(|| SealError::UnknownKey(key.to_owned()))
    }
}

/// The purpose of a column of a row, such as `telegram_bots/<uuid>/bot_token`.
pub fn purpose(table: &str, id: Uuid, column: &str) -> String {
    format!("{table}/{id}/{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_survives_sealing_its_text_form_and_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.json");
        let open = || Sealer::local(Keyring::open_or_create(&path).unwrap());
        let purpose = purpose("telegram_bots", Uuid::nil(), "bot_token");
        let text = open().seal(&purpose, b"110201543:AAH").await.unwrap().to_text();
        assert!(!text.contains("AAH"));
        let envelope = Envelope::parse(&text).unwrap();
        assert_eq!(open().open(&purpose, &envelope).await.unwrap().as_slice(), b"110201543:AAH");
    }

    #[tokio::test]
    async fn after_a_rotation_old_envelopes_open_and_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.json");
        let service = Sealer::local(Keyring::open_or_create(&path).unwrap());
        let old = service.seal("a/b", b"x").await.unwrap();
        // Another process rotates, as the command line does.
        let other = Keyring::open(&path).unwrap();
        assert_eq!(other.rotate().unwrap(), 2);
        let other = Sealer::local(other);
        let new = other.seal("a/b", b"y").await.unwrap();
        assert_eq!((new.key.as_str(), other.current_key().await.unwrap().as_str()), ("local:2", "local:2"));
        // The service meets a key that it has not read yet.
        assert_eq!(service.open("a/b", &new).await.unwrap().as_slice(), b"y");
        assert_eq!(service.open("a/b", &old).await.unwrap().as_slice(), b"x");
        // A version that all agreed on, and that this process has not read yet.
        service.choose(Choice { target: Target::Local, version: Some(2) });
        assert_eq!(service.seal("a/b", b"z").await.unwrap().key, "local:2");
    }

    #[tokio::test]
    async fn an_unknown_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = Sealer::local(Keyring::open_or_create(&folder.path().join("k.json")).unwrap());
        let mut envelope = sealer.seal("a/b", b"x").await.unwrap();
        for key in ["local:7", "local:01", "vault:transit/k:1", "local:x", ""] {
            envelope.key = key.into();
            let error = sealer.open("a/b", &envelope).await.unwrap_err();
            assert!(matches!(&error, SealError::UnknownKey(name) if name == key), "{error}");
        }
    }
}
