//! Reads typed, checked values out of the layers. A value that is wrong is noted and replaced by its default, so that one
//! start shows everything that is wrong.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use toml::Value;

use super::layers::{Layers, SECRETS};

/// Reads the keys of one section.
pub(super) struct Reader<'a> {
    layers: &'a mut Layers,
    section: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader for the keys of `section`, which may be dotted, or empty for the top level.
    pub(super) fn new(layers: &'a mut Layers, section: &'static str) -> Self {
        Self { layers, section }
    }

    /// A whole number in a range.
    pub(super) fn integer<T>(&mut self, name: &str, range: RangeInclusive<T>) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let key = self.key(name);
        let number = |value: &Value| value.as_integer().and_then(|number| T::try_from(number).ok());
        if let Some(value) = number(self.layers.get(&key)).filter(|value| range.contains(value)) {
            return value;
        }
        self.layers.reject(&key, format!("a whole number from {} to {}", range.start(), range.end()));
        number(self.layers.default(&key)).expect("the default is in range")
    }

    /// True or false.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        let key = self.key(name);
        self.layers.get(&key).as_bool().unwrap_or_default()
    }

    /// A number of seconds in a range.
    pub(super) fn seconds(&mut self, name: &str, range: RangeInclusive<u32>) -> Duration {
        Duration::from_secs(self.integer(name, range).into())
    }

    /// A text that passes `check`, or is empty, which is `None`.
    pub(super) fn optional(&mut self, name: &str, expected: &str, check: impl Fn(&str) -> bool) -> Option<String> {
        let key = self.key(name);
        let text = text(self.layers.get(&key));
        if text.is_empty() {
            return None;
        }
        if check(text) {
            return Some(text.to_owned());
        }
        self.layers.reject(&key, expected);
        None
    }

    /// A text that parses as `T`.
    pub(super) fn parse<T: FromStr>(&mut self, name: &str, expected: &str) -> T {
        let key = self.key(name);
        if let Ok(value) = text(self.layers.get(&key)).parse() {
            return value;
        }
        self.layers.reject(&key, expected);
        text(self.layers.default(&key)).parse().ok().expect("the default parses")
    }

    /// A text that passes `check`.
    pub(super) fn required(&mut self, name: &str, expected: &str, check: impl Fn(&str) -> bool) -> String {
        let key = self.key(name);
        let given = text(self.layers.get(&key));
        if check(given) {
            return given.to_owned();
        }
        self.layers.reject(&key, expected);
        text(self.layers.default(&key)).to_owned()
    }

    /// A secret that passes `check`, or is empty, which is `None`.
    pub(super) fn secret(&mut self, name: &str, expected: &str, check: impl Fn(&str) -> bool) -> Option<SecretString> {
        debug_assert!(SECRETS.contains(&self.key(name).as_str()), "{name} must be listed as a secret");
        self.optional(name, expected, check).map(SecretString::from)
    }

    /// A list of texts that pass `check`.
    pub(super) fn list(&mut self, name: &str, expected: &str, check: impl Fn(&str) -> bool) -> Vec<String> {
        let key = self.key(name);
        let items = self.layers.get(&key).as_array().map(Vec::as_slice).unwrap_or_default();
        if items.iter().all(|item| check(text(item))) {
            return items.iter().map(|item| text(item).to_owned()).collect();
        }
        self.layers.reject(&key, expected);
        Vec::new()
    }

    /// Notes a problem between keys.
    pub(super) fn together(&mut self, problem: impl Into<String>) {
        self.layers.problems.push(super::error::Problem::Together(problem.into()));
    }

    fn key(&self, name: &str) -> String {
        if self.section.is_empty() { name.to_owned() } else { format!("{}.{name}", self.section) }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Whether the text is an absolute `http` or `https` address.
pub(super) fn is_http_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|h| !h.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_http_url_has_a_scheme_and_a_host() {
        assert!(is_http_url("https://api.telegram.org"));
        assert!(is_http_url("http://127.0.0.1:8081/bot-api"));
        for bad in ["api.telegram.org", "ftp://host", "http://", "https:///path", "/path", "http://a b"] {
            assert!(!is_http_url(bad), "{bad}");
        }
    }
}
