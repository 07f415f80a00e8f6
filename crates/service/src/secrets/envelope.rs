//! The sealed form of a secret, as it is stored: a JSON object, in a column of type JSONB or as text.

use serde::{Deserialize, Serialize};

use super::SealError;

/// The version that this release writes.
pub const VERSION: u8 = 1;

/// A sealed secret. All of it may be seen by anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The version of this form.
    pub v: u8,
    /// The key that wraps the data key: `local:<version>`, or `vault:<mount>/<name>:<version>`.
    pub key: String,
    /// The wrapped data key: in base64, with its nonce in front; or as Vault gave it.
    pub dek: String,
    /// The nonce of the ciphertext, in base64.
    pub nonce: String,
    /// The ciphertext with its tag, in base64.
    pub ct: String,
}

impl Envelope {
    /// The form for a column of text.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a struct of strings and a number always serialises")
    }

    /// Reads the form of [`Envelope::to_text`].
    pub fn parse(text: &str) -> Result<Self, SealError> {
        Self::checked(serde_json::from_str(text))
    }

    /// Reads the form of a column of JSON.
    pub fn from_json(value: serde_json::Value) -> Result<Self, SealError> {
        Self::checked(serde_json::from_value(value))
    }

    fn checked(parsed: serde_json::Result<Self>) -> Result<Self, SealError> {
        // The cause is left out, because it may quote the text, which might be a secret stored in clear.
        let envelope = parsed.map_err(|_| SealError::Malformed("it does not have the members of one"))?;
        if envelope.v != VERSION {
            return Err(SealError::UnsupportedVersion(envelope.v));
        }
        Ok(envelope)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_and_json_are_read_and_anything_else_is_refused() {
        let envelope =
            Envelope { v: 1, key: "local:1".into(), dek: "YQ==".into(), nonce: "Yg==".into(), ct: "Yw==".into() };
        assert_eq!(Envelope::parse(&envelope.to_text()).unwrap(), envelope);
        assert_eq!(Envelope::from_json(serde_json::to_value(&envelope).unwrap()).unwrap(), envelope);
        for bad in ["", "110201543:AAH", "{}", "null", r#"{"v":1,"key":"local:1"}"#] {
            let error = Envelope::parse(bad).unwrap_err().to_string();
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
        let later = json!({"v": 2, "key": "local:1", "dek": "", "nonce": "", "ct": ""});
        assert!(matches!(Envelope::from_json(later), Err(SealError::UnsupportedVersion(2))));
    }
}
