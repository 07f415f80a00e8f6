//! Section `broker`: what carries hints between processes.

use secrecy::SecretString;

use super::reader::Reader;

/// The message broker.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// Where RabbitMQ is; `None` carries hints through the database.
    pub url: Option<SecretString>,
    /// The beginning of the names of its queues.
    pub prefix: String,
}

impl BrokerSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        Self {
            url: from.secret("url", "an address such as amqp://user:password@host:5672/vhost", |text| {
                ["amqp://", "amqps://"].iter().any(|scheme| text.starts_with(scheme))
                    && text.parse::<lapin::uri::AMQPUri>().is_ok()
            }),
            prefix: from.required("prefix", "1 to 100 letters, digits, - or _", |text| {
                (1..=100).contains(&text.len())
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            }),
        }
    }
}
