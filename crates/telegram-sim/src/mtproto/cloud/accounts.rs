//! People who can sign in.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Cloud;
use super::mailbox::Mailbox;
use crate::mtproto::srp::Verifier;
use crate::world::{NewUser, Place, State, UserId};

/// The user that service messages come from.
pub const SERVICE_USER: UserId = 777_000;

/// What an account has beyond the world's user.
#[derive(Debug, Default)]
pub struct Account {
    /// Digits with country code.
    pub phone: String,
    /// Its home data centre.
    pub dc: i32,
    /// The password of two-step verification.
    pub password: Option<Verifier>,
    /// Whether messages to strangers answer `PEER_FLOOD`.
    pub spam_limited: bool,
    /// Whether the phone is banned from signing in.
    pub banned: bool,
    /// People in its address book.
    pub contacts: BTreeSet<UserId>,
    /// Keys that are signed in.
    pub keys: BTreeSet<i64>,
    /// The private chats that it has.
    pub places: BTreeSet<Place>,
    /// Its updates.
    pub mailbox: Mailbox,
    /// Up to which message it has read each place.
    pub read: BTreeMap<Place, i32>,
    /// `random_id`s that it used, with the message that each of them made.
    pub random_ids: BTreeMap<i64, (Place, i32)>,
}

/// An account to create.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewAccount {
    /// Digits with country code; a leading `+` is taken off.
    pub phone: String,
    /// Home data centre; 2 if absent.
    pub dc: Option<i32>,
    /// User id; made up if absent.
    pub user_id: Option<UserId>,
    /// First name; made up if absent.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Public name without `@`.
    pub username: Option<String>,
    /// Password of two-step verification.
    pub password: Option<String>,
    /// Hint of the password.
    pub hint: Option<String>,
}

/// The digits of a phone number as people write it; `None` if it is none.
pub fn digits(phone: &str) -> Option<String> {
    let phone = phone.strip_prefix('+').unwrap_or(phone);
    let digits: String = phone.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')')).collect();
    ((5..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())).then_some(digits)
}

/// The data centre and the code that Telegram's test phones (`99966XYYYY`) have in common.
pub fn test_phone(phone: &str) -> Option<(i32, String)> {
    let digit = phone.strip_prefix("99966").filter(|rest| rest.len() == 5)?.chars().next()?;
    let dc = i32::try_from(digit.to_digit(10)?).ok()?;
    Some((dc, digit.to_string().repeat(5)))
}

impl Cloud {
    /// Creates an account, or changes the one with the same phone.
    pub fn add_account(
        &mut self,
        world: &mut State,
        new: NewAccount,
        phone: String,
        password: Option<Verifier>,
    ) -> UserId {
        let id = world.add_user(NewUser {
            id: new.user_id.or_else(|| self.phones.get(&phone).copied()),
            first_name: new.first_name,
            last_name: new.last_name,
            username: new.username,
            phone: Some(phone.clone()),
        });
        let account = self.accounts.entry(id).or_default();
        account.dc = new.dc.unwrap_or(2);
        account.phone.clone_from(&phone);
        account.password = password;
        self.phones.insert(phone, id);
        id
    }

    /// The account with this phone.
    pub fn account_by_phone(&self, phone: &str) -> Option<(UserId, &Account)> {
        let id = *self.phones.get(phone)?;
        Some((id, self.accounts.get(&id)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_normalised() {
        assert_eq!(digits("+1 (555) 000-1234").as_deref(), Some("15550001234"));
        assert_eq!(digits("12a45"), None);
        assert_eq!(digits("123"), None);
        assert_eq!(digits(""), None);
    }

    #[test]
    fn test_phones_know_their_data_centre_and_code() {
        assert_eq!(test_phone("9996621234"), Some((2, "22222".to_owned())));
        assert_eq!(test_phone("99966212345"), None);
        assert_eq!(test_phone("15550001234"), None);
    }
}
