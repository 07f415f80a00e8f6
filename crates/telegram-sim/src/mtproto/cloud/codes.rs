//! Sign-ins by a code that the person receives.

use std::collections::HashMap;

use super::Cloud;
use super::accounts::test_phone;
use crate::mtproto::wire::msg_id::unix_time;

/// Wrong codes that end a sign-in.
const MAX_ATTEMPTS: u32 = 5;

/// How a code reaches the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// As a message in the app on another device.
    App,
    /// By SMS.
    Sms,
    /// Spoken in a call.
    Call,
}

impl Delivery {
    /// What comes after this way failed.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::App => Some(Self::Sms),
            Self::Sms => Some(Self::Call),
            Self::Call => None,
        }
    }
}

/// A code that was sent.
#[derive(Debug, Clone)]
pub struct SentCode {
    /// Digits.
    pub phone: String,
    /// What the person receives.
    pub code: String,
    /// How.
    pub delivery: Delivery,
    /// Unix seconds.
    pub expires: i32,
    attempts: u32,
    /// The right code was given, but no account has the phone: it may sign up.
    pub confirmed: bool,
}

/// Why a code is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeError {
    /// Not this one.
    Invalid,
    /// Too late, used, cancelled, or never sent.
    Expired,
}

/// All codes that were sent, by hash; and the last one of each phone.
#[derive(Debug, Default)]
pub struct Codes {
    sent: HashMap<String, SentCode>,
    last: HashMap<String, String>,
}

impl Codes {
    /// The code sent under this hash to this phone.
    pub fn get_mut(&mut self, hash: &str, phone: &str) -> Option<&mut SentCode> {
        self.sent.get_mut(hash).filter(|sent| sent.phone == phone && sent.expires > unix_time())
    }

    /// Forgets a code; whether there was one.
    pub fn cancel(&mut self, hash: &str, phone: &str) -> bool {
        let known = self.sent.get(hash).is_some_and(|sent| sent.phone == phone);
        known && self.sent.remove(hash).is_some()
    }

    /// Checks what the person typed.
    pub fn check(&mut self, hash: &str, phone: &str, code: &str) -> Result<(), CodeError> {
        let sent = self.get_mut(hash, phone).ok_or(CodeError::Expired)?;
        if sent.code == code {
            sent.confirmed = true;
            return Ok(());
        }
        sent.attempts += 1;
        if sent.attempts >= MAX_ATTEMPTS {
            self.sent.remove(hash);
        }
        Err(CodeError::Invalid)
    }

    /// The last code that was sent to a phone, as the person sees it.
    pub fn last(&self, phone: &str) -> Option<&str> {
        self.last.get(phone).map(String::as_str)
    }

    /// Makes all codes of a phone expire now.
    pub fn expire(&mut self, phone: &str) {
        self.sent.retain(|_, sent| sent.phone != phone);
    }
}

impl Cloud {
    /// Sends a code to a phone: first to the app if another device is signed in. Returns the hash and what was sent.
    pub fn send_code(&mut self, phone: &str) -> (String, SentCode) {
        let has_device = self.account_by_phone(phone).is_some_and(|(_, account)| !account.keys.is_empty());
        let code = test_phone(phone).map_or_else(|| format!("{:05}", rand::random_range(0..100_000)), |(_, code)| code);
        let now = unix_time();
        self.codes.sent.retain(|_, sent| sent.expires > now);
        let sent = SentCode {
            phone: phone.to_owned(),
            code,
            delivery: if has_device { Delivery::App } else { Delivery::Sms },
            expires: now + self.settings.code_ttl,
            attempts: 0,
            confirmed: false,
        };
        let hash = hex::encode(rand::random::<[u8; 9]>());
        self.codes.last.insert(phone.to_owned(), sent.code.clone());
        self.codes.sent.insert(hash.clone(), sent.clone());
        (hash, sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mtproto::cloud::settings::Settings;
    use crate::world::World;

    #[test]
    fn a_code_is_checked_and_ends_after_too_many_attempts() {
        let mut cloud = Cloud::new(World::default().subscribe(), Settings::default());
        let (hash, sent) = cloud.send_code("15550001");
        assert_eq!(cloud.codes.last("15550001"), Some(sent.code.as_str()));
        assert_eq!(cloud.codes.check("other", "15550001", &sent.code), Err(CodeError::Expired));
        assert_eq!(cloud.codes.check(&hash, "15550002", &sent.code), Err(CodeError::Expired));
        for _ in 1..MAX_ATTEMPTS {
            assert_eq!(cloud.codes.check(&hash, "15550001", "x"), Err(CodeError::Invalid));
        }
        assert_eq!(cloud.codes.check(&hash, "15550001", &sent.code), Ok(()));
        assert_eq!(cloud.codes.check(&hash, "15550001", "x"), Err(CodeError::Invalid));
        assert_eq!(cloud.codes.check(&hash, "15550001", &sent.code), Err(CodeError::Expired));
    }
}
