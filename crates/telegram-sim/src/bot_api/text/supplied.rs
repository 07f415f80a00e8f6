//! Entities that a client supplies as JSON.

use serde_json::Value;

use crate::bot_api::reply::ApiError;
use crate::world::{Entity, EntityKind};

/// Telegram looks at no more than so many.
const MAX_ENTITIES: usize = 100;

/// Reads and checks a JSON array of `MessageEntity` for this text.
pub fn read_entities(value: Value, text: &str) -> Result<Vec<Entity>, ApiError> {
    let Value::Array(items) = value else {
        return Err(ApiError::bad_request("expected an Array of MessageEntity"));
    };
    let boundaries = Boundaries::new(text);
    let mut entities = Vec::new();
    for item in items.iter().take(MAX_ENTITIES) {
        if let Some(entity) = read_entity(item, &boundaries)? {
            entities.push(entity);
        }
    }
    Ok(entities)
}

/// Why Telegram would refuse this address: `None` if it would not.
pub fn wrong_url(url: &str) -> Option<&'static str> {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme.to_lowercase(), rest),
        None if url.starts_with("mailto:") || url.starts_with("tel:") => return None,
        None => ("http".to_owned(), url),
    };
    match scheme.as_str() {
        "tg" | "ton" | "tonsite" => return if rest.is_empty() { Some("Wrong HTTP URL") } else { None },
        "http" | "https" => {}
        _ => return Some("Unsupported URL protocol"),
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = host.rsplit_once(':').unwrap_or((host, "80"));
    if host.is_empty() {
        return Some("URL host is empty");
    }
    let valid_host = host == "localhost" || (host.contains('.') && !host.starts_with('.') && !host.ends_with('.'));
    let valid_host = valid_host && !host.chars().any(|c| c.is_whitespace() || c.is_control());
    if valid_host && port.parse::<u16>().is_ok() { None } else { Some("Wrong HTTP URL") }
}

fn read_entity(item: &Value, boundaries: &Boundaries) -> Result<Option<Entity>, ApiError> {
    let wrong = |what: &str| ApiError::bad_request(format_args!("can't parse MessageEntity: {what}"));
    if !item.is_object() {
        return Err(wrong("expected an Object"));
    }
    let number = |name: &str| match &item[name] {
        Value::Null => Err(wrong(&format!("Can't find field \"{name}\""))),
        value => value.as_i64().ok_or_else(|| wrong(&format!("Field \"{name}\" must be of type Number"))),
    };
    let (offset, length) = (number("offset")?, number("length")?);
    let name = item["type"].as_str().ok_or_else(|| wrong("Can't find field \"type\""))?;
    let Some(kind) = read_kind(name, item)? else { return Ok(None) };
    let range = boundaries.check(offset, length)?;
    Ok(range.map(|(offset, length)| Entity { offset, length, kind }))
}

/// `None` for kinds that Telegram does not know: they are ignored.
fn read_kind(name: &str, item: &Value) -> Result<Option<EntityKind>, ApiError> {
    let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
    let kind = match name {
        "mention" => EntityKind::Mention,
        "hashtag" => EntityKind::Hashtag,
        "cashtag" => EntityKind::Cashtag,
        "bot_command" => EntityKind::BotCommand,
        "url" => EntityKind::Url,
        "email" => EntityKind::Email,
        "phone_number" => EntityKind::PhoneNumber,
        "bold" => EntityKind::Bold,
        "italic" => EntityKind::Italic,
        "underline" => EntityKind::Underline,
        "strikethrough" => EntityKind::Strikethrough,
        "spoiler" => EntityKind::Spoiler,
        "blockquote" => EntityKind::Blockquote,
        "expandable_blockquote" => EntityKind::ExpandableBlockquote,
        "code" => EntityKind::Code,
        "pre" => EntityKind::Pre { language: Some(text("language")).filter(|language| !language.is_empty()) },
        "text_link" => EntityKind::TextLink { url: checked_url(text("url"))? },
        "text_mention" => {
            let id = item["user"]["id"].as_i64().filter(|id| *id > 0);
            EntityKind::TextMention { user_id: id.ok_or_else(|| ApiError::bad_request("user not found"))? }
        }
        "custom_emoji" => {
            let id = text("custom_emoji_id");
            if id.parse::<u64>().is_err() {
                return Err(ApiError::bad_request("Invalid custom emoji identifier specified"));
            }
            EntityKind::CustomEmoji { custom_emoji_id: id }
        }
        _ => return Ok(None),
    };
    Ok(Some(kind))
}

fn checked_url(url: String) -> Result<String, ApiError> {
    if url.is_empty() {
        return Err(ApiError::bad_request("entity URL '' is invalid: URL host is empty"));
    }
    match wrong_url(&url) {
        Some(why) => Err(ApiError::bad_request(format_args!("entity URL '{url}' is invalid: {why}"))),
        None => Ok(url),
    }
}

/// UTF-16 offsets at which a character starts, with their byte offsets; the end of the text is the last.
struct Boundaries(Vec<(u32, usize)>);

