//! The text under construction while markup is parsed.

use platform::text::MentionedUser;
use platform::{Entity, EntityKind, Text};

use super::link::{self, Target};

/// Plain text with its length in UTF-16 code units, and the entities found so far.
#[derive(Default)]
pub(super) struct Output {
    text: String,
    utf16: u32,
    pub(super) entities: Vec<Entity>,
}

/// A place in the text under construction.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    utf16: u32,
    byte: usize,
}

impl Output {
    pub(super) fn push(&mut self, c: char) {
        self.text.push(c);
        self.utf16 += utf16_len(c);
    }

    pub(super) fn push_str(&mut self, s: &str) {
        self.text.push_str(s);
        self.utf16 += s.chars().map(utf16_len).sum::<u32>();
    }

    /// The end of what is written so far.
    pub(super) fn mark(&self) -> Mark {
        Mark { utf16: self.utf16, byte: self.text.len() }
    }

    /// Whether nothing was written since `mark`.
    pub(super) fn is_empty_since(&self, mark: Mark) -> bool {
        self.utf16 == mark.utf16
    }

    /// What was written since `mark`.
    pub(super) fn since(&self, mark: Mark) -> &str {
        &self.text[mark.byte..]
    }

    pub(super) fn ends_with(&self, c: char) -> bool {
        self.text.ends_with(c)
    }

    /// An entity from `mark` to the end.
    pub(super) fn entity(&self, kind: EntityKind, mark: Mark) -> Entity {
        Entity::new(kind, mark.utf16, self.utf16 - mark.utf16)
    }

    /// Adds an entity from `mark` to the end.
    pub(super) fn add(&mut self, kind: EntityKind, mark: Mark) {
        let entity = self.entity(kind, mark);
        self.entities.push(entity);
    }

    /// Adds a link from `mark` to the end. As at Telegram, an address that cannot be one leaves plain text.
    pub(super) fn add_link(&mut self, address: &str, mark: Mark) {
        let (kind, url, user) = match link::target(address) {
            Some(Target::User(id)) => (EntityKind::TextMention, None, Some(MentionedUser { id })),
            Some(Target::Url(url)) => (EntityKind::TextLink, Some(url), None),
            None => return,
        };
        self.entities.push(Entity { url, user, ..self.entity(kind, mark) });
    }

    pub(super) fn finish(self) -> Text {
        Text { text: self.text, entities: self.entities }
    }
}

/// Code units of a character in UTF-16.
pub(super) fn utf16_len(c: char) -> u32 {
    if c > '\u{FFFF}' { 2 } else { 1 }
}

/// White space as Telegram's parsers know it.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0B)
}

/// Offset after the single line break that may follow an opening fence of preformatted text.
pub(super) fn skip_line_break(source: &[u8], at: usize) -> usize {
    let is_break = |i: usize| matches!(source.get(i), Some(b'\n' | b'\r'));
    match (is_break(at), is_break(at + 1) && source[at] != source[at + 1]) {
        (true, true) => at + 2,
        (true, false) => at + 1,
        (false, _) => at,
    }
}

/// The language after an opening fence, when it is followed by white space, and the offset where the preformatted
/// text begins.
pub(super) fn fence(source: &str, at: usize) -> (Option<String>, usize) {
    let bytes = source.as_bytes();
    let end = (at..bytes.len()).find(|&i| is_space(bytes[i]) || bytes[i] == b'`').unwrap_or(bytes.len());
    let named = end > at && bytes.get(end).is_some_and(|&b| b != b'`');
    if named {
        (Some(source[at..end].to_owned()), skip_line_break(bytes, end))
    } else {
        (None, skip_line_break(bytes, at))
    }
}

#[cfg(test)]
pub(super) mod testing {
    use platform::Text;

    use super::super::{TextError, kinds};

    /// Text and entities on one line: `text|kind offset+length attribute|…`.
    pub fn describe(result: Result<Text, TextError>) -> String {
        let text = result.expect("the text is right");
        let mut parts = vec![text.text];
        for entity in text.entities {
            let id = entity.user.map(|user| user.id.to_string());
            let attributes = [entity.url, id, entity.language, entity.custom_emoji_id].into_iter().flatten();
            let range = format!("{} {}+{}", kinds::name(entity.kind), entity.offset, entity.length);
            parts.push([range].into_iter().chain(attributes).collect::<Vec<_>>().join(" "));
        }
        parts.join("|")
    }

    /// Offset and problem of an error about markup.
    pub fn failure(result: Result<Text, TextError>) -> (usize, String) {
        match result {
            Err(TextError::Markup { offset, problem }) => (offset, problem),
            other => panic!("expected an error about markup: {other:?}"),
        }
    }
}
