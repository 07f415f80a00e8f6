//! The permanent key of a session: whoever holds it *is* the account.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A 2048-bit MTProto authorization key. Never printed; erased from memory when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct AuthKey([u8; Self::LEN]);

impl AuthKey {
    /// Length of a key in bytes.
    pub const LEN: usize = 256;

    /// Takes exactly [`AuthKey::LEN`] bytes; `None` for another length, and for a key of zeros, which stands for
    /// "never connected" in the files of other programs.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        if bytes.iter().all(|byte| *byte == 0) {
            return None;
        }
        bytes.try_into().ok().map(Self)
    }

    /// Reads 512 hexadecimal digits.
    pub fn from_hex(digits: &str) -> Option<Self> {
        let bytes = Zeroizing::new(hex::decode(digits).ok()?);
        Self::from_slice(&bytes)
    }

    pub(super) fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl From<[u8; AuthKey::LEN]> for AuthKey {
    fn from(bytes: [u8; AuthKey::LEN]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthKey(..)")
    }
}

impl Serialize for AuthKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(hex::encode(self.0)))
    }
}

impl<'de> Deserialize<'de> for AuthKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = Zeroizing::new(String::deserialize(deserializer)?);
        Self::from_hex(&digits).ok_or_else(|| D::Error::custom("a key must be 512 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_json_and_never_prints() {
        let key = AuthKey::from([0xab; AuthKey::LEN]);
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(json, format!("\"{}\"", "ab".repeat(256)));
        assert_eq!(serde_json::from_str::<AuthKey>(&json).unwrap(), key);
        assert_eq!(format!("{key:?}"), "AuthKey(..)");
    }

    #[test]
    fn wrong_lengths_and_zeros_are_no_keys() {
        assert!(AuthKey::from_slice(&[1; 255]).is_none());
        assert!(AuthKey::from_slice(&[1; 257]).is_none());
        assert!(AuthKey::from_slice(&[0; 256]).is_none());
        assert!(AuthKey::from_hex("zz").is_none());
        let error = serde_json::from_str::<AuthKey>("\"abcd\"").unwrap_err().to_string();
        assert!(error.contains("512 hexadecimal digits") && !error.contains("abcd"), "{error}");
    }
}
