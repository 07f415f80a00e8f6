//! Section `auth`: how tokens are checked.

use secrecy::SecretString;

use super::reader::{Reader, is_http_url};

/// How tokens are checked.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// The shared secret of HS256.
    pub jwt_secret: Option<SecretString>,
    /// Address of the issuer's key set; excludes `jwt_secret`.
    pub jwks_url: Option<String>,
    /// Required `iss`.
    pub issuer: Option<String>,
    /// Required `aud`.
    pub audience: Option<String>,
    /// The claim that holds the user id.
    pub user_claim: String,
}

impl AuthSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        let settings = Self {
            // RFC 7518, 3.2: the key is at least as long as the hash.
            jwt_secret: from.secret("jwt_secret", "at least 32 bytes", |text| text.len() >= 32),
            jwks_url: from.optional("jwks_url", "an address such as https://users.example.com/jwks.json", is_http_url),
            issuer: from.optional("issuer", "a text", |_| true),
            audience: from.optional("audience", "a text", |_| true),
            user_claim: from.required("user_claim", "the name of a claim", |text| !text.is_empty()),
        };
        if settings.jwt_secret.is_some() && settings.jwks_url.is_some() {
            from.together(
                "auth.jwt_secret and auth.jwks_url are both set: tokens are checked in one way, so set only one",
            );
        }
        settings
    }
}
