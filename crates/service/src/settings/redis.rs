//! Section `redis`: what processes count together.

use redis::IntoConnectionInfo as _;
use secrecy::SecretString;

use super::reader::Reader;

/// Redis.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// Where it is; `None` lets each process count for itself.
    pub url: Option<SecretString>,
    /// The beginning of the names of its keys.
    pub prefix: String,
}

impl RedisSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        Self {
            url: from.secret("url", "an address such as redis://user:password@host:6379/0", |text| {
                ["redis://", "rediss://"].iter().any(|scheme| text.starts_with(scheme))
                    && text.into_connection_info().is_ok()
            }),
            prefix: from.required("prefix", "1 to 100 letters, digits, - or _", |text| {
                (1..=100).contains(&text.len())
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            }),
        }
    }
}
