//! Typed settings in sections, from the compiled-in [defaults](DEFAULTS), a file and the environment.
//!
//! - `default.toml`: every key with its default and an explanation; also the schema;
//! - `layers`: lays file and environment over the defaults;
//! - `reader`: reads checked values and collects what is wrong;
//! - one file per section.

mod auth;
mod broker;
mod cache;
mod channels;
mod database;
mod egress;
mod error;
mod files;
mod http;
mod keys;
mod layers;
mod limits;
mod log;
mod reader;
mod redis;
mod retention;
mod telegram;
#[cfg(test)]
mod tests;
mod vault;
mod worker;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub use auth::AuthSettings;
pub use broker::BrokerSettings;
pub use cache::CacheSettings;
pub use channels::ChannelsSettings;
pub use database::DatabaseSettings;
pub use egress::EgressSettings;
pub use error::{Origin, Problem, SettingsError};
pub use files::{FilesSettings, S3Settings, StoreSettings};
pub use http::HttpSettings;
pub use keys::KeysSettings;
pub use limits::LimitsSettings;
pub use log::{LogFormat, LogSettings};
pub use redis::RedisSettings;
pub use retention::RetentionSettings;
pub use telegram::{BotUpdates, TelegramApplication, TelegramSettings, TestServer, UpdatesWay};
pub use vault::{Given, VaultLogin, VaultSettings};
pub use worker::WorkerSettings;

use layers::Layers;
use reader::Reader;

/// The commented default file, for people who want one to start from.
pub const DEFAULTS: &str = include_str!("settings/default.toml");

/// The settings file that is read when none is named and it exists.
const USUAL_FILE: &str = "integrations.toml";

/// All settings. Secrets show as `[REDACTED]` when printed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data folder.
    pub data_dir: PathBuf,
    /// The HTTP server.
    pub http: HttpSettings,
    /// The database.
    pub database: DatabaseSettings,
    /// What carries hints between processes.
    pub broker: BrokerSettings,
    /// What processes count together.
    pub redis: RedisSettings,
    /// The cache of hot reads.
    pub cache: CacheSettings,
    /// Limits per user.
    pub limits: LimitsSettings,
    /// Files.
    pub files: FilesSettings,
    /// Where addresses that users give may lead.
    pub egress: EgressSettings,
    /// What credentials are sealed by.
    pub keys: KeysSettings,
    /// The process that owns senders.
    pub worker: WorkerSettings,
    /// Telegram.
    pub telegram: TelegramSettings,
    /// Channels and groups.
    pub channels: ChannelsSettings,
    /// How tokens are checked.
    pub auth: AuthSettings,
    /// The outside management of keys, if there is one.
    pub vault: Option<VaultSettings>,
    /// Logging.
    pub log: LogSettings,
    /// How long what is final is kept.
    pub retention: RetentionSettings,
}

impl Settings {
    /// Reads the defaults, then `config_path` (or `integrations.toml` in the current folder, if it exists), then `env`.
    /// The error holds every problem.
    pub fn load(
        config_path: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let env: HashMap<String, String> = env.collect();
        let mut layers = Layers::new();
        let usual = Some(Path::new(USUAL_FILE)).filter(|path| path.exists());
        if let Some(path) = config_path.or(usual) {
            layers.add_file(path)?;
        }
        layers.add_environment(env.clone().into_iter());

        let http = HttpSettings::read(Reader::new(&mut layers, "http"));
        let settings = Self {
            data_dir: data_dir(Reader::new(&mut layers, ""), &env),
            database: DatabaseSettings::read(Reader::new(&mut layers, "database")),
            broker: BrokerSettings::read(Reader::new(&mut layers, "broker")),
            redis: RedisSettings::read(Reader::new(&mut layers, "redis")),
            cache: CacheSettings::read(Reader::new(&mut layers, "cache")),
            limits: LimitsSettings::read(Reader::new(&mut layers, "limits")),
            files: FilesSettings::read(Reader::new(&mut layers, "files")),
            egress: EgressSettings::read(Reader::new(&mut layers, "egress")),
            keys: KeysSettings::read(Reader::new(&mut layers, "keys")),
            worker: WorkerSettings::read(Reader::new(&mut layers, "worker")),
            telegram: TelegramSettings::read(&mut layers, http.public_url.as_deref()),
            channels: ChannelsSettings::read(Reader::new(&mut layers, "channels")),
            http,
            auth: AuthSettings::read(Reader::new(&mut layers, "auth")),
            vault: VaultSettings::read(Reader::new(&mut layers, "vault")),
            log: LogSettings::read(Reader::new(&mut layers, "log")),
            retention: RetentionSettings::read(Reader::new(&mut layers, "retention")),
        };
        debug_assert!(layers.unread.is_empty(), "no section reads {:?}", layers.unread);
        if layers.problems.is_empty() { Ok(settings) } else { Err(layers.problems.into()) }
    }
}

/// The variables of this process. What is no UTF-8 is replaced by U+FFFD, which no setting accepts unseen.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

/// The configured data folder, or the usual one of whoever runs the service.
fn data_dir(mut from: Reader<'_>, env: &HashMap<String, String>) -> PathBuf {
    if let Some(given) = from.optional("data_dir", "a folder", |_| true) {
        return given.into();
    }
    // PostgreSQL runs as another user then, who cannot enter root's home.
    if rustix::process::geteuid().is_root() {
        return "/var/lib/integrations".into();
    }
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map_or_else(|| "data".into(), |base| base.join("integrations"))
}
