//! Section `http`: the server.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::reader::{Reader, is_http_url};

/// The HTTP server.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Address and port to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Path under which a gateway publishes the service: empty, or with a leading and no trailing slash.
    pub base_path: String,
    /// Address under which the service is reached from outside, with the base path and without a slash at its end.
    pub public_url: Option<String>,
    /// Addresses or networks (`address/bits`) of gateways whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<String>,
    /// Origins (`scheme://host[:port]`) whose pages may call the API.
    pub cors_origins: Vec<String>,
    /// Time limit of a request.
    pub request_timeout: Duration,
    /// Largest body of a request, in bytes.
    pub body_limit: usize,
    /// Requests that run at the same time.
    pub max_concurrent_requests: usize,
    /// Largest head of a request, in bytes.
    pub header_limit: usize,
    /// How long requests are still taken after the service has said that it is not ready any more.
    pub drain: Duration,
    /// How long a shutdown waits for what is running; longer than `drain`.
    pub shutdown: Duration,
}

impl HttpSettings {
    pub(super) fn read(mut from: Reader<'_>) -> Self {
        Self {
            bind: from.parse("bind", "an address with a port, such as 127.0.0.1:8080 or [::]:8080"),
            base_path: from.required(
                "base_path",
                "empty, or a path such as /integrations without a slash at its end",
                is_base_path,
            ),
            public_url: from
                .optional("public_url", "an address such as https://api.example.com, without a query", is_public_url)
                .map(|url| url.trim_end_matches('/').to_owned()),
            trusted_proxies: from.list(
                "trusted_proxies",
                "addresses or networks, such as 10.0.0.5 or 10.0.0.0/8",
                is_network,
            ),
            cors_origins: from.list(
                "cors_origins",
                "origins, such as https://app.example.com, without a path",
                is_origin,
            ),
            request_timeout: from.seconds("request_timeout_seconds", 1..=3600),
            body_limit: from.integer("body_limit_bytes", 1024..=1 << 30),
            max_concurrent_requests: from.integer("max_concurrent_requests", 1..=1_000_000),
            // The HTTP library needs a buffer of at least 8 KiB for a head.
            header_limit: from.integer("header_limit_bytes", 8192..=1 << 20),
            drain: from.seconds("drain_seconds", 0..=300),
            shutdown: from.seconds("shutdown_seconds", 1..=3600),
        }
    }
}

fn is_base_path(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix('/').is_some_and(|rest| {
            rest.split('/').all(|part| {
                !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
            })
        })
}

fn is_public_url(text: &str) -> bool {
    is_http_url(text) && !text.contains(['?', '#', '@'])
}

fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').unwrap_or((text, "0"));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

fn is_origin(text: &str) -> bool {
    is_http_url(text) && text.splitn(4, '/').count() == 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_paths() {
        assert!(["", "/a", "/a/b-c", "/v1.0"].into_iter().all(is_base_path));
        assert!(!["/", "a", "/a/", "//a", "/a b", "/{id}"].into_iter().any(is_base_path));
    }

    #[test]
    fn networks() {
        assert!(["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8", "0.0.0.0/0"].into_iter().all(is_network));
        assert!(!["", "host", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129"].into_iter().any(is_network));
    }

    #[test]
    fn origins() {
        assert!(["https://app.example.com", "http://localhost:3000"].into_iter().all(is_origin));
        assert!(!["*", "app.example.com", "https://app.example.com/", "https://a/b"].into_iter().any(is_origin));
    }
}
