//! What a test, the control API or a person's phone does to the server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::cloud::Cloud;
use super::cloud::accounts::{Account, NewAccount, digits};
use super::cloud::keys::{AuthorizationInfo, Revocation};
use super::cloud::settings::Settings;
use super::cloud::tokens::{TokenError, token_of};
use super::connection::Command;
use super::faults::Fault;
use super::server::Mtproto;
use super::srp::Verifier;
use super::wire::cipher::AuthKey;
use crate::world::{Body, SendError, User, UserId, Via};

/// Why a control call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The phone is not 5 to 15 digits.
    #[error("`phone` must be 5 to 15 digits, with or without a leading +")]
    Phone,
    /// There is no such data centre.
    #[error("`dc` must be one of this server's data centres (1 to 5)")]
    DataCentre,
    /// There is no such account.
    #[error("no account has this user id; create it first")]
    NoAccount,
    /// There is no such sign-in.
    #[error("the account has no sign-in with this hash")]
    NoAuthorization,
    /// The link is no QR code.
    #[error("`link` must be tg://login?token=… or the token in base64url")]
    Link,
    /// The token is refused.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The message is refused.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// An account, as the control API lists it.
#[derive(Debug, Clone, Serialize)]
pub struct AccountInfo {
    /// User id.
    pub user_id: UserId,
    /// Digits.
    pub phone: String,
    /// Home data centre.
    pub dc: i32,
    /// First and last name.
    pub name: String,
    /// Without `@`.
    pub username: Option<String>,
    /// Whether it has a password of two-step verification.
    pub has_password: bool,
    /// Hint of the password.
    pub hint: Option<String>,
    /// Whether messages to strangers answer `PEER_FLOOD`.
    pub spam_limited: bool,
    /// Whether the phone is banned.
    pub banned: bool,
    /// The last login code that the person received.
    pub last_code: Option<String>,
    /// How many keys are signed in.
    pub sessions: usize,
}

/// What the server counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Connections that are open.
    pub connections_open: u64,
    /// Connections that were ever accepted.
    pub connections_accepted: u64,
    /// Keys that were agreed by the key exchange.
    pub handshakes: u64,
    /// Sessions that were killed because their key was used from two places.
    pub auth_key_duplicated: u64,
    /// Requests by method.
    pub methods: BTreeMap<&'static str, u64>,
}

impl Mtproto {
    /// A key that this server knows from now on, unlike any before.
    pub fn new_key(&self, dc: i32) -> Result<[u8; 256], ControlError> {
        if !self.core.has_dc(dc) {
            return Err(ControlError::DataCentre);
        }
        Ok(*self.core.cloud().new_key(dc).bytes())
    }

    /// Signs an account in on a new device, which has not said a word yet: the account's home, and the keys of the device by data
    /// centre.
    pub fn sign_in(&self, user: UserId) -> Result<(i32, BTreeMap<i32, [u8; 256]>), ControlError> {
        let mut cloud = self.core.cloud();
        let home = cloud.accounts.get(&user).ok_or(ControlError::NoAccount)?.dc;
        let keys: BTreeMap<i32, _> =
            (1..=5).filter(|dc| self.core.has_dc(*dc)).map(|dc| (dc, cloud.new_key(dc))).collect();
        let key = keys.get(&home).ok_or(ControlError::DataCentre)?;
        cloud.authorize(key.id(), user, "127.0.0.1".to_owned(), false);
        Ok((home, keys.into_iter().map(|(dc, key)| (dc, *key.bytes())).collect()))
    }

    /// The public RSA key as PEM. Makes the key at the first call, which takes some tenths of a second.
    pub fn rsa_pem(&self) -> String {
        self.core.rsa().public_pem()
    }

    /// Creates an account, or changes the one with the same phone. A password costs some 0.1 s.
    pub fn create_account(&self, new: NewAccount) -> Result<UserId, ControlError> {
        let phone = digits(&new.phone).ok_or(ControlError::Phone)?;
        if new.dc.is_some_and(|dc| !self.core.has_dc(dc)) {
            return Err(ControlError::DataCentre);
        }
        let hint = new.hint.clone().unwrap_or_default();
        let password = new.password.as_deref().map(|password| Verifier::new(password, &hint));
        let mut cloud = self.core.cloud();
        let mut world = self.core.world.lock();
        Ok(cloud.add_account(&mut world, new, phone, password))
    }

