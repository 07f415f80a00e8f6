//! People and bots.

use std::collections::HashSet;

use super::{UpdateQueue, UserId};

/// A person or a bot, as others see it.
#[derive(Debug, Clone)]
pub struct User {
    /// Positive id.
    pub id: UserId,
    /// MTProto access hash: who presents it has met the user.
    pub access_hash: i64,
    /// Whether it is a bot; [`Bot`] has the rest.
    pub is_bot: bool,
    /// Never empty.
    pub first_name: String,
    /// Optional last name.
    pub last_name: Option<String>,
    /// Without `@`.
    pub username: Option<String>,
    /// Digits with country code, without `+`.
    pub phone: Option<String>,
    /// IETF tag, such as `en`.
    pub language_code: Option<String>,
    /// A deleted account: nobody can write to it.
    pub deactivated: bool,
    /// Users and bots that this user has blocked.
    pub blocked: HashSet<UserId>,
    /// Bots that this user has started, so that they may write first.
    pub started: HashSet<UserId>,
}

impl User {
    /// First and last name.
    pub fn full_name(&self) -> String {
        match &self.last_name {
            Some(last) => format!("{} {last}", self.first_name),
            None => self.first_name.clone(),
        }
    }
}

/// What only bots have. The bot's [`User`] has the same id.
#[derive(Debug)]
pub struct Bot {
    /// The id of the bot's user.
    pub id: UserId,
    /// The token that works now; `None` when it was revoked and none was issued since.
    pub token: Option<String>,
    /// Sees all group messages, not only those that are meant for it ("privacy mode off").
    pub reads_all_group_messages: bool,
    /// What waits for `getUpdates` or the webhook.
    pub updates: UpdateQueue,
}
