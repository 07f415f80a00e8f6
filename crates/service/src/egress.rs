//! Addresses that users give: where they may lead, and requests to them.
//!
//! A user who names an address lets this service speak in its own network. So a name is resolved here, each of its addresses is
//! judged, and the connection goes to one of exactly these: what the name says a moment later counts for nothing. There is no proxy,
//! and each redirect is judged anew.
//!
//! - [`address`]: which addresses are public;
//! - [`connect`]: connections that go only where they may;
//! - [`get`]: fetches an address.

pub mod address;
pub mod connect;
pub mod get;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use hyper_rustls::ConfigBuilderExt as _;
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

use crate::http::Network;
use crate::settings::EgressSettings;

/// The longest address.
const LONGEST: usize = 2048;

/// Why an address is not used. The texts are for whoever gave it, and tell nothing of the network that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It cannot be parsed.
    #[error("it is not an absolute address such as https://example.com/picture.jpg, of at most {LONGEST} characters")]
    Syntax,
    /// Another scheme.
    #[error("only http and https are spoken")]
    Scheme,
    /// It holds a user name or a password.
    #[error("it holds a user name or a password, which would be stored in clear")]
    UserInfo,
    /// Another port.
    #[error("its port is not one of those that the operator allows (`egress.ports`)")]
    Port,
    /// It leads into a network that is not public.
    #[error("it leads to an address that is not public")]
    Address,
    /// It was redirected too often.
    #[error("it leads to too many redirects")]
    Redirects,
}

/// The rules for addresses that users give.
#[derive(Debug, Clone)]
pub struct Egress(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    ports: Vec<u16>,
    allow: Vec<Network>,
    tls: OnceLock<ClientConfig>,
}

impl Egress {
    /// The rules of the settings.
    pub fn new(settings: &EgressSettings) -> Self {
        let rules = Rules { ports: settings.ports.clone(), allow: settings.allow.clone(), tls: OnceLock::new() };
        Self(Arc::new(rules))
    }

    /// Parses an address and checks what can be seen without asking for its name.
    pub fn check(&self, text: &str) -> Result<Url, Refused> {
        if text.len() > LONGEST || text.chars().any(char::is_whitespace) {
            return Err(Refused::Syntax);
        }
        let url: Url = text.parse().map_err(|_| Refused::Syntax)?;
        self.check_parsed(&url)?;
        Ok(url)
    }

    /// The same for a parsed address, such as where a server redirects to.
    fn check_parsed(&self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInfo);
        }
        let port = url.port_or_known_default().ok_or(Refused::Port)?;
        match url.host().ok_or(Refused::Syntax)? {
            Host::Ipv4(address) => self.judge(address.into(), port),
            Host::Ipv6(address) => self.judge(address.into(), port),
            // Its port is judged with its addresses: those that the operator allows may be reached at any.
            Host::Domain("") => Err(Refused::Syntax),
            Host::Domain(_) if self.0.ports.contains(&port) || !self.0.allow.is_empty() => Ok(()),
            Host::Domain(_) => Err(Refused::Port),
        }
    }

    /// Judges one address.
    pub fn judge(&self, address: IpAddr, port: u16) -> Result<(), Refused> {
        let address = address::plain(address);
        if self.0.allow.iter().any(|network| network.contains(address)) {
            return Ok(());
        }
        if !address::is_public(address) {
            return Err(Refused::Address);
        }
        if self.0.ports.contains(&port) { Ok(()) } else { Err(Refused::Port) }
    }

    /// The certificates that servers are checked against: those of the system. Without them, no server is believed.
    fn tls(&self) -> ClientConfig {
        let make = || {
            let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("the provider has ciphers for the default versions of TLS");
            let with_roots = builder.clone().with_native_roots().unwrap_or_else(|error| {
                tracing::error!(%error, "the system's root certificates cannot be read: no https address can be fetched");
                builder.with_root_certificates(RootCertStore::empty())
            });
            with_roots.with_no_client_auth()
        };
        self.0.tls.get_or_init(make).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(ports: &[u16], allow: &[&str]) -> Egress {
        let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
        Egress::new(&EgressSettings { ports: ports.to_vec(), allow })
    }

    #[test]
    fn what_can_be_seen_of_an_address_is_checked() {
        let egress = egress(&[80, 443], &[]);
        for good in [
            "https://example.com/a.jpg?b=c#d",
            "http://example.com",
            "HTTPS://EXAMPLE.com:443/",
            "http://8.8.8.8/",
            "https://[2606:4700::1]/x",
            "https://пример.рф/",
        ] {
            assert!(egress.check(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", Refused::Syntax),
            ("/a.jpg", Refused::Syntax),
            ("example.com/a.jpg", Refused::Syntax),
            ("http://", Refused::Syntax),
            ("http://a b/", Refused::Syntax),
            ("http://exa\nmple.com/", Refused::Syntax),
            ("ftp://example.com/", Refused::Scheme),
            ("file:///etc/passwd", Refused::Scheme),
            ("gopher://127.0.0.1:6379/_x", Refused::Scheme),
            ("data:text/plain,x", Refused::Scheme),
            ("http://user@example.com/", Refused::UserInfo),
            ("http://user:word@example.com/", Refused::UserInfo),
            ("http://example.com:8080/", Refused::Port),
            ("http://example.com:22/", Refused::Port),
            ("http://8.8.8.8:22/", Refused::Port),
            ("http://127.0.0.1/", Refused::Address),
            ("http://127.1/", Refused::Address),
            ("http://2130706433/", Refused::Address),
            ("http://0x7f.0.0.1/", Refused::Address),
            ("http://0177.0.0.1/", Refused::Address),
            ("http://169.254.169.254/latest/meta-data/", Refused::Address),
            ("http://[::1]/", Refused::Address),
            ("http://[::ffff:10.0.0.1]/", Refused::Address),
        ] {
            assert_eq!(egress.check(bad), Err(why), "{bad}");
        }
        assert_eq!(egress.check(&format!("http://example.com/{}", "x".repeat(LONGEST))), Err(Refused::Syntax));
    }

    #[test]
    fn what_the_operator_allows_may_be_reached_at_any_port_and_nothing_else() {
        let egress = egress(&[443], &["10.1.0.0/16", "fd00:1::/32"]);
        for good in ["http://10.1.2.3:9000/", "http://[fd00:1::5]:81/", "http://[::ffff:10.1.2.3]/"] {
            assert!(egress.check(good).is_ok(), "{good}");
        }
        for bad in ["http://10.2.0.1/", "http://127.0.0.1/", "http://[fd00:2::5]/"] {
            assert_eq!(egress.check(bad), Err(Refused::Address), "{bad}");
        }
        assert_eq!(egress.check("http://8.8.8.8:9000/"), Err(Refused::Port));
    }
}
