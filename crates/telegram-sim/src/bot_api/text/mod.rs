//! Text with entities: the three parse modes, checks of entities that clients supply, and the clean-up that Telegram
//! does before it stores a text.

mod clean;
mod html;
mod legacy;
mod markdown;
mod supplied;

use self::clean::{clean, tidy};
use self::supplied::read_entities;
pub use self::supplied::wrong_url;

use serde_json::Value;

use super::reply::ApiError;
use crate::world::{Entity, EntityKind};

/// The most code points in a message.
pub const MAX_TEXT: usize = 4096;
/// The most code points in a caption.
pub const MAX_CAPTION: usize = 1024;

/// Text without markup, and its formatted ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Formatted {
    /// The text.
    pub text: String,
    /// Ranges, ordered by offset, outer ones first.
    pub entities: Vec<Entity>,
}

/// Parses `text` by the name of a parse mode (in any case; empty is plain text) and cleans it up.
pub fn parse(text: &str, mode: &str) -> Result<Formatted, ApiError> {
    clean(parse_raw(text, mode)?)
}

/// The text of a message from markup or, without a parse mode, from text and entities.
pub fn read_text(text: &str, mode: &str, entities: Option<Value>) -> Result<Formatted, ApiError> {
    if text.is_empty() {
        return Err(ApiError::bad_request("message text is empty"));
    }
    clean(read_raw(text, mode, entities)?)
}

/// The same for a caption, which may be empty.
pub fn read_caption(text: &str, mode: &str, entities: Option<Value>) -> Result<Formatted, ApiError> {
    let caption = tidy(read_raw(text, mode, entities)?);
    if caption.text.chars().count() > MAX_CAPTION {
        return Err(ApiError::bad_request("message caption is too long"));
    }
    Ok(caption)
}

fn read_raw(text: &str, mode: &str, entities: Option<Value>) -> Result<Formatted, ApiError> {
    if !mode.is_empty() {
        return parse_raw(text, mode);
    }
    let entities = entities.map(|entities| read_entities(entities, text)).transpose()?;
    Ok(Formatted { text: text.to_owned(), entities: entities.unwrap_or_default() })
}

fn parse_raw(text: &str, mode: &str) -> Result<Formatted, ApiError> {
    let parsed = match mode.trim().to_lowercase().as_str() {
        "" | "none" => Ok(Formatted { text: text.to_owned(), entities: Vec::new() }),
        "html" => html::parse(text),
        "markdownv2" => markdown::parse(text),
        "markdown" => legacy::parse(text),
        _ => return Err(ApiError::bad_request("unsupported parse_mode")),
    };
    parsed.map_err(|what| ApiError::bad_request(format_args!("can't parse entities: {what}")))
}

/// Collects text and entities while parsing.
#[derive(Debug, Default)]
struct Builder {
    text: String,
    utf16: u32,
    entities: Vec<Entity>,
}

impl Builder {
    fn push(&mut self, c: char) {
        self.text.push(c);
        self.utf16 += if u32::from(c) > 0xFFFF { 2 } else { 1 };
    }

    /// Adds the range from `offset` (UTF-16) to here; an empty range is nothing.
    fn close(&mut self, offset: u32, kind: EntityKind) {
        if self.utf16 > offset {
            self.entities.push(Entity { offset, length: self.utf16 - offset, kind });
        }
    }

    fn finish(self) -> Formatted {
        Formatted { text: self.text, entities: self.entities }
    }
}

/// What a link in markup means: `tg://user?id=…` mentions a user, a valid address is a link, others are nothing.
fn link_kind(url: &str) -> Option<EntityKind> {
    if let Some(id) = url.strip_prefix("tg://user?id=") {
        return Some(EntityKind::TextMention { user_id: id.parse().ok().filter(|id| *id > 0)? });
    }
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    if wrong_url(&url).is_some() { None } else { Some(EntityKind::TextLink { url: with_path(url) }) }
}

/// Telegram writes a bare host with a slash.
fn with_path(url: String) -> String {
    let after_scheme = url.split_once("://").map_or("", |(_, rest)| rest);
    let is_web = url.starts_with("http");
    if is_web && !after_scheme.contains(['/', '?', '#']) { url + "/" } else { url }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes in, parsing ends, and every entity is a range of whole characters that nests in those before.
        #[test]
        fn entities_are_ranges_of_the_text(text in "([ab😀 \n]|[<>/\\\\&;=\"_*\\[\\]()~`|!#.-]|<b>|</b>|<a href=|```){0,40}") {
            for mode in ["", "html", "markdown", "markdownv2"] {
                let Ok(parsed) = parse(&text, mode) else { continue };
                let mut starts: Vec<u32> = vec![0];
                for c in parsed.text.chars() {
                    starts.push(starts[starts.len() - 1] + if u32::from(c) > 0xFFFF { 2 } else { 1 });
                }
                let mut open: Vec<u32> = Vec::new();
                for entity in &parsed.entities {
                    let end = entity.offset + entity.length;
                    prop_assert!(entity.length > 0 && starts.contains(&entity.offset) && starts.contains(&end));
                    open.retain(|outer| *outer > entity.offset);
                    prop_assert!(open.iter().all(|outer| *outer >= end), "{mode}: {parsed:?}");
                    open.push(end);
                }
            }
        }
    }
}
