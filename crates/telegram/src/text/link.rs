//! Addresses of links: which ones Telegram takes, and in which form it stores them.

use std::net::Ipv6Addr;

use super::output::is_space;

/// Where a link leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To a user: `tg://user?id=…` makes a mention.
    User(i64),
    /// To an address, in Telegram's form.
    Url(String),
}

/// The largest id of a user.
const MAX_USER_ID: i64 = (1 << 40) - 1;

/// Where `address` leads; `None` when Telegram would not take it as an address.
pub(super) fn target(address: &str) -> Option<Target> {
    user(address).map(Target::User).or_else(|| checked(address).map(Target::Url))
}

/// Whether a number can be the id of a user.
pub(super) fn is_user_id(id: i64) -> bool {
    (1..=MAX_USER_ID).contains(&id)
}

fn user(address: &str) -> Option<i64> {
    let address = address.to_ascii_lowercase();
    let query = tg_path(&address)?.strip_prefix("user")?;
    parameter(query_of(query)?, "id").and_then(integer).filter(|&id| is_user_id(id))
}

/// The id in the address of a custom emoji, `tg://emoji?id=…`; the error says what is wrong with the address.
pub(super) fn custom_emoji(address: &str) -> Result<String, &'static str> {
    let address = address.to_ascii_lowercase();
    let path = tg_path(&address).ok_or("the address of a custom emoji does not begin with tg://emoji")?;
    let query = path
        .strip_prefix("emoji")
        .filter(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
        .ok_or("the address of a custom emoji does not begin with tg://emoji")?;
    let id =
        query_of(query).and_then(|query| parameter(query, "id")).ok_or("the address of a custom emoji has no id")?;
    custom_emoji_id(id).ok_or("the id of a custom emoji is not a number")
}

/// The id of a custom emoji in its only valid form: a whole number that is not zero.
pub(super) fn custom_emoji_id(id: &str) -> Option<String> {
    integer(id).filter(|&id| id != 0).map(|id| id.to_string())
}

fn tg_path(address: &str) -> Option<&str> {
    let path = address.strip_prefix("tg:")?;
    Some(path.strip_prefix("//").unwrap_or(path))
}

fn query_of(path: &str) -> Option<&str> {
    let query = path.strip_prefix('/').unwrap_or(path).strip_prefix('?')?;
    query.split('#').next()
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).find(|(key, _)| *key == name).map(|p| p.1)
}

/// A number without a sign, leading zeros or anything else around it.
fn integer(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

/// The address as Telegram stores it, or `None` when it takes none like this.
pub(super) fn checked(address: &str) -> Option<String> {
    for (prefix, scheme) in [("tg:", "tg"), ("ton:", "ton"), ("tonsite:", "tonsite")] {
        if let Some(rest) = strip_prefix_ignoring_case(address, prefix) {
            return app_address(rest.strip_prefix("//").unwrap_or(rest), scheme);
        }
    }
    let parts = Parts::read(address)?;
    (parts.host.contains('.') || parts.is_ipv6).then(|| parts.to_string())
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

/// Addresses that an app opens by itself.
fn app_address(rest: &str, scheme: &str) -> Option<String> {
    let parts = Parts::read(rest)?;
    let is_web = parts.is_https || strip_prefix_ignoring_case(rest, "http://").is_some();
    if is_web || !parts.userinfo.is_empty() || parts.port.is_some() || parts.is_ipv6 {
        return None;
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || (scheme == "tonsite" && c == '.');
    if !parts.host.chars().all(allowed) {
        return None;
    }
    let path = if parts.path.starts_with("/?") { &parts.path[1..] } else { &parts.path };
    Some(format!("{scheme}://{}{path}", parts.host))
}

/// The parts of a web address.
struct Parts<'a> {
    is_https: bool,
    userinfo: &'a str,
    host: String,
    is_ipv6: bool,
    port: Option<u16>,
    /// Path, query and fragment; begins with a slash.
    path: String,
}

impl<'a> Parts<'a> {
    fn read(address: &'a str) -> Option<Self> {
        let (is_https, rest) = split_scheme(address)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (userinfo_and_host, port) = split_port(authority)?;
        let (userinfo, host) = userinfo_and_host.rsplit_once('@').unwrap_or(("", userinfo_and_host));
        let is_ipv6 = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(ip) => ip.parse::<Ipv6Addr>().map(|_| true).ok()?,
            None => false,
        };
        if host.is_empty() || host == "." || !(is_ipv6 || is_host(host)) {
            return None;
        }
        Some(Self { is_https, userinfo, host: host.to_ascii_lowercase(), is_ipv6, port, path: canonical_path(path) })
    }
}

impl std::fmt::Display for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_https { "https://" } else { "http://" })?;
        if !self.userinfo.is_empty() {
            write!(f, "{}@", self.userinfo)?;
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

/// Whether the scheme is https, and the rest; without a scheme it is http. Other schemes are not taken.
fn split_scheme(address: &str) -> Option<(bool, &str)> {
    let end = address.find([':', '/', '?', '#', '@', '[', ']']).unwrap_or(address.len());
    let Some(rest) = address[end..].strip_prefix("://") else { return Some((false, address)) };
    match address[..end].to_ascii_lowercase().as_str() {
        "http" => Some((false, rest)),
        "https" => Some((true, rest)),
        _ => None,
    }
}

/// What stands before the port, and the port; `None` when it is no port.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rfind([':', ']', '@']) {
        Some(at) if at > 0 && authority[at..].starts_with(':') => {
            let digits = authority[at + 1..].trim_start_matches('0');
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let port = digits.parse().ok().filter(|_| is_number)?;
            Some((&authority[..at], Some(port)))
        }
        _ => Some((authority, None)),
    }
}

