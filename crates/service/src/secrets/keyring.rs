//! The keyring file: the keys of an installation without an outside key management.
//!
//! It lives in the data folder with mode 0600 and holds every version of the wrapping key, of which the newest is current,
//! and the secret of the tokens that the installation mints for itself. Whoever loses it loses every sealed credential.

mod document;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::SecretString;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::SealError;
use super::private_file::{self, FileError};

/// A key of 256 bits.
pub(super) type KeyBytes = Zeroizing<[u8; 32]>;

/// What a reference to a key of this keyring starts with.
const PREFIX: &str = "local:";

/// Why the keyring cannot be used. The text names the file and what to do, and no part of a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file could not be read or is not private.
    #[error("the keyring {path} {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: FileError,
    },
    /// The file was read but makes no sense.
    #[error("the keyring {path} is damaged ({reason}): restore it from a backup", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// The random numbers of the system are not available.
    #[error("no key could be made: the system has no random numbers: {0}")]
    NoRandomness(#[from] rand::rngs::SysError),
}

/// A wrapping key with the name that envelopes call it by.
pub(super) struct Key {
    pub reference: String,
    pub bytes: KeyBytes,
}

/// What may be told about the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringStatus {
    /// The version that seals.
    pub current: u32,
    /// Every version with the time it was made.
    pub versions: Vec<(u32, DateTime<Utc>)>,
}

/// The keys, as the file last said.
pub struct Keyring {
    path: PathBuf,
    keys: RwLock<Arc<Keys>>,
}

/// The content of the file.
struct Keys {
    versions: BTreeMap<u32, Version>,
    jwt_secret: SecretString,
}

struct Version {
    created_at: DateTime<Utc>,
    bytes: KeyBytes,
}

impl Keyring {
    /// Opens the keyring, and makes it first if there is none. Safe when several processes start at once.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyringError> {
        match Self::open(path) {
            Err(KeyringError::File { error: FileError::Io(error), .. }) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let _lock = private_file::lock(path).map_err(|error| at(path, error))?;
        if !path.exists() {
            let keys = Keys::generate(Utc::now())?;
            keys.store(path)?;
        }
        Self::open(path)
    }

    /// Opens a keyring that must exist.
    pub fn open(path: &Path) -> Result<Self, KeyringError> {
        let keys = RwLock::new(Arc::new(Keys::load(path)?));
        Ok(Self { path: path.to_owned(), keys })
    }

