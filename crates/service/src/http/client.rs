//! Where a request comes from, also behind gateways.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::extract::ConnectInfo;
use http::{Extensions, HeaderMap};

/// The origin of a request, kept in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The address of the caller; `None` without a connection, as in tests.
    pub address: Option<IpAddr>,
    /// True when the caller spoke HTTPS to the gateway.
    pub https: bool,
}

impl Client {
    /// `X-Forwarded-*` counts only as far as trusted proxies wrote it: from the right, up to the first foreign address.
    pub fn of(headers: &HeaderMap, extensions: &Extensions, trusted: &[Network]) -> Self {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
        let Some(mut address) = peer.filter(|peer| is_trusted(*peer)) else {
            return Self { address: peer, https: false };
        };
        for hop in forwarded_for(headers).into_iter().rev() {
            let Some(hop) = hop else { break };
            address = hop;
            if !is_trusted(address) {
                break;
            }
        }
        let proto = headers.get_all("x-forwarded-proto").iter().next_back().and_then(|value| value.to_str().ok());
        let nearest = proto.and_then(|value| value.rsplit(',').next()).unwrap_or_default();
        Self { address: Some(address), https: nearest.trim().eq_ignore_ascii_case("https") }
    }
}

/// The addresses in all `X-Forwarded-For` headers; `None` for one that is no address.
fn forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = headers.get_all("x-forwarded-for").iter();
    let hops = values.flat_map(|value| value.to_str().unwrap_or("-").split(','));
    hops.map(|hop| parse_hop(hop.trim())).collect()
}

/// An address, with or without a port.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let address = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// A range of addresses, such as `10.0.0.0/8`, `::1` or `fd00::/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// True when the address lies in the range.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.prefix,
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.prefix,
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let error = || format!("`{text}` is neither an address nor a range such as 10.0.0.0/8");
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| error())?;
        if prefix > bits {
            return Err(error());
        }
        Ok(Self { address, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> Client {
        let trusted = ["10.0.0.0/8", "::1"].map(|text| text.parse().unwrap());
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1)));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Client::of(&map, &extensions, &trusted)
    }

    fn address(peer: &str, forwarded: &str) -> String {
        client(peer, &[("x-forwarded-for", forwarded)]).address.unwrap().to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(address("192.0.2.1", "198.51.100.7"), "192.0.2.1");
        assert_eq!(address("10.1.1.1", "198.51.100.7"), "198.51.100.7");
        assert_eq!(address("::1", "2001:db8::5"), "2001:db8::5");
        assert_eq!(address("::ffff:10.1.1.1", "198.51.100.7:4711"), "198.51.100.7");
    }

    #[test]
    fn the_chain_is_read_from_the_right_up_to_the_first_foreign_address() {
        assert_eq!(address("10.1.1.1", "1.1.1.1, 198.51.100.7, 10.2.2.2"), "198.51.100.7");
        assert_eq!(address("10.1.1.1", "198.51.100.7, unknown, 10.2.2.2"), "10.2.2.2");
        assert_eq!(address("10.1.1.1", "10.3.3.3"), "10.3.3.3");
        assert_eq!(address("10.1.1.1", ""), "10.1.1.1");
    }

    #[test]
    fn the_scheme_comes_from_the_nearest_proxy() {
        assert!(client("10.1.1.1", &[("x-forwarded-proto", "http, HTTPS")]).https);
        assert!(!client("10.1.1.1", &[("x-forwarded-proto", "https, http")]).https);
        assert!(!client("192.0.2.1", &[("x-forwarded-proto", "https")]).https);
    }

    #[test]
    fn ranges_are_parsed_and_checked() {
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("255.1.2.3".parse().unwrap()));
        assert!(!all.contains("::1".parse().unwrap()));
        for bad in ["", "x", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0.0/8/8"] {
            assert!(bad.parse::<Network>().unwrap_err().contains("10.0.0.0/8"), "{bad}");
        }
    }
}
