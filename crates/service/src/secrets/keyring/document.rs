//! The form of the keyring in its file.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use rand::rngs::SysError;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{KeyBytes, KeyringError, Keys, Version, at};
use crate::secrets::cipher::random_key;
use crate::secrets::private_file;

const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u8,
    current: u32,
    keys: Vec<Entry>,
    jwt_secret: String,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Entry {
    version: u32,
    #[zeroize(skip)]
    created_at: DateTime<Utc>,
    key: String,
}

impl Keys {
    /// The keys of a new installation.
    pub(super) fn generate(now: DateTime<Utc>) -> Result<Self, SysError> {
        let jwt_secret = URL_SAFE_NO_PAD.encode(random_key()?.as_slice()).into();
        let mut keys = Self { versions: BTreeMap::new(), jwt_secret };
        keys.add(now)?;
        Ok(keys)
    }

    /// Adds a version after the last.
    pub(super) fn add(&mut self, created_at: DateTime<Utc>) -> Result<u32, SysError> {
        let version = self.versions.last_key_value().map_or(1, |(last, _)| last + 1);
        self.versions.insert(version, Version { created_at, bytes: random_key()? });
        Ok(version)
    }

    pub(super) fn load(path: &Path) -> Result<Self, KeyringError> {
        let text = private_file::read(path).map_err(|error| at(path, error))?;
        parse(&text).map_err(|reason| KeyringError::Damaged { path: path.to_owned(), reason })
    }

    pub(super) fn store(&self, path: &Path) -> Result<(), KeyringError> {
        let document = Document {
            format: FORMAT,
            current: self.current().0,
            keys: self.versions.iter().map(entry).collect(),
            jwt_secret: self.jwt_secret.expose_secret().to_owned(),
        };
        let text = serde_json::to_string_pretty(&document).expect("a struct of strings and numbers always serialises");
        private_file::write(path, &Zeroizing::new(text)).map_err(|error| at(path, error))
    }
}

fn entry((version, key): (&u32, &Version)) -> Entry {
    Entry { version: *version, created_at: key.created_at, key: STANDARD.encode(key.bytes.as_slice()) }
}

/// The reasons never quote the text.
fn parse(text: &str) -> Result<Keys, &'static str> {
    let document: Document = serde_json::from_str(text).map_err(|_| "it is not JSON of the expected shape")?;
    if document.format != FORMAT {
        return Err("its format is of another release");
    }
    let mut versions = BTreeMap::new();
    for entry in &document.keys {
        let version = Version { created_at: entry.created_at, bytes: key_bytes(&entry.key)? };
        if versions.insert(entry.version, version).is_some() {
            return Err("it has a version twice");
        }
    }
    match versions.last_key_value() {
        Some((last, _)) if *last == document.current => {}
        _ => return Err("its current version is not its last"),
    }
    let jwt_secret = SecretString::from(document.jwt_secret.as_str());
    Ok(Keys { versions, jwt_secret })
}

fn key_bytes(text: &str) -> Result<KeyBytes, &'static str> {
    let mut bytes = Zeroizing::new([0; 32]);
    // The decoder estimates its output in whole groups of three bytes, so the slice has one byte to spare.
    let mut decoded = Zeroizing::new([0; 33]);
    match STANDARD.decode_slice(text, decoded.as_mut_slice()) {
        Ok(32) => bytes.copy_from_slice(&decoded[..32]),
        _ => return Err("it has a key that is not 32 bytes in base64"),
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_refused_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.json");
        Keys::generate(Utc::now()).unwrap().store(&path).unwrap();
        let good = private_file::read(&path).unwrap();
        let damaged = [
            String::new(),
            "{}".into(),
            good.replace("\"format\": 1", "\"format\": 2"),
            good.replace("\"current\": 1", "\"current\": 2"),
            good.replace("\"key\": \"", "\"key\": \"AAAA"),
            good.replace("\"version\": 1", "\"version\": -1"),
        ];
        for text in damaged {
            assert_ne!(text, *good);
            private_file::write(&path, &text).unwrap();
            let error = crate::secrets::Keyring::open_or_create(&path).unwrap_err();
            assert!(matches!(error, KeyringError::Damaged { .. }), "{error}");
            assert_eq!(private_file::read(&path).unwrap().as_str(), text, "the file stays as it was");
        }
    }
}
