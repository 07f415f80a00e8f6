//! How people name a channel or group: by `@name`, by a link, or by a number.

use platform::ChatRef;

/// Ids of chats have at most 52 significant bits.
const MAX_ID: i64 = 1 << 52;
/// What the ids of supergroups and channels begin with, as bots know them.
const CHANNEL_BASE: i64 = 1_000_000_000_000;
/// Hosts of Telegram's links.
const HOSTS: [&str; 3] = ["t.me", "telegram.me", "telegram.dog"];
/// First parts of Telegram's links that lead to no chat.
const NO_CHATS: [&str; 18] = [
    "addemoji",
    "addlist",
    "addstickers",
    "addtheme",
    "bg",
    "boost",
    "confirmphone",
    "contact",
    "giftcode",
    "invoice",
    "iv",
    "login",
    "m",
    "nft",
    "proxy",
    "setlanguage",
    "share",
    "socks",
];

/// Why a text names no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It has none of the forms.
    #[error(
        "must be `@name`, a link such as `https://t.me/name`, `https://t.me/c/1234567890` or `https://t.me/+AbCd…`, or a numeric id \
         such as -1001234567890"
    )]
    Form,
    /// The name cannot be one.
    #[error("must name it by 4 to 32 Latin letters, digits or _, the first a letter")]
    Name,
    /// The link is one of Telegram's others.
    #[error("is a link of Telegram that leads to no channel or group")]
    OtherLink,
    /// The link is a phone number.
    #[error("is a link to a person, not to a channel or group")]
    Phone,
    /// The number cannot be one of a chat.
    #[error("must be the id of a chat: not 0 and below 2^52")]
    Number,
}

/// Reads it.
///
/// # Errors
/// [`ReferenceError`], in words for whoever wrote the text.
pub fn parse(text: &str) -> Result<ChatRef, ReferenceError> {
    let text = text.trim();
    if let Some(name) = text.strip_prefix('@') {
        return by_name(name);
    }
    if let Some(query) = text.strip_prefix("tg://") {
        return by_deep_link(query);
    }
    let bare = ["https://", "http://"].iter().find_map(|scheme| strip_prefix(text, scheme)).unwrap_or(text);
    if let Some((host, path)) = split_host(bare) {
        return by_link(&host, path);
    }
    match text.parse() {
        Ok(id) => by_number(id),
        Err(_) if is_number(text) => Err(ReferenceError::Number),
        Err(_) => Err(ReferenceError::Form),
    }
}

/// A number: as bots know chats, or as MTProto does.
///
/// # Errors
/// The number cannot be one of a chat.
pub fn by_number(id: i64) -> Result<ChatRef, ReferenceError> {
    match id {
        i64::MIN | 0 => Err(ReferenceError::Number),
        id if id.abs() >= MAX_ID => Err(ReferenceError::Number),
        // Bare: of a channel or supergroup, or of a basic group. People cannot be connected.
        id if id > 0 => match channel(id) {
            Some(channel) => Ok(ChatRef::AnyOf(vec![channel, -id])),
            None => Err(ReferenceError::Number),
        },
        id => Ok(ChatRef::Id(id)),
    }
}

fn channel(bare: i64) -> Option<i64> {
    (bare > 0 && bare < MAX_ID - CHANNEL_BASE).then(|| -CHANNEL_BASE - bare)
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn by_name(name: &str) -> Result<ChatRef, ReferenceError> {
    let good = (4..=32).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if good { Ok(ChatRef::Name(name.to_ascii_lowercase())) } else { Err(ReferenceError::Name) }
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix)).map(|_| &text[prefix.len()..])
}

/// The host of a link, in lower case, if it is one of Telegram's, with what follows it.
fn split_host(link: &str) -> Option<(String, &str)> {
    let (host, rest) = link.split_once('/').unwrap_or((link, ""));
    let host = host.to_ascii_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host).to_owned();
    let is_telegrams =
        HOSTS.contains(&host.as_str()) || host.strip_suffix(".t.me").is_some_and(|name| !name.is_empty());
    is_telegrams.then_some((host, rest))
}

