//! JSON Web Tokens: verification, and minting with the shared secret. A token is never logged and never repeated in an error.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::jwks::{Jwks, JwksOptions};
use super::{Identity, ScopeSet};
use crate::error::{Code, Error};

/// Clocks may differ by this many seconds.
const LEEWAY_SECONDS: u64 = 30;

/// HS256 needs a secret of at least 256 bits (RFC 7518, 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// The text of a 401 without a token.
pub(super) const MISSING: &str = "The request has no bearer token: send `Authorization: Bearer <token>`.";

type Claims = Map<String, Value>;

/// Which tokens are accepted.
#[derive(Clone, Debug)]
pub struct TokenOptions {
    /// The secret of HS256 tokens, at least 32 bytes. Without it, none is accepted.
    pub secret: Option<SecretString>,
    /// The keys of RS256, ES256 and EdDSA tokens. Without them, none is accepted.
    pub jwks: Option<JwksOptions>,
    /// The value that `iss` must have, if set.
    pub issuer: Option<String>,
    /// A value that `aud` must hold, if set.
    pub audience: Option<String>,
    /// The claim with the user id, usually `sub`.
    pub user_claim: String,
}

impl Default for TokenOptions {
    fn default() -> Self {
        Self { secret: None, jwks: None, issuer: None, audience: None, user_claim: "sub".into() }
    }
}

/// Verifies tokens.
pub struct Verifier {
    secret: Option<DecodingKey>,
    jwks: Option<Jwks>,
    issuer: Option<String>,
    audience: Option<String>,
    user_claim: String,
}

impl Verifier {
    /// Fails with a text for the operator when nothing could ever be accepted or the secret is too short.
    pub fn new(options: &TokenOptions) -> Result<Self, String> {
        if options.secret.is_none() && options.jwks.is_none() {
            return Err("set a JWT secret or a JWKS address: without one, no token can be verified".into());
        }
        let secret = options.secret.as_ref().map(checked_secret).transpose()?;
        Ok(Self {
            secret: secret.map(DecodingKey::from_secret),
            jwks: options.jwks.clone().map(Jwks::new),
            issuer: options.issuer.clone(),
            audience: options.audience.clone(),
            user_claim: options.user_claim.clone(),
        })
    }

