//! What JSON must satisfy before its shape is looked at: valid syntax, bounded depth, no key twice, no NUL character
//! (which PostgreSQL cannot store).

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Arrays and objects may be nested this deep.
pub const MAX_DEPTH: usize = 32;

/// Why a text is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not JSON. The text says where and why.
    Syntax(String),
    /// JSON that the service does not accept: JSON pointer and message.
    Content {
        /// Where, as a JSON pointer.
        pointer: String,
        /// What is wrong there.
        message: String,
    },
}

/// Checks the whole text.
pub fn check(text: &str) -> Result<(), Fault> {
    let mut state = State { path: Vec::new(), fault: None };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let outcome = Check(&mut state).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match (outcome, state.fault) {
        (_, Some(fault)) => Err(fault),
        (Err(error), None) => Err(Fault::Syntax(error.to_string())),
        (Ok(()), None) => Ok(()),
    }
}

/// Writes one segment of a JSON pointer (RFC 6901).
pub fn push_segment(pointer: &mut String, segment: &str) {
    pointer.push('/');
    for character in segment.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

struct State {
    path: Vec<String>,
    fault: Option<Fault>,
}

impl State {
    fn refuse<E: serde::de::Error>(&mut self, message: String) -> E {
        let mut pointer = String::new();
        for segment in &self.path {
            push_segment(&mut pointer, segment);
        }
        self.fault = Some(Fault::Content { pointer, message });
        E::custom("refused")
    }

    fn enter<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if self.path.len() >= MAX_DEPTH {
            return Err(self.refuse(format!("is nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    fn text<E: serde::de::Error>(&mut self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            return Err(self.refuse("contains a NUL character (U+0000): remove it".into()));
        }
        Ok(())
    }
}

struct Check<'a>(&'a mut State);

impl<'de> DeserializeSeed<'de> for Check<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.0.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.0.enter()?;
        let mut index = 0_usize;
        loop {
            self.0.path.push(index.to_string());
            let next = items.next_element_seed(Check(self.0))?;
            self.0.path.pop();
            if next.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.0.enter()?;
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.0.text::<A::Error>(&key)?;
            self.0.path.push(key.clone());
            if !seen.insert(key) {
                return Err(self.0.refuse("appears twice in the same object".into()));
            }
            entries.next_value_seed(Check(self.0))?;
            self.0.path.pop();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> (String, String) {
        match check(text) {
            Err(Fault::Content { pointer, message }) => (pointer, message),
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn ordinary_json_passes() {
        assert_eq!(check(r#"{"a": [1, -2, 1.5, true, null, "ё"], "b": {"a": {}}}"#), Ok(()));
        assert_eq!(check("17"), Ok(()));
    }

    #[test]
    fn a_nul_character_is_found_in_values_and_keys() {
        assert_eq!(content(r#"{"a": [0, "x\u0000"]}"#).0, "/a/1");
        assert!(content(r#"{"a\u0000": 1}"#).1.contains("NUL"));
    }

    #[test]
    fn a_key_given_twice_is_named_also_when_it_is_escaped() {
        assert_eq!(content(r#"{"a": {"x": 1, "\u0078": 2}}"#).0, "/a/x");
        assert_eq!(content(r#"{"a/b~": 1, "a/b~": 2}"#).0, "/a~1b~0");
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check(&nested(MAX_DEPTH)), Ok(()));
        assert!(content(&nested(MAX_DEPTH + 1)).1.contains("32 levels"));
        assert!(content(&nested(100_000).replace("][", "]")).1.contains("32 levels"));
    }

    #[test]
    fn bad_syntax_says_where() {
        for text in ["", "{", "{\"a\":}", "{} x", "\"\\ud800\"", "1e999", "{'a': 1}", "[1,]", "NaN", "\u{feff}{}"] {
            let Err(Fault::Syntax(message)) = check(text) else { panic!("{text:?} was accepted") };
            assert!(message.contains("line 1 column") || message.contains("EOF"), "{text:?}: {message}");
        }
    }
}