impl Boundaries {
    fn new(text: &str) -> Self {
        let mut utf16 = 0;
        let mut starts = Vec::with_capacity(text.len() + 1);
        for (byte, c) in text.char_indices() {
            starts.push((utf16, byte));
            utf16 += if u32::from(c) > 0xFFFF { 2 } else { 1 };
        }
        starts.push((utf16, text.len()));
        Self(starts)
    }

    /// The range, if it is a range of whole characters in the text; `None` if it is empty.
    fn check(&self, offset: i64, length: i64) -> Result<Option<(u32, u32)>, ApiError> {
        let wrong = |what: String| ApiError::bad_request(what);
        let offset_32 =
            u32::try_from(offset).map_err(|_| wrong(format!("receive an entity with incorrect offset {offset}")))?;
        let length_32 =
            u32::try_from(length).map_err(|_| wrong(format!("receive an entity with incorrect length {length}")))?;
        if length == 0 {
            return Ok(None);
        }
        let size = self.0.last().map_or(0, |(utf16, _)| *utf16);
        let end = offset_32.saturating_add(length_32);
        if offset_32 > size {
            return Err(wrong(format!("entity begins after the end of the text at UTF-16 offset {offset}")));
        }
        if end > size {
            return Err(wrong(format!(
                "entity beginning at UTF-16 offset {offset} ends after the end of the text at UTF-16 offset {end}"
            )));
        }
        if let Some(byte) = self.inside(offset_32) {
            return Err(wrong(format!("entity begins in a middle of a UTF-16 symbol at byte offset {byte}")));
        }
        if let Some(byte) = self.inside(end) {
            return Err(wrong(format!(
                "entity beginning at UTF-16 offset {offset} ends in a middle of a UTF-16 symbol at byte offset {byte}"
            )));
        }
        Ok(Some((offset_32, length_32)))
    }

    /// The byte offset after the character that this UTF-16 offset splits, if it splits one.
    fn inside(&self, utf16: u32) -> Option<usize> {
        match self.0.binary_search_by_key(&utf16, |(at, _)| *at) {
            Ok(_) => None,
            Err(next) => self.0.get(next).map(|(_, byte)| *byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_kinds_with_their_attributes() {
        let entities = json!([
            {"type": "bold", "offset": 0, "length": 2},
            {"type": "pre", "offset": 0, "length": 1, "language": "rust"},
            {"type": "text_link", "offset": 0, "length": 1, "url": "https://example.com/a"},
            {"type": "text_mention", "offset": 0, "length": 1, "user": {"id": 5}},
            {"type": "custom_emoji", "offset": 2, "length": 2, "custom_emoji_id": "5368324170671202286"},
            {"type": "sparkle", "offset": 0, "length": 1},
            {"type": "italic", "offset": 0, "length": 0},
        ]);
        let kinds: Vec<EntityKind> = read_entities(entities, "ab😀").unwrap().into_iter().map(|e| e.kind).collect();
        let expected = [
            EntityKind::Bold,
            EntityKind::Pre { language: Some("rust".to_owned()) },
            EntityKind::TextLink { url: "https://example.com/a".to_owned() },
            EntityKind::TextMention { user_id: 5 },
            EntityKind::CustomEmoji { custom_emoji_id: "5368324170671202286".to_owned() },
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn says_what_is_wrong() {
        let bold = |offset: i64, length: i64| json!([{"type": "bold", "offset": offset, "length": length}]);
        let cases = [
            (bold(-1, 1), "receive an entity with incorrect offset -1"),
            (bold(0, -1), "receive an entity with incorrect length -1"),
            (bold(6, 1), "entity begins after the end of the text at UTF-16 offset 6"),
            (bold(3, 6), "entity beginning at UTF-16 offset 3 ends after the end of the text at UTF-16 offset 9"),
            (bold(1, 1), "entity begins in a middle of a UTF-16 symbol at byte offset 4"),
            (bold(0, 1), "entity beginning at UTF-16 offset 0 ends in a middle of a UTF-16 symbol at byte offset 4"),
            (json!({}), "expected an Array of MessageEntity"),
            (json!([1]), "can't parse MessageEntity: expected an Object"),
            (json!([{"type": "bold", "length": 1}]), "can't parse MessageEntity: Can't find field \"offset\""),
            (
                json!([{"type": "text_link", "offset": 0, "length": 2, "url": "not-a-url"}]),
                "entity URL 'not-a-url' is invalid: Wrong HTTP URL",
            ),
        ];
        for (entities, expected) in cases {
            assert_eq!(read_entities(entities, "😀abc").unwrap_err(), ApiError::bad_request(expected));
        }
    }

    #[test]
    fn knows_addresses() {
        for good in ["https://example.com", "http://localhost:8080/x", "example.com/?a#b", "tg://resolve?domain=x"] {
            assert_eq!(wrong_url(good), None, "{good}");
        }
        assert_eq!(wrong_url("ftp://example.com"), Some("Unsupported URL protocol"));
        assert_eq!(wrong_url("http:///x"), Some("URL host is empty"));
        for bad in ["not-a-url", "http://a b.c", "http://x.com:99999"] {
            assert_eq!(wrong_url(bad), Some("Wrong HTTP URL"), "{bad}");
        }
    }
}