    /// Reads the file again, after another process changed it.
    pub fn reload(&self) -> Result<(), KeyringError> {
        let keys = Arc::new(Keys::load(&self.path)?);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Adds a new version, which seals from now on, and returns it. Old versions stay, to open what they sealed.
    pub fn rotate(&self) -> Result<u32, KeyringError> {
        let _lock = private_file::lock(&self.path).map_err(|error| at(&self.path, error))?;
        // Another process may have rotated since: its version must not be lost.
        let mut keys = Keys::load(&self.path)?;
        let version = keys.add(Utc::now())?;
        keys.store(&self.path)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(version)
    }

    /// Removes the versions before this one, which must be there; what they sealed cannot be opened any more.
    pub fn retire_below(&self, version: u32) -> Result<(), KeyringError> {
        let _lock = private_file::lock(&self.path).map_err(|error| at(&self.path, error))?;
        let mut keys = Keys::load(&self.path)?;
        if keys.versions.contains_key(&version) {
            keys.versions.retain(|other, _| *other >= version);
            keys.store(&self.path)?;
        }
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// A mark by which two processes find out whether they mean the same key by a version; it tells nothing of the key.
    pub fn mark(&self, version: u32) -> Option<String> {
        let keys = self.keys();
        let key = keys.versions.get(&version)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key.bytes.as_slice()).ok()?;
        mac.update(b"integrations key mark");
        Some(hex::encode(&mac.finalize().into_bytes()[..8]))
    }

    /// What may be told about the keys.
    pub fn status(&self) -> KeyringStatus {
        let keys = self.keys();
        let versions = keys.versions.iter().map(|(version, key)| (*version, key.created_at)).collect();
        KeyringStatus { current: keys.current().0, versions }
    }

    /// The secret of the tokens that this installation mints for itself.
    pub fn jwt_secret(&self) -> SecretString {
        self.keys().jwt_secret.clone()
    }

    /// The key of this version; without one, the newest.
    pub(super) fn key(&self, version: Option<u32>) -> Option<Key> {
        let keys = self.keys();
        let version = version.unwrap_or_else(|| keys.current().0);
        let key = keys.versions.get(&version)?;
        Some(Key { reference: reference(version), bytes: key.bytes.clone() })
    }

    /// The key of an envelope. One that is not known makes the file be read again: it may have been added meanwhile.
    pub(super) async fn find(keyring: &Arc<Self>, reference: &str) -> Result<Key, SealError> {
        if let Some(key) = keyring.known(reference) {
            return Ok(key);
        }
        let again = Arc::clone(keyring);
        let reloaded = tokio::task::spawn_blocking(move || again.reload()).await;
        reloaded.map_err(|_| SealError::UnknownKey(reference.to_owned()))??;
        keyring.known(reference).ok_or_else(|| SealError::UnknownKey(reference.to_owned()))
    }

    /// The key of a version that all processes agreed on, or the newest. One that is not known makes the file be read again, too.
    pub(super) async fn find_version(keyring: &Arc<Self>, version: Option<u32>) -> Result<Key, SealError> {
        match (keyring.key(version), version) {
            (Some(key), _) => Ok(key),
            (None, version) => Self::find(keyring, &reference(version.unwrap_or_default())).await,
        }
    }

    fn known(&self, reference: &str) -> Option<Key> {
        let version: u32 = reference.strip_prefix(PREFIX)?.parse().ok()?;
        // Not `local:01`, which would be another name of the same key.
        self.key(Some(version)).filter(|key| key.reference == reference)
    }

    fn keys(&self) -> Arc<Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What envelopes call a version.
pub(crate) fn reference(version: u32) -> String {
    format!("{PREFIX}{version}")
}

impl Keys {
    fn current(&self) -> (u32, &Version) {
        let (version, key) = self.versions.last_key_value().expect("a keyring is never made or read without a key");
        (*version, key)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("path", &self.path).finish_non_exhaustive()
    }
}

fn at(path: &Path, error: impl Into<FileError>) -> KeyringError {
    KeyringError::File { path: path.to_owned(), error: error.into() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    fn path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.json");
        (folder, path)
    }

    #[test]
    fn the_first_start_makes_it_and_the_next_finds_it() {
        let (_folder, path) = path();
        assert!(Keyring::open(&path).is_err());
        let (first, second) = (Keyring::open_or_create(&path).unwrap(), Keyring::open_or_create(&path).unwrap());
        assert_eq!(first.status(), second.status());
        assert_eq!(first.status().current, 1);
        assert_eq!(first.jwt_secret().expose_secret(), second.jwt_secret().expose_secret());
        assert!(first.jwt_secret().expose_secret().len() >= 32);
        assert_eq!(*first.key(None).unwrap().bytes, *second.key(Some(1)).unwrap().bytes);
        assert!(first.key(Some(2)).is_none());
        assert_eq!(first.mark(1), second.mark(1));
    }

    #[test]
    fn many_that_start_at_once_agree_on_one() {
        let (_folder, path) = path();
        let secrets: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Keyring::open_or_create(&path).unwrap().jwt_secret())).collect();
            starts.into_iter().map(|start| start.join().unwrap().expose_secret().to_owned()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    }

    #[test]
    fn rotations_at_once_lose_no_version() {
        let (_folder, path) = path();
        Keyring::open_or_create(&path).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| Keyring::open(&path).unwrap().rotate().unwrap());
            }
        });
        let status = Keyring::open(&path).unwrap().status();
        assert_eq!((status.current, status.versions.len()), (9, 9));
    }

    #[test]
    fn retired_versions_are_gone_and_later_ones_go_on_counting() {
        let (_folder, path) = path();
        let keyring = Keyring::open_or_create(&path).unwrap();
        let mark = keyring.mark(1);
        assert_eq!(keyring.rotate().unwrap(), 2);
        assert_ne!(keyring.mark(2), mark);
        keyring.retire_below(9).unwrap();
        assert_eq!(keyring.status().versions.len(), 2);
        keyring.retire_below(2).unwrap();
        assert!(keyring.mark(1).is_none() && Keyring::open(&path).unwrap().mark(1).is_none());
        assert_eq!(keyring.rotate().unwrap(), 3);
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let (_folder, path) = path();
        Keyring::open_or_create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Keyring::open_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600") && error.contains("keyring.json"), "{error}");
    }

    #[test]
    fn nothing_prints_a_key() {
        let (_folder, path) = path();
        let keyring = Keyring::open_or_create(&path).unwrap();
        assert_eq!(format!("{keyring:?}"), format!("Keyring {{ path: {path:?}, .. }}"));
    }
}