fn is_host(host: &str) -> bool {
    let mut rest = host;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '%' => {
                let hex = rest.as_bytes().get(1..3);
                if !hex.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
                    return false;
                }
                3
            }
            _ if c.is_ascii_alphanumeric() || !c.is_ascii() || "!$&'()*+,-.;=_~".contains(c) => c.len_utf8(),
            _ => return false,
        };
        rest = &rest[taken..];
    }
    true
}

fn canonical_path(path: &str) -> String {
    let path = path.trim_end_matches(|c: char| u8::try_from(c).is_ok_and(is_space));
    let mut canonical = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        canonical.push('/');
    }
    for c in path.chars() {
        if c <= ' ' {
            // Written digit by digit: these are at most 0x20.
            canonical.push_str(["%0", "%1", "%2"][c as usize / 16]);
            canonical.extend(char::from_digit(u32::from(c) % 16, 16).map(|digit| digit.to_ascii_uppercase()));
        } else {
            canonical.push(c);
        }
    }
    canonical
}

#[cfg(test)]
mod tests {
    use super::{Target, custom_emoji, target};

    #[test]
    fn addresses_get_the_form_that_telegram_stores() {
        for (address, stored) in [
            ("telegram.org", "http://telegram.org/"),
            ("HTTPS://Telegram.ORG/Path?Q=1#f", "https://telegram.org/Path?Q=1#f"),
            ("https://telegram.org?a b", "https://telegram.org/?a%20b"),
            ("http://user:pass@host.example:080/x \n", "http://user:pass@host.example:80/x"),
            ("http://[::1]/x", "http://[::1]/x"),
            ("http://приклад.укр/ї", "http://приклад.укр/ї"),
            ("mailto:someone@mail.example", "http://mailto:someone@mail.example/"),
            ("tg:resolve?domain=x", "tg://resolve?domain=x"),
            ("TG://Resolve?domain=X", "tg://resolve?domain=X"),
            ("ton://transfer/abc", "ton://transfer/abc"),
            ("tonsite://a.ton", "tonsite://a.ton/"),
            ("a.b/%20", "http://a.b/%20"),
        ] {
            assert_eq!(target(address), Some(Target::Url(stored.to_owned())), "{address}");
        }
    }

    #[test]
    fn what_is_no_address_is_not_taken() {
        for address in [
            "",
            "word",
            "localhost",
            ".",
            "ftp://a.b",
            "javascript:alert(1)",
            "tel:+123",
            "http://a b.c",
            "http://a.b:0",
            "http://a.b:65536",
            "http://a.b:",
            "http://%zz.b",
            "http://[::x]/",
            "tg://a.b",
            "tg://user@host",
            "tg:http://a",
            "tg://a:1",
            "a.b\0",
        ] {
            assert_eq!(target(address), None, "{address}");
        }
    }

    #[test]
    fn a_user_is_mentioned_by_id() {
        for address in ["tg://user?id=42", "tg:user?id=42", "TG://USER/?x=1&ID=42#f"] {
            assert_eq!(target(address), Some(Target::User(42)), "{address}");
        }
        for address in
            ["tg://user?id=042", "tg://user?id=0", "tg://user?id=-1", "tg://user?id=1099511627776", "tg://user?x=1"]
        {
            assert!(matches!(target(address), Some(Target::Url(_))), "{address}");
        }
    }

    #[test]
    fn custom_emoji_have_an_address_of_their_own() {
        assert_eq!(custom_emoji("TG://Emoji/?x=1&id=25#id=32"), Ok("25".to_owned()));
        for (address, problem) in [
            ("t://emoji?id=1", "begin with tg://emoji"),
            ("tg:emojis?id=1", "begin with tg://emoji"),
            ("tg://emoji#x", "has no id"),
            ("tg://emoji?x=1#&id=2", "has no id"),
            ("tg://emoji?id=025", "not a number"),
            ("tg://emoji?id=0", "not a number"),
        ] {
            let error = custom_emoji(address).expect_err(address);
            assert!(error.contains(problem), "{address}: {error}");
        }
    }
}
