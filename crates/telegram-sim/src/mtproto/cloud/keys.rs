//! Authorization keys: their salts, what signed in with them, and how they die.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Cloud;
use crate::mtproto::srp::Challenge;
use crate::mtproto::wire::cipher::AuthKey;
use crate::mtproto::wire::msg_id::unix_time;
use crate::world::UserId;

/// A new salt begins every half hour and is good for an hour.
const SALT_PERIOD: i32 = 1800;

/// A key that this server knows.
pub struct Key {
    /// The key itself.
    pub key: AuthKey,
    /// The data centre that it belongs to.
    pub dc: i32,
    /// The salt that the key exchange agreed on, and until when it is good.
    pub first_salt: Option<(i64, i32)>,
    /// Whether it may still be used.
    pub standing: Standing,
    /// Who is signed in.
    pub authorization: Option<Authorization>,
    /// Who passed the code or the QR and still owes the password.
    pub pending: Option<UserId>,
    /// The password check that is under way.
    pub challenge: Option<Challenge>,
    /// What the client said about itself.
    pub client: Option<Client>,
}

/// Whether a key may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It may; without an authorization, most methods answer `AUTH_KEY_UNREGISTERED`.
    Good,
    /// Every method answers this error.
    Dead(i32, Cow<'static, str>),
}

/// How a session is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// The key is signed out: `AUTH_KEY_UNREGISTERED` until it signs in again.
    Unregistered,
    /// Another device ended the session: `SESSION_REVOKED`.
    Revoked,
    /// The session ran out: `SESSION_EXPIRED`.
    Expired,
    /// The key was used from two places: `AUTH_KEY_DUPLICATED`.
    Duplicated,
    /// The key is forgotten: transport error -404.
    Forgotten,
}

/// One sign-in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Authorization {
    /// Whose it is.
    pub user: UserId,
    /// What `account.resetAuthorization` names it by.
    pub hash: i64,
    /// Unix seconds of the sign-in.
    pub created: i32,
    /// Unix seconds of the last request.
    pub active: i32,
    /// From where the last request came.
    pub ip: String,
    /// Made by `auth.importAuthorization`: a helper of a sign-in at another data centre.
    pub imported: bool,
}

/// What `initConnection` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Layer of the API.
    pub layer: i32,
    /// Application.
    pub api_id: i32,
    /// Device model.
    pub device_model: String,
    /// Operating system.
    pub system_version: String,
    /// Version of the application.
    pub app_version: String,
    /// Language of the system.
    pub system_lang_code: String,
    /// Language of the application.
    pub lang_code: String,
}

/// An authorization on its way to another data centre.
#[derive(Debug, Clone, Copy)]
pub struct Export {
    /// Whose it is.
    pub user: UserId,
    /// Where it may be imported.
    pub dc: i32,
}

/// A sign-in as shown to tests and to the person's phone.
#[derive(Debug, Clone, Serialize)]
pub struct AuthorizationInfo {
    /// Name of the sign-in.
    #[serde(serialize_with = "as_string")]
    pub hash: i64,
    /// Data centre of its key.
    pub dc: i32,
    /// Whether a connection is open.
    pub connected: bool,
    /// Unix seconds of the sign-in.
    pub created: i32,
    /// Unix seconds of the last request.
    pub active: i32,
    /// From where.
    pub ip: String,
    /// What the client said about itself.
    pub client: Client,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn as_string<S: serde::Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    // JavaScript would round it as a number.
    serializer.collect_str(value)
}

impl Key {
    /// A key of a data centre that nobody has signed in with.
    pub fn new(key: AuthKey, dc: i32) -> Self {
        Self {
            key,
            dc,
            first_salt: None,
            standing: Standing::Good,
            authorization: None,
            pending: None,
            challenge: None,
            client: None,
        }
    }

    /// Whether it may still be used.
    pub fn is_good(&self) -> bool {
        self.standing == Standing::Good
    }

    /// The salt that begins at `since` (a multiple of the period).
    fn salt_of(&self, period: i32, epoch: u64) -> i64 {
        let hash = Sha256::new()
            .chain_update(self.key.bytes())
            .chain_update(period.to_le_bytes())
            .chain_update(epoch.to_le_bytes())
            .finalize();
        i64::from_le_bytes(*hash.first_chunk().expect("SHA-256 has 32 bytes"))
    }

