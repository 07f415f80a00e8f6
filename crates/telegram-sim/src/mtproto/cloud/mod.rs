//! What this half knows beyond the world, behind one lock.
//!
//! - `keys`: authorization keys with their salts and sign-ins; `live`: the connection that each key speaks through.
//! - `accounts`: people who can sign in; `codes` and `tokens`: sign-ins under way.
//! - `mailbox` and `delivery`: the numbered log of updates of each account, and how events of the world get there.
//! - `uploads`: files while they come in; `limits`: flood waits.

pub mod accounts;
pub mod codes;
pub mod delivery;
pub mod keys;
pub mod limits;
pub mod live;
pub mod mailbox;
pub mod settings;
pub mod tokens;
pub mod uploads;

use std::collections::{BTreeMap, HashMap};

use tokio::sync::broadcast;

use self::accounts::Account;
use self::codes::Codes;
use self::keys::{Export, Key};
use self::limits::Limiter;
use self::live::Live;
use self::mailbox::ChannelLog;
use self::settings::Settings;
use self::tokens::Tokens;
use self::uploads::Uploads;
use crate::world::{ChatId, Event, UserId};

/// Everything behind the lock.
pub struct Cloud {
    /// Keys by identifier.
    pub keys: HashMap<i64, Key>,
    /// Accounts by user id.
    pub accounts: BTreeMap<UserId, Account>,
    /// User ids by phone.
    pub phones: HashMap<String, UserId>,
    /// Sign-ins by code.
    pub codes: Codes,
    /// Sign-ins by QR.
    pub tokens: Tokens,
    /// Authorizations on their way to another data centre, by the bytes that are shown there.
    pub exports: HashMap<Vec<u8>, Export>,
    /// The newest connection of each key.
    pub live: HashMap<i64, Live>,
    /// Updates of supergroups and channels.
    pub channels: HashMap<ChatId, ChannelLog>,
    /// Files while they come in.
    pub uploads: Uploads,
    /// Who sent how much lately.
    pub limiter: Limiter,
    /// What can be changed while it runs.
    pub settings: Settings,
    /// What the world did and no mailbox has yet.
    events: broadcast::Receiver<Event>,
    /// Changed to make all salts invalid.
    pub salt_epoch: u64,
}

impl Cloud {
    /// An empty cloud that follows the world's events.
    pub fn new(events: broadcast::Receiver<Event>, settings: Settings) -> Self {
        Self {
            keys: HashMap::new(),
            accounts: BTreeMap::new(),
            phones: HashMap::new(),
            codes: Codes::default(),
            tokens: Tokens::default(),
            exports: HashMap::new(),
            live: HashMap::new(),
            channels: HashMap::new(),
            uploads: Uploads::default(),
            limiter: Limiter::default(),
            settings,
            events,
            salt_epoch: 0,
        }
    }
}