    /// The last code that was sent to a phone.
    pub fn login_code(&self, phone: &str) -> Option<String> {
        let phone = digits(phone)?;
        self.core.cloud().codes.last(&phone).map(str::to_owned)
    }

    /// All codes of a phone become too old.
    pub fn expire_codes(&self, phone: &str) {
        if let Some(phone) = digits(phone) {
            self.core.cloud().codes.expire(&phone);
        }
    }

    /// The person scans a QR code, given as its link.
    pub fn scan(&self, user: UserId, link: &str) -> Result<(), ControlError> {
        let token = token_of(link).ok_or(ControlError::Link)?;
        self.scan_token(user, &token)
    }

    /// The person scans a QR code, given as its token.
    pub fn scan_token(&self, user: UserId, token: &[u8]) -> Result<(), ControlError> {
        let mut cloud = self.core.cloud();
        if !cloud.accounts.contains_key(&user) {
            return Err(ControlError::NoAccount);
        }
        cloud.accept_token(token, user)?;
        Ok(())
    }

    /// The newest QR code that waits to be scanned, as its token.
    pub fn newest_token(&self) -> Option<Vec<u8>> {
        self.core.cloud().tokens.newest().map(<[u8]>::to_vec)
    }

    /// Sets or removes the password (and its hint) of an account. Setting one costs some 0.1 s.
    pub fn set_password(&self, user: UserId, password: Option<(&str, &str)>) -> Result<(), ControlError> {
        let verifier = password.map(|(password, hint)| Verifier::new(password, hint));
        let mut cloud = self.core.cloud();
        cloud.accounts.get_mut(&user).ok_or(ControlError::NoAccount)?.password = verifier;
        Ok(())
    }

    /// Whether messages of an account to strangers answer `PEER_FLOOD`.
    pub fn set_spam_limited(&self, user: UserId, limited: bool) -> Result<(), ControlError> {
        let mut cloud = self.core.cloud();
        cloud.accounts.get_mut(&user).ok_or(ControlError::NoAccount)?.spam_limited = limited;
        Ok(())
    }

    /// Whether the phone of an account is banned from signing in.
    pub fn set_banned(&self, user: UserId, banned: bool) -> Result<(), ControlError> {
        let mut cloud = self.core.cloud();
        cloud.accounts.get_mut(&user).ok_or(ControlError::NoAccount)?.banned = banned;
        Ok(())
    }

    /// Deactivates a user (`USER_DEACTIVATED`), or takes it back.
    pub fn set_deactivated(&self, user: UserId, deactivated: bool) -> Result<(), ControlError> {
        let mut world = self.core.world.lock();
        world.user_mut(user).ok_or(ControlError::NoAccount)?.deactivated = deactivated;
        Ok(())
    }

    /// The sign-ins of an account.
    pub fn authorizations(&self, user: UserId) -> Vec<AuthorizationInfo> {
        self.core.cloud().authorizations(user)
    }

    /// Ends one sign-in of an account, or all of them.
    pub fn revoke(&self, user: UserId, hash: Option<i64>, how: Revocation) -> Result<(), ControlError> {
        let mut cloud = self.core.cloud();
        let keys = match hash {
            Some(hash) => vec![cloud.key_by_hash(user, hash).ok_or(ControlError::NoAuthorization)?],
            None => keys_of(&cloud, user)?,
        };
        for key in keys {
            cloud.revoke(key, how);
        }
        Ok(())
    }

    /// Cuts the connections of an account, or all connections.
    pub fn cut(&self, user: Option<UserId>) -> Result<(), ControlError> {
        self.for_connections(user, || Command::Close)
    }

    /// From now on the present connections of an account (or all of them) are silent, or speak again. A silent
    /// connection loses what comes meanwhile.
    pub fn silence(&self, user: Option<UserId>, silent: bool) -> Result<(), ControlError> {
        self.for_connections(user, || Command::Silence(silent))
    }