fn by_link(host: &str, rest: &str) -> Result<ChatRef, ReferenceError> {
    if let Some(name) = host.strip_suffix(".t.me") {
        return by_name(name);
    }
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let (Some(first), second) = (parts.next(), parts.next()) else { return Err(ReferenceError::Form) };
    match (first, second) {
        ("c", Some(id)) => id.parse().ok().and_then(channel).map(ChatRef::Id).ok_or(ReferenceError::Form),
        ("s", Some(name)) => by_name(name),
        ("joinchat", Some(hash)) => by_invite(hash),
        (hash, _) if hash.starts_with('+') => by_invite(&hash[1..]),
        (hash, _) if hash.starts_with("%2B") || hash.starts_with("%2b") => by_invite(&hash[3..]),
        (other, _) if NO_CHATS.contains(&other) || other.starts_with('$') => Err(ReferenceError::OtherLink),
        (name, _) => by_name(name),
    }
}

fn by_invite(hash: &str) -> Result<ChatRef, ReferenceError> {
    if hash.bytes().all(|b| b.is_ascii_digit()) && !hash.is_empty() {
        return Err(ReferenceError::Phone);
    }
    let good =
        (10..=64).contains(&hash.len()) && hash.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if good { Ok(ChatRef::Invite(hash.to_owned())) } else { Err(ReferenceError::Form) }
}

/// `tg://resolve?domain=name`, `tg://join?invite=hash`, `tg://privatepost?channel=1234567890&post=1`.
fn by_deep_link(link: &str) -> Result<ChatRef, ReferenceError> {
    let (what, query) = link.split_once('?').ok_or(ReferenceError::Form)?;
    let value = |name: &str| query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
    match (what.trim_end_matches('/'), value("domain"), value("invite"), value("channel")) {
        ("resolve", Some((_, name)), _, _) => by_name(name),
        ("join", _, Some((_, hash)), _) => by_invite(hash),
        ("privatepost", _, _, Some((_, id))) => {
            id.parse().ok().and_then(channel).map(ChatRef::Id).ok_or(ReferenceError::Form)
        }
        _ => Err(ReferenceError::OtherLink),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_is_understood() {
        let name = || ChatRef::Name("news_24".to_owned());
        let invite = || ChatRef::Invite("AbCdEfGhIjKl_-12".to_owned());
        for (text, chat) in [
            ("@News_24", name()),
            (" @news_24 ", name()),
            ("https://t.me/news_24", name()),
            ("HTTPS://T.ME/news_24/", name()),
            ("http://telegram.me/news_24?start=x", name()),
            ("t.me/news_24/17#x", name()),
            ("https://t.me/s/news_24", name()),
            ("https://news_24.t.me", name()),
            ("www.telegram.dog/news_24", name()),
            ("tg://resolve?domain=news_24", name()),
            ("https://t.me/+AbCdEfGhIjKl_-12", invite()),
            ("https://t.me/%2BAbCdEfGhIjKl_-12", invite()),
            ("t.me/joinchat/AbCdEfGhIjKl_-12", invite()),
            ("tg://join?invite=AbCdEfGhIjKl_-12", invite()),
            ("https://t.me/c/1234567890", ChatRef::Id(-1_001_234_567_890)),
            ("https://t.me/c/1234567890/5/7", ChatRef::Id(-1_001_234_567_890)),
            ("tg://privatepost?channel=1234567890&post=3", ChatRef::Id(-1_001_234_567_890)),
            ("-1001234567890", ChatRef::Id(-1_001_234_567_890)),
            ("-4567", ChatRef::Id(-4567)),
            ("1234567890", ChatRef::AnyOf(vec![-1_001_234_567_890, -1_234_567_890])),
        ] {
            assert_eq!(parse(text), Ok(chat), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_told_why() {
        use ReferenceError::{Form, Name, Number, OtherLink, Phone};
        for (text, error) in [
            ("", Form),
            ("news", Form),
            ("новости", Form),
            ("https://example.com/news_24", Form),
            ("https://t.me", Form),
            ("https://t.me/", Form),
            ("https://t.me/c/abc", Form),
            ("https://t.me/+short", Form),
            ("https://t.me/joinchat/AbCd EfGhIjKl", Form),
            ("tg://resolve", Form),
            ("@abc", Name),
            ("@1news", Name),
            ("@ne ws", Name),
            ("@новости", Name),
            ("https://t.me/ab", Name),
            ("https://t.me/+79161234567", Phone),
            ("https://t.me/addstickers/Animals", OtherLink),
            ("https://t.me/$invoice", OtherLink),
            ("tg://settings?x=1", OtherLink),
            ("0", Number),
            ("99999999999999999999", Number),
            ("-4503599627370496", Number),
            ("4503599627370495", Number),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".{0,80}") {
            let _ = parse(&text);
            let _ = parse(&format!("https://t.me/{text}"));
            let _ = parse(&format!("tg://{text}"));
        }
    }
}
