//! Sealing of credentials: nothing secret is stored in clear.
//!
//! - [`Sealer`]: seals and opens, whatever manages the keys;
//! - [`envelope`]: the sealed form, as it is stored;
//! - [`keyring`]: the keys of an installation without an outside key management, in a private file;
//! - `cipher`: AES-256-GCM with a fresh data key for each record.

mod cipher;
pub mod envelope;
pub mod keyring;
mod private_file;

use std::sync::Arc;

pub use envelope::Envelope;
pub use keyring::{Keyring, KeyringError};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{error::Error, worker::OpenError};

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
        "the key `{0}` of the sealed envelope is not in the keyring: restore the keyring file that belongs to this database"
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
}

impl From<SealError> for OpenError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Malformed(_)
            | SealError::UnsupportedVersion(_)
            | SealError::UnknownKey(_)
            | SealError::Refused(_)
            | SealError::TooLong => Self::Broken(error.to_string()),
            SealError::NoRandomness(_) | SealError::Keyring(_) => Self::Later(error.to_string()),
        }
    }
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        Self::internal(error)
    }
}

/// Seals credentials and opens them again.
#[derive(Clone, Debug)]
pub enum Sealer {
    /// With the keys of a keyring file.
    Local(Arc<Keyring>),
}

impl Sealer {
    /// Seals a secret. `purpose` (see [`purpose`]) binds it to its record: it opens with the same purpose only.
    #[expect(clippy::unused_async, reason = "an outside key management answers over the network")]
    pub async fn seal(&self, purpose: &str, plaintext: &[u8]) -> Result<Envelope, SealError> {
        match self {
            Self::Local(keyring) => cipher::seal(&keyring.current(), purpose, plaintext),
        }
    }

    /// Opens a sealed secret.
    pub async fn open(&self, purpose: &str, envelope: &Envelope) -> Result<Zeroizing<Vec<u8>>, SealError> {
        match self {
            Self::Local(keyring) => {
                let key = Keyring::find(keyring, &envelope.key).await?;
                cipher::open(&key, purpose, envelope)
            }
        }
    }

    /// False when the envelope was sealed with an earlier key, so that it should be opened and sealed again.
    pub fn is_current(&self, envelope: &Envelope) -> bool {
        match self {
            Self::Local(keyring) => keyring.current().reference == envelope.key,
        }
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
        let open = || Sealer::Local(Arc::new(Keyring::open_or_create(&path).unwrap()));
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
        let service = Sealer::Local(Arc::new(Keyring::open_or_create(&path).unwrap()));
        let old = service.seal("a/b", b"x").await.unwrap();
        // Another process rotates, as the command line does.
        let other = Arc::new(Keyring::open(&path).unwrap());
        assert_eq!(other.rotate().unwrap(), 2);
        let other = Sealer::Local(other);
        let new = other.seal("a/b", b"y").await.unwrap();
        assert_eq!((new.key.as_str(), other.is_current(&old), other.is_current(&new)), ("local:2", false, true));
        // The service meets a key that it has not read yet.
        assert_eq!(service.open("a/b", &new).await.unwrap().as_slice(), b"y");
        assert_eq!(service.open("a/b", &old).await.unwrap().as_slice(), b"x");
        assert!(!service.is_current(&old));
    }

    #[tokio::test]
    async fn an_unknown_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = Sealer::Local(Arc::new(Keyring::open_or_create(&folder.path().join("k.json")).unwrap()));
        let mut envelope = sealer.seal("a/b", b"x").await.unwrap();
        for key in ["local:7", "vault:1", "local:x", ""] {
            envelope.key = key.into();
            let error = sealer.open("a/b", &envelope).await.unwrap_err();
            assert!(matches!(&error, SealError::UnknownKey(name) if name == key), "{error}");
        }
    }
}
