//! The account's own user.

use std::fmt;

use grammers_tl_types as tl;
use serde::{Deserialize, Serialize};

use super::session_data::SelfUser;

/// Who an account is at Telegram.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountUser {
    /// Telegram user id: an account is known by it.
    pub id: i64,
    /// First name.
    pub first_name: String,
    /// Last name, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// User name without `@`, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Phone number: digits with a leading `+`; empty when Telegram does not tell it.
    pub phone: String,
    /// Does the account have Telegram Premium?
    #[serde(default)]
    pub premium: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_hash: Option<i64>,
}

impl AccountUser {
    pub(super) fn from_tl(user: &tl::types::User) -> Self {
        let digits = user.phone.as_deref().unwrap_or_default().trim_start_matches('+');
        Self {
            id: user.id,
            first_name: user.first_name.clone().unwrap_or_default(),
            last_name: user.last_name.clone(),
            username: user.username.clone().or_else(|| active_username(user)),
            phone: if digits.is_empty() { String::new() } else { format!("+{digits}") },
            premium: user.premium,
            access_hash: user.access_hash,
        }
    }

    pub(super) fn for_session(&self) -> SelfUser {
        SelfUser { id: self.id, access_hash: self.access_hash }
    }
}

fn active_username(user: &tl::types::User) -> Option<String> {
    user.usernames
        .iter()
        .flatten()
        .find_map(|tl::enums::Username::Username(name)| name.active.then(|| name.username.clone()))
}

/// Hides the middle of a phone number: what remains tells its owner which one it is, and nobody else.
pub fn mask_phone(phone: &str) -> String {
    let digits: Vec<char> = phone.chars().filter(char::is_ascii_digit).collect();
    if digits.len() < 7 {
        return "*".repeat(digits.len());
    }
    let middle = digits.len() - 4;
    let shown = |(at, digit): (usize, &char)| if at < 2 || at >= middle + 2 { *digit } else { '*' };
    std::iter::once('+').chain(digits.iter().enumerate().map(shown)).collect()
}

impl fmt::Debug for AccountUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phone = mask_phone(&self.phone);
        f.debug_struct("AccountUser").field("id", &self.id).field("phone", &phone).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_masked() {
        assert_eq!(mask_phone("+79161234567"), "+79*******67");
        assert_eq!(mask_phone("12345"), "*****");
        assert_eq!(mask_phone(""), "");
    }
}