    fn for_connections(&self, user: Option<UserId>, command: impl Fn() -> Command) -> Result<(), ControlError> {
        let cloud = self.core.cloud();
        let keys = match user {
            Some(user) => keys_of(&cloud, user)?,
            None => cloud.live.keys().copied().collect(),
        };
        for key in keys {
            cloud.command(key, command());
        }
        Ok(())
    }

    /// All salts become invalid: the next message of each client is answered `bad_server_salt`.
    pub fn change_salts(&self) {
        let mut cloud = self.core.cloud();
        cloud.salt_epoch += 1;
        cloud.keys.values_mut().for_each(|key| key.first_salt = None);
    }

    /// A message arrives from one user to another, or to a chat (negative id).
    pub fn deliver(&self, from: UserId, chat: i64, text: &str) -> Result<i32, ControlError> {
        let mut cloud = self.core.cloud();
        let mut world = self.core.world.lock();
        let body = Body { text: text.to_owned(), via: Via::Control, ..Body::default() };
        let message = world.send(from, chat, body)?;
        cloud.sync(&world, None);
        Ok(message.id)
    }

    /// Adds a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.core.faults().add(fault);
    }

    /// The faults that are still waiting.
    pub fn faults(&self) -> Vec<Fault> {
        self.core.faults().waiting().to_vec()
    }

    /// Forgets all faults.
    pub fn clear_faults(&self) {
        self.core.faults().clear();
    }

    /// The present settings.
    pub fn settings(&self) -> Settings {
        self.core.cloud().settings.clone()
    }

    /// Changes settings from now on; what the limits counted so far is forgotten.
    pub fn set_settings(&self, settings: Settings) {
        let mut cloud = self.core.cloud();
        cloud.limiter.clear();
        cloud.settings = settings;
    }

    /// What the server counted so far.
    pub fn counters(&self) -> Counters {
        let stats = &self.core.stats;
        Counters {
            connections_open: stats.open.load(Ordering::Relaxed),
            connections_accepted: stats.accepted.load(Ordering::Relaxed),
            handshakes: stats.handshakes.load(Ordering::Relaxed),
            auth_key_duplicated: stats.duplicated.load(Ordering::Relaxed),
            methods: self.core.method_counts(),
        }
    }

    /// Forgets everything: keys, accounts, files and faults. Open connections are cut; settings and counts stay.
    pub fn reset(&self) {
        let mut cloud = self.core.cloud();
        cloud.live.keys().for_each(|key| {
            cloud.command(*key, Command::Close);
        });
        *cloud = Cloud::new(self.core.world.subscribe(), cloud.settings.clone());
        drop(cloud);
        self.clear_faults();
    }

    /// Where the data centres listen.
    pub fn addresses(&self) -> BTreeMap<i32, SocketAddr> {
        self.core.addresses()
    }

    /// The accounts: user id, phone and home data centre.
    pub fn accounts(&self) -> Vec<AccountInfo> {
        let cloud = self.core.cloud();
        let world = self.core.world.lock();
        let info = |(id, account): (&UserId, &Account)| AccountInfo {
            user_id: *id,
            phone: account.phone.clone(),
            dc: account.dc,
            name: world.user(*id).map_or_else(String::new, User::full_name),
            username: world.user(*id).and_then(|user| user.username.clone()),
            has_password: account.password.is_some(),
            hint: account.password.as_ref().map(|password| password.hint.clone()),
            spam_limited: account.spam_limited,
            banned: account.banned,
            last_code: cloud.codes.last(&account.phone).map(str::to_owned),
            sessions: cloud.authorizations(*id).len(),
        };
        cloud.accounts.iter().map(info).collect()
    }

    /// Takes a key from outside; replaces one with the same identifier.
    pub fn add_key(&self, dc: i32, key: [u8; 256]) -> Result<(), ControlError> {
        if !self.core.has_dc(dc) {
            return Err(ControlError::DataCentre);
        }
        self.core.cloud().add_key(AuthKey::new(key), dc, None);
        Ok(())
    }
}

fn keys_of(cloud: &Cloud, user: UserId) -> Result<Vec<i64>, ControlError> {
    let account = cloud.accounts.get(&user).ok_or(ControlError::NoAccount)?;
    Ok(account.keys.iter().copied().collect())
}
