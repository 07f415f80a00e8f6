//! How a client presents itself and where it connects to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

/// Everything about a client that is not its session. Keep it the same for the life of an account: Telegram takes a
/// changed device for a stolen session.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The application's id, from <https://my.telegram.org>.
    pub api_id: i32,
    /// The secret that belongs to the id.
    pub api_hash: SecretString,
    /// Device model, shown to the account's owner in the list of devices.
    pub device_model: String,
    /// Version of the operating system, shown there too.
    pub system_version: String,
    /// Version of the application, shown there too.
    pub app_version: String,
    /// Language of the device, ISO 639-1.
    pub lang_code: String,
    /// Proxy through which the account connects.
    pub proxy: Option<Socks5>,
    /// Telegram, or a server that stands in for it.
    pub server: Server,
    /// How long to wait for connections and answers.
    pub timeouts: Timeouts,
    /// Whether this process still speaks for the account.
    pub may_write: MayWrite,
}

/// Asked before anything is written on a connection; a connection that may not write is cut. So a process that stood still, and does
/// not know yet that others took over meanwhile, is silent from its first moment on. Without a rule it may always write.
#[derive(Clone, Default)]
pub struct MayWrite(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl MayWrite {
    /// It may write while this is true.
    pub fn while_true(rule: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(rule)))
    }

    pub(super) fn now(&self) -> bool {
        self.0.as_ref().is_none_or(|rule| rule())
    }
}

impl std::fmt::Debug for MayWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "MayWrite(by a rule)" } else { "MayWrite(always)" })
    }
}

/// Where the data centres are.
#[derive(Debug, Clone)]
pub enum Server {
    /// At Telegram.
    Telegram,
    /// All at one address, with keys that are agreed on beforehand.
    Test {
        /// The address of every data centre.
        address: SocketAddr,
        /// Where keys come from: a POST of `{"dc_id": n}` gives `{"auth_key": "<512 hexadecimal digits>"}`.
        keys_url: String,
    },
}

/// How long to wait before giving up.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the first answer on a new connection.
    pub connect: Duration,
    /// For any other answer.
    pub call: Duration,
}

impl Default for Timeouts {
    /// 15 seconds for a new connection, 20 seconds for an answer.
    fn default() -> Self {
        Self { connect: Duration::from_secs(15), call: Duration::from_secs(20) }
    }
}

/// A SOCKS5 proxy.
#[derive(Debug, Clone)]
pub struct Socks5 {
    host: String,
    port: u16,
    credentials: Option<(String, SecretString)>,
}

/// Why something is no usable proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// No host, or one that cannot be one.
    #[error("the proxy needs a host: a name or an IP address")]
    Host,
    /// Port 0.
    #[error("the proxy needs a port from 1 to 65535")]
    Port,
    /// Longer than the protocol can say, or empty.
    #[error("user name and password of the proxy need 1 to 255 bytes each")]
    Credentials,
}

impl Socks5 {
    /// Checks the parts; `credentials` are user name and password.
    pub fn new(host: &str, port: u16, credentials: Option<(String, SecretString)>) -> Result<Self, ProxyError> {
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_');
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(ProxyError::Host);
        }
        if port == 0 {
            return Err(ProxyError::Port);
        }
        if let Some((user, password)) = &credentials
            && !(fits(user) && fits(password.expose_secret()))
        {
            return Err(ProxyError::Credentials);
        }
        Ok(Self { host: host.to_owned(), port, credentials })
    }

    /// The address of the proxy.
    pub(super) async fn resolve(&self) -> std::io::Result<SocketAddr> {
        let mut addresses = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        addresses.next().ok_or_else(|| std::io::Error::other("the name of the proxy has no address"))
    }

    /// User name and password, where the proxy asks for them.
    pub(super) fn credentials(&self) -> Option<(&str, &SecretString)> {
        self.credentials.as_ref().map(|(user, password)| (user.as_str(), password))
    }
}

/// SOCKS5 has one byte for the length.
fn fits(text: &str) -> bool {
    (1..=255).contains(&text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(host: &str, user: &str, password: &str) -> Result<Socks5, ProxyError> {
        Socks5::new(host, 1080, Some((user.to_owned(), password.into())))
    }

    #[tokio::test]
    async fn a_proxy_is_found_by_address_or_name() {
        let with_password = proxy("127.0.0.1", "me", "s3cret @:%").unwrap();
        assert_eq!(with_password.resolve().await.unwrap().to_string(), "127.0.0.1:1080");
        let (user, password) = with_password.credentials().unwrap();
        assert_eq!((user, password.expose_secret()), ("me", "s3cret @:%"));
        let open = Socks5::new("::1", 1, None).unwrap();
        assert_eq!(open.resolve().await.unwrap().to_string(), "[::1]:1");
        assert!(open.credentials().is_none());
    }

    #[test]
    fn unusable_proxies_are_refused() {
        assert_eq!(proxy("", "a", "b").unwrap_err(), ProxyError::Host);
        assert_eq!(proxy("a/b", "a", "b").unwrap_err(), ProxyError::Host);
        assert_eq!(proxy("h", "a", "").unwrap_err(), ProxyError::Credentials);
        assert_eq!(proxy("h", "a", &"b".repeat(256)).unwrap_err(), ProxyError::Credentials);
        assert_eq!(proxy("h", "", "b").unwrap_err(), ProxyError::Credentials);
        assert_eq!(Socks5::new("h", 0, None).unwrap_err(), ProxyError::Port);
    }

    #[test]
    fn secrets_do_not_print() {
        let text = format!("{:?}", proxy("h", "me", "s3cret").unwrap());
        assert!(!text.contains("s3cret"), "{text}");
    }
}
