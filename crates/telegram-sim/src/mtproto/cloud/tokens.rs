//! Sign-ins by QR: <https://core.telegram.org/api/qr-login>.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::Cloud;
use crate::mtproto::wire::msg_id::unix_time;
use crate::world::UserId;

/// What a QR code shows, before the token.
const LINK: &str = "tg://login?token=";

/// A token that a client shows as a QR code.
#[derive(Debug, Clone)]
pub struct LoginToken {
    /// The key that asked for it.
    pub key_id: i64,
    /// Unix seconds.
    pub expires: i32,
    /// Accounts that may not accept it, because the client has them already.
    pub except: Vec<UserId>,
    /// Who scanned it.
    pub accepted: Option<UserId>,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Unknown, or used.
    #[error("the token is unknown or used")]
    Invalid,
    /// Too late.
    #[error("the token has expired")]
    Expired,
    /// Somebody scanned it before.
    #[error("the token was accepted before")]
    Accepted,
    /// The client has this account already.
    #[error("the client asked not to be accepted by this account")]
    Excepted,
}

/// All tokens.
#[derive(Debug, Default)]
pub struct Tokens {
    all: HashMap<Vec<u8>, LoginToken>,
}

/// The token inside a `tg://login` link, or a bare one in base64url.
pub fn token_of(link: &str) -> Option<Vec<u8>> {
    let encoded = link.strip_prefix(LINK).unwrap_or(link);
    URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()
}

impl Tokens {
    /// The token that this key asked for and somebody accepted.
    pub fn accepted_for(&self, key_id: i64) -> Option<(Vec<u8>, UserId)> {
        let accepted = |(token, known): (&Vec<u8>, &LoginToken)| {
            let user = known.accepted.filter(|_| known.key_id == key_id && known.expires > unix_time())?;
            Some((token.clone(), user))
        };
        self.all.iter().find_map(accepted)
    }

    /// The token, if it is still good.
    pub fn get(&mut self, token: &[u8]) -> Result<&mut LoginToken, TokenError> {
        let known = self.all.get_mut(token).ok_or(TokenError::Invalid)?;
        if known.expires <= unix_time() { Err(TokenError::Expired) } else { Ok(known) }
    }

    /// Forgets a token, because it was used.
    pub fn remove(&mut self, token: &[u8]) {
        self.all.remove(token);
    }

    /// The newest token that waits to be scanned, for a person who looks at the only screen in the room.
    pub fn newest(&self) -> Option<&[u8]> {
        let waiting = self.all.iter().filter(|(_, known)| known.accepted.is_none() && known.expires > unix_time());
        waiting.max_by_key(|(_, known)| known.expires).map(|(token, _)| &token[..])
    }
}

impl Cloud {
    /// A new token for a key. Returns it with its end in unix seconds.
    pub fn export_token(&mut self, key_id: i64, except: Vec<UserId>) -> (Vec<u8>, i32) {
        let now = unix_time();
        self.tokens.all.retain(|_, known| known.expires + 60 > now);
        let token = rand::random::<[u8; 32]>().to_vec();
        let expires = now + self.settings.token_ttl;
        self.tokens.all.insert(token.clone(), LoginToken { key_id, expires, except, accepted: None });
        (token, expires)
    }

    /// A user scans a token: it is accepted, and the client that shows it is told. Returns the client's key.
    pub fn accept_token(&mut self, token: &[u8], user: UserId) -> Result<i64, TokenError> {
        let known = self.tokens.get(token)?;
        if known.accepted.is_some() {
            return Err(TokenError::Accepted);
        }
        if known.except.contains(&user) {
            return Err(TokenError::Excepted);
        }
        known.accepted = Some(user);
        let key_id = known.key_id;
        self.push_login_token(key_id);
        Ok(key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_bare_tokens_are_read() {
        let token = vec![0xfb, 0xff, 1, 2];
        assert_eq!(token_of("tg://login?token=-_8BAg"), Some(token.clone()));
        assert_eq!(token_of("-_8BAg=="), Some(token));
        assert_eq!(token_of("tg://login?token=***"), None);
    }
}