    /// Checks signature, time, issuer and audience, and reads the user and the scopes.
    pub async fn verify(&self, token: &str) -> Result<Identity, Error> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| refusal(&error))?;
        if header.crit.is_some() {
            return Err(refuse("has critical header fields (`crit`), which are not supported"));
        }
        let key = self.key(header.alg, header.kid.as_deref()).await?;
        let data = jsonwebtoken::decode::<Claims>(token, &key, &self.validation(header.alg));
        self.identity(&data.map_err(|error| refusal(&error))?.claims)
    }

    /// The algorithm decides the kind of key, so that a public key is never taken for a secret.
    async fn key(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<DecodingKey, Error> {
        match (algorithm, &self.secret, &self.jwks) {
            (Algorithm::HS256, Some(secret), _) => Ok(secret.clone()),
            (Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA, _, Some(jwks)) => jwks.key(algorithm, kid).await,
            _ => Err(refuse(&format!("is signed with {algorithm:?}, which is not accepted here"))),
        }
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.validate_aud = self.audience.is_some();
        let mut required = vec!["exp"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    fn identity(&self, claims: &Claims) -> Result<Identity, Error> {
        let user_id = claims.get(&self.user_claim).and_then(user_id).ok_or_else(|| {
            refuse(&format!(
                "must carry the user id, an integer from 1 to 2147483647, in the claim `{}`",
                self.user_claim
            ))
        })?;
        let token_id = claims.get("jti").and_then(Value::as_str).map(|id| id.chars().take(128).collect());
        Ok(Identity { user_id, scopes: scopes(claims), token_id })
    }
}

/// Makes a token with the secret of the options, valid from now on for `ttl`. It passes a [`Verifier`] of the same options.
pub fn mint(options: &TokenOptions, user_id: i32, scopes: ScopeSet, ttl: Duration) -> Result<String, String> {
    let secret = options.secret.as_ref().ok_or("a token can only be minted with a JWT secret, and none is set")?;
    let secret = checked_secret(secret)?;
    if user_id < 1 {
        return Err("the user id must be an integer from 1 to 2147483647".into());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| "the clock is before 1970")?.as_secs();
    let mut claims = json!({
        "iat": now,
        "exp": now.saturating_add(ttl.as_secs()),
        "jti": Uuid::new_v4(),
        "scope": scopes.to_string(),
    });
    claims[&options.user_claim] = user_id.to_string().into();
    if let Some(issuer) = &options.issuer {
        claims["iss"] = issuer.as_str().into();
    }
    if let Some(audience) = &options.audience {
        claims["aud"] = audience.as_str().into();
    }
    let key = EncodingKey::from_secret(secret);
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(|error| error.to_string())
}

fn checked_secret(secret: &SecretString) -> Result<&[u8], String> {
    let bytes = secret.expose_secret().as_bytes();
    if bytes.len() < MIN_SECRET_BYTES {
        return Err(format!("the JWT secret is too short: HS256 needs at least {MIN_SECRET_BYTES} bytes"));
    }
    Ok(bytes)
}

fn user_id(value: &Value) -> Option<i32> {
    let number = match value {
        Value::Number(number) => number.as_i64()?,
        // Only the usual way of writing: no sign, no leading zero, no space.
        Value::String(text) => text.parse::<i64>().ok().filter(|number| number.to_string() == *text)?,
        _ => return None,
    };
    i32::try_from(number).ok().filter(|number| *number >= 1)
}

/// From `scope` (separated by spaces, RFC 8693), and the lists `scopes` and `scp` that other issuers use.
fn scopes(claims: &Claims) -> ScopeSet {
    let names =
        ["scope", "scopes", "scp"].into_iter().filter_map(|claim| claims.get(claim)).flat_map(|value| match value {
            Value::String(text) => text.split_ascii_whitespace().collect(),
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        });
    ScopeSet::from_names(names)
}

pub(super) fn refuse(reason: &str) -> Error {
    Error::new(Code::Unauthorized, format!("The token {reason}."))
}

fn refusal(error: &jsonwebtoken::errors::Error) -> Error {
    match error.kind() {
        ErrorKind::ExpiredSignature => Error::new(Code::TokenExpired, "The token has expired: get a new one."),
        ErrorKind::InvalidSignature => refuse("has a signature that does not match"),
        ErrorKind::ImmatureSignature => refuse("is not valid yet (`nbf`)"),
        ErrorKind::InvalidIssuer => refuse("comes from another issuer (`iss`)"),
        ErrorKind::InvalidAudience => refuse("is meant for another audience (`aud`)"),
        ErrorKind::MissingRequiredClaim(claim) => refuse(&format!("lacks the claim `{claim}`, or it is malformed")),
        ErrorKind::InvalidClaimFormat(claim) => refuse(&format!("has a malformed claim `{claim}`")),
        _ => refuse("is not a valid JWT signed with an accepted algorithm"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scope;

    const SECRET: &str = "a-secret-of-the-tests-with-32-bytes-or-more";

    fn options() -> TokenOptions {
        TokenOptions { secret: Some(SECRET.into()), ..TokenOptions::default() }
    }

    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    fn sign(claims: &Value) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes()))
            .unwrap()
    }

    async fn verify(claims: Value) -> Result<Identity, Error> {
        verify_with(&options(), &sign(&claims)).await
    }

    async fn verify_with(options: &TokenOptions, token: &str) -> Result<Identity, Error> {
        Verifier::new(options).unwrap().verify(token).await
    }

    async fn reason(claims: Value) -> String {
        let error = verify(claims).await.unwrap_err();
        assert_eq!(error.code, Code::Unauthorized);
        error.detail
    }

    #[tokio::test]
    async fn a_minted_token_is_accepted_with_its_user_and_scopes() {
        let scopes = [Scope::MessagesSend, Scope::AuditRead].into_iter().collect();
        let strict = TokenOptions {
            issuer: Some("https://issuer".into()),
            audience: Some("integrations".into()),
            user_claim: "uid".into(),
            ..options()
        };
        for options in [options(), strict] {
            let token = mint(&options, 7, scopes, Duration::from_mins(1)).unwrap();
            let identity = verify_with(&options, &token).await.unwrap();
            assert_eq!((identity.user_id, identity.scopes), (7, scopes));
            assert!(identity.token_id.is_some());
        }
    }

    #[tokio::test]
    async fn the_user_may_be_a_number_or_a_string_within_range() {
        for (sub, expected) in [(json!(1), 1), (json!("2147483647"), i32::MAX)] {
            assert_eq!(verify(json!({"exp": now() + 60, "sub": sub})).await.unwrap().user_id, expected);
        }
        for sub in [json!(0), json!(-1), json!(2_147_483_648_u64), json!(1.5), json!("07"), json!("+7"), json!("x")] {
            assert!(reason(json!({"exp": now() + 60, "sub": sub})).await.contains("`sub`"), "{sub}");
        }
        assert!(reason(json!({"exp": now() + 60})).await.contains("`sub`"));
        assert!(verify(json!({"exp": now() + 60, "sub": [1]})).await.is_err());
    }

    #[tokio::test]
    async fn scopes_are_read_from_text_and_lists() {
        for (claim, value) in [
            ("scope", json!("messages:send other")),
            ("scopes", json!(["messages:send"])),
            ("scp", json!(["messages:send", 1])),
        ] {
            let identity = verify(json!({"exp": now() + 60, "sub": 1, claim: value})).await.unwrap();
            assert_eq!(identity.scopes.to_string(), "messages:send", "{claim}");
        }
    }

    #[tokio::test]
    async fn time_is_checked_with_thirty_seconds_of_leeway() {
        assert!(verify(json!({"exp": now() - 20, "sub": 1})).await.is_ok());
        let expired = verify(json!({"exp": now() - 40, "sub": 1})).await.unwrap_err();
        assert_eq!(expired.code, Code::TokenExpired);
        assert!(verify(json!({"exp": now() + 60, "nbf": now() + 20, "sub": 1})).await.is_ok());
        assert!(reason(json!({"exp": now() + 60, "nbf": now() + 60, "sub": 1})).await.contains("nbf"));
        assert!(reason(json!({"sub": 1})).await.contains("`exp`"));
        assert!(reason(json!({"exp": "soon", "sub": 1})).await.contains("`exp`"));
    }

    #[tokio::test]
    async fn issuer_and_audience_are_required_when_configured() {
        let options = TokenOptions { issuer: Some("me".into()), audience: Some("api".into()), ..options() };
        let base = json!({"exp": now() + 60, "sub": 1});
        for (iss, aud, accepted) in [
            (json!("me"), json!("api"), true),
            (json!("me"), json!(["x", "api"]), true),
            (json!("you"), json!("api"), false),
            (json!("me"), json!("x"), false),
            (Value::Null, json!("api"), false),
            (json!("me"), Value::Null, false),
        ] {
            let mut claims = base.clone();
            claims["iss"] = iss;
            claims["aud"] = aud;
            assert_eq!(verify_with(&options, &sign(&claims)).await.is_ok(), accepted, "{claims}");
        }
        let with_audience = json!({"exp": now() + 60, "sub": 1, "aud": "whoever"});
        assert!(verify(with_audience).await.is_ok(), "an audience is not checked unless it is configured");
    }

    #[tokio::test]
    async fn a_changed_token_and_other_algorithms_are_refused() {
        let token = sign(&json!({"exp": now() + 60, "sub": 1}));
        let other = mint(
            &TokenOptions { secret: Some("x".repeat(32).into()), ..options() },
            1,
            ScopeSet::default(),
            Duration::from_mins(1),
        );
        let claims = json!({"exp": now() + 60, "sub": 1});
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let hs512 = jsonwebtoken::encode(&Header::new(Algorithm::HS512), &claims, &key).unwrap();
        let payload = token.split('.').nth(1).unwrap();
        let none = format!("eyJhbGciOiJub25lIn0.{payload}.");
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        for bad in
            [other.unwrap(), hs512, none, unsigned, format!("{token}x"), "abc".into(), String::new(), "a.b.c".into()]
        {
            let error = verify_with(&options(), &bad).await.unwrap_err();
            assert_eq!(error.code, Code::Unauthorized, "{bad}");
            assert!(bad.len() < 4 || !error.to_string().contains(&bad), "the token is repeated");
        }
    }

    #[test]
    fn a_short_secret_or_none_is_an_error_for_the_operator() {
        assert!(Verifier::new(&TokenOptions::default()).is_err());
        let short = TokenOptions { secret: Some("short".into()), ..TokenOptions::default() };
        assert!(Verifier::new(&short).err().unwrap().contains("32 bytes"));
        assert!(mint(&short, 1, ScopeSet::default(), Duration::from_secs(1)).is_err());
        assert!(mint(&options(), 0, ScopeSet::default(), Duration::from_secs(1)).is_err());
        assert!(!format!("{:?}", options()).contains(SECRET));
    }
}