    /// The salt to use now.
    pub fn salt(&self, epoch: u64) -> i64 {
        self.salt_of(unix_time() / SALT_PERIOD, epoch)
    }

    /// Whether a client may use this salt now.
    pub fn accepts_salt(&self, salt: i64, epoch: u64) -> bool {
        let now = unix_time();
        let period = now / SALT_PERIOD;
        self.first_salt.is_some_and(|(first, until)| first == salt && now < until)
            || [period, period - 1].iter().any(|period| self.salt_of(*period, epoch) == salt)
    }

    /// The salts from now on as (begin, end, salt), in unix seconds.
    pub fn future_salts(&self, count: i32, epoch: u64) -> Vec<(i32, i32, i64)> {
        let now = unix_time() / SALT_PERIOD;
        let salt = |period: i32| {
            let since = period * SALT_PERIOD;
            (since, since + 2 * SALT_PERIOD, self.salt_of(period, epoch))
        };
        (now..now + count).map(salt).collect()
    }
}

impl Cloud {
    /// Takes a key of a data centre.
    pub fn add_key(&mut self, key: AuthKey, dc: i32, first_salt: Option<i64>) {
        let first_salt = first_salt.map(|salt| (salt, unix_time() + 2 * SALT_PERIOD));
        self.keys.insert(key.id(), Key { first_salt, ..Key::new(key, dc) });
    }

    /// A fresh key of a data centre, unlike any before.
    pub fn new_key(&mut self, dc: i32) -> AuthKey {
        let key = AuthKey::random();
        self.add_key(key.clone(), dc, None);
        key
    }

    /// Signs a key in as a user, and tells the user's other devices.
    pub fn authorize(&mut self, key_id: i64, user: UserId, ip: String, imported: bool) {
        let Some(key) = self.keys.get_mut(&key_id) else { return };
        let now = unix_time();
        key.pending = None;
        key.challenge = None;
        key.authorization = Some(Authorization { user, hash: rand::random(), created: now, active: now, ip, imported });
        if let Some(account) = self.accounts.get_mut(&user) {
            account.keys.insert(key_id);
        }
    }

    /// Signs a key out; returns whose it was.
    pub fn sign_out(&mut self, key_id: i64) -> Option<UserId> {
        let key = self.keys.get_mut(&key_id)?;
        key.pending = None;
        key.challenge = None;
        let user = key.authorization.take()?.user;
        if let Some(account) = self.accounts.get_mut(&user) {
            account.keys.remove(&key_id);
        }
        Some(user)
    }

    /// Ends the use of a key from outside.
    pub fn revoke(&mut self, key_id: i64, how: Revocation) {
        self.sign_out(key_id);
        let dead = match how {
            Revocation::Unregistered => None,
            Revocation::Revoked => Some((401, "SESSION_REVOKED")),
            Revocation::Expired => Some((401, "SESSION_EXPIRED")),
            Revocation::Duplicated => Some((406, "AUTH_KEY_DUPLICATED")),
            Revocation::Forgotten => {
                self.keys.remove(&key_id);
                self.close(key_id);
                return;
            }
        };
        if let (Some(key), Some((code, text))) = (self.keys.get_mut(&key_id), dead) {
            key.standing = Standing::Dead(code, text.into());
        }
    }

    /// The sign-ins of a user, without their helpers at other data centres.
    pub fn authorizations(&self, user: UserId) -> Vec<AuthorizationInfo> {
        let keys = self.accounts.get(&user).map(|account| account.keys.iter()).into_iter().flatten();
        let info = |id: &i64| {
            let key = self.keys.get(id)?;
            let authorization = key.authorization.as_ref().filter(|authorization| !authorization.imported)?;
            Some(AuthorizationInfo {
                hash: authorization.hash,
                dc: key.dc,
                connected: self.live.contains_key(id),
                created: authorization.created,
                active: authorization.active,
                ip: authorization.ip.clone(),
                client: key.client.clone().unwrap_or_default(),
            })
        };
        keys.filter_map(info).collect()
    }

    /// The key of a user's sign-in with this hash.
    pub fn key_by_hash(&self, user: UserId, hash: i64) -> Option<i64> {
        let account = self.accounts.get(&user)?;
        let has_hash = |id: &&i64| {
            self.keys.get(id).and_then(|key| key.authorization.as_ref()).is_some_and(|known| known.hash == hash)
        };
        account.keys.iter().find(has_hash).copied()
    }
}
