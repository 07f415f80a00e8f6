//! Section `telegram`: servers, pacing, and the application's identity.

use std::{str::FromStr, time::Duration};

use secrecy::SecretString;

use super::layers::Layers;
use super::reader::{Reader, is_http_url};

/// Telegram.
#[derive(Debug, Clone)]
pub struct TelegramSettings {
    /// The Bot API server, without a slash at its end.
    pub bot_api_url: String,
    /// Messages per second of one bot.
    pub bot_per_second: u32,
    /// Messages per second of one bot to one private chat.
    pub private_chat_per_second: u32,
    /// Messages per minute of one bot to one group.
    pub group_per_minute: u32,
    /// Messages per second of one account.
    pub account_per_second: u32,
    /// Accounts that all workers together connect in a second.
    pub account_connects_per_second: u32,
    /// How often a connected account is asked for a sign of life.
    pub account_probe: Duration,
    /// How long an account does not write to strangers after `PEER_FLOOD`.
    pub peer_flood: Duration,
    /// How the updates of bots are taken.
    pub updates: BotUpdates,
    /// How often a bot is asked for a sign of life.
    pub bot_probe: Duration,
    /// Time limit of one call.
    pub request_timeout: Duration,
    /// How long a message is tried while the platform cannot be reached.
    pub give_up_after: Duration,
    /// The application for user accounts; `None` leaves them off.
    pub application: Option<TelegramApplication>,
    /// An MTProto server instead of Telegram's.
    pub test_server: Option<TestServer>,
}

/// How the updates of bots are taken.
#[derive(Debug, Clone)]
pub struct BotUpdates {
    /// Of bots that say nothing else.
    pub way: UpdatesWay,
    /// How long one question stays open at Telegram.
    pub poll: Duration,
    /// Simultaneous deliveries of one webhook.
    pub connections: u8,
}

/// A way on which updates are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdatesWay {
    /// None.
    Off,
    /// The service asks for them.
    Polling,
    /// Telegram delivers them.
    Webhook,
}

impl FromStr for UpdatesWay {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "off" => Ok(Self::Off),
            "polling" => Ok(Self::Polling),
            "webhook" => Ok(Self::Webhook),
            _ => Err(()),
        }
    }
}

/// The application's identity from <https://my.telegram.org>.
#[derive(Debug, Clone)]
pub struct TelegramApplication {
    /// Its id.
    pub api_id: i32,
    /// Its secret: 32 hexadecimal digits.
    pub api_hash: SecretString,
}

/// An MTProto server for tests.
#[derive(Debug, Clone)]
pub struct TestServer {
    /// `HOST:PORT`.
    pub address: String,
    /// Address of its public keys.
    pub keys_url: String,
}

impl TelegramSettings {
    /// `public_url` is where Telegram can reach the service.
    pub(super) fn read(layers: &mut Layers, public_url: Option<&str>) -> Self {
        let test_server = TestServer::read(Reader::new(layers, "telegram.test_server"));
        let mut from = Reader::new(layers, "telegram");
        let bot_api_url = from.required("bot_api_url", "an address such as https://api.telegram.org", is_http_url);
        let updates = BotUpdates {
            way: from.parse("bot_updates", "off, polling or webhook"),
            poll: from.seconds("bot_poll_seconds", 0..=50),
            connections: from.integer("bot_webhook_connections", 1..=100),
        };
        if updates.way == UpdatesWay::Webhook && public_url.is_none() {
            from.together("telegram.bot_updates is webhook, but http.public_url is not set: Telegram delivers there");
        }
        Self {
            bot_api_url: bot_api_url.trim_end_matches('/').to_owned(),
            bot_per_second: from.integer("bot_per_second", 1..=10_000),
            private_chat_per_second: from.integer("private_chat_per_second", 1..=1000),
            group_per_minute: from.integer("group_per_minute", 1..=60_000),
            account_per_second: from.integer("account_per_second", 1..=1000),
            account_connects_per_second: from.integer("account_connects_per_second", 1..=100_000),
            account_probe: from.seconds("account_probe_seconds", 1..=50),
            peer_flood: from.seconds("peer_flood_seconds", 1..=31_536_000),
            updates,
            bot_probe: from.seconds("bot_probe_seconds", 1..=50),
            request_timeout: from.seconds("request_timeout_seconds", 1..=600),
            give_up_after: from.seconds("give_up_seconds", 1..=31_536_000),
            application: TelegramApplication::read(from),
            test_server,
        }
    }
}

impl TelegramApplication {
    fn read(mut from: Reader<'_>) -> Option<Self> {
        let api_id = from.integer("api_id", 0..=i32::MAX);
        let api_hash = from.secret("api_hash", "32 hexadecimal digits", |text| {
            text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        match (api_id, api_hash) {
            (0, None) => None,
            (0, Some(_)) => {
                from.together("telegram.api_hash is set, but telegram.api_id is not: accounts need both");
                None
            }
            (_, None) => {
                from.together("telegram.api_id is set, but telegram.api_hash is not: accounts need both");
                None
            }
            (api_id, Some(api_hash)) => Some(Self { api_id, api_hash }),
        }
    }
}

impl TestServer {
    fn read(mut from: Reader<'_>) -> Option<Self> {
        let address = from.optional("address", "HOST:PORT, such as 127.0.0.1:4443", |text| {
            text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        });
        let keys_url = from.optional("keys_url", "an address such as http://127.0.0.1:4444/keys", is_http_url);
        match (address, keys_url) {
            (Some(address), Some(keys_url)) => Some(Self { address, keys_url }),
            (None, None) => None,
            (Some(_), None) => {
                from.together(
                    "telegram.test_server.address is set, but telegram.test_server.keys_url is not: set both or none",
                );
                None
            }
            (None, Some(_)) => {
                from.together(
                    "telegram.test_server.keys_url is set, but telegram.test_server.address is not: set both or none",
                );
                None
            }
        }
    }
}
