//! `parse_mode` MarkdownV2.

use super::{Builder, Formatted, link_kind};
use crate::world::EntityKind;

/// Characters that have to be escaped outside code.
const RESERVED: &str = "_*[]()~`>#+-=|{}.!";

/// Parses MarkdownV2.
pub(super) fn parse(source: &str) -> Result<Formatted, String> {
    let chars = source.char_indices().collect();
    let mut parser = Parser { chars, source, at: 0, open: Vec::new(), line_start: true, out: Builder::default() };
    while parser.at < parser.chars.len() {
        parser.step()?;
    }
    if parser.open.last().is_some_and(|open| open.kind == Kind::Quote) {
        parser.end_quote(false);
    }
    match parser.open.last() {
        Some(open) => Err(open.unclosed()),
        None => Ok(parser.out.finish()),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bold,
    Italic,
    Underline,
    Strikethrough,
    Spoiler,
    Code,
    Pre,
    TextUrl,
    CustomEmoji,
    Quote,
}

struct Open {
    kind: Kind,
    /// Byte offset of its mark in the source.
    byte: usize,
    /// UTF-16 offset in the text.
    offset: u32,
    language: Option<String>,
}

impl Open {
    fn unclosed(&self) -> String {
        let name = match self.kind {
            Kind::Pre if self.language.is_some() => "PreCode".to_owned(),
            Kind::Quote => "Blockquote".to_owned(),
            kind => format!("{kind:?}"),
        };
        format!("Can't find end of {name} entity at byte offset {}", self.byte)
    }
}

struct Parser<'a> {
    chars: Vec<(usize, char)>,
    source: &'a str,
    /// Index into `chars`.
    at: usize,
    open: Vec<Open>,
    /// Nothing was written on this line yet.
    line_start: bool,
    out: Builder,
}

impl Parser<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).map(|(_, c)| *c)
    }

    fn byte(&self) -> usize {
        self.chars.get(self.at).map_or(self.source.len(), |(byte, _)| *byte)
    }

    fn starts_with(&self, mark: &str) -> bool {
        self.source[self.byte()..].starts_with(mark)
    }

    fn top(&self) -> Option<Kind> {
        self.open.last().map(|open| open.kind)
    }

    fn in_quote(&self) -> bool {
        self.open.first().is_some_and(|open| open.kind == Kind::Quote)
    }

    fn step(&mut self) -> Result<(), String> {
        let Some(c) = self.peek(0) else { return Ok(()) };
        if c == '\\' && self.peek(1).is_some_and(|next| next.is_ascii() && next != '\0') {
            self.at += 1;
            return self.literal();
        }
        let in_code = matches!(self.top(), Some(Kind::Code | Kind::Pre));
        if c == '>' && self.line_start && !in_code {
            return self.quote_mark();
        }
        let marked = match self.top() {
            Some(Kind::Code) => c == '`',
            Some(Kind::Pre) => self.starts_with("```"),
            _ => RESERVED.contains(c),
        };
        if !marked {
            return self.literal();
        }
        if let Some(length) = self.end_mark(c) {
            self.at += length;
            return self.end_entity();
        }
        self.begin_entity(c)
    }

    /// Writes the character as it is.
    fn literal(&mut self) -> Result<(), String> {
        let Some(c) = self.peek(0) else { return Ok(()) };
        self.at += 1;
        self.line_start = c == '\n';
        if self.line_start && self.in_quote() && self.peek(0) != Some('>') {
            match self.open.last().filter(|open| open.kind != Kind::Quote) {
                Some(open) => return Err(open.unclosed()),
                None => self.end_quote(false),
            }
        }
        self.out.push(c);
        Ok(())
    }

    fn quote_mark(&mut self) -> Result<(), String> {
        if !self.in_quote() {
            if let Some(open) = self.open.last() {
                return Err(open.unclosed());
            }
            self.push(Kind::Quote, 0, None);
        }
        self.at += 1;
        self.line_start = false;
        Ok(())
    }

    fn end_quote(&mut self, expandable: bool) {
        if let Some(open) = self.open.pop() {
            let kind = if expandable { EntityKind::ExpandableBlockquote } else { EntityKind::Blockquote };
            self.out.close(open.offset, kind);
        }
    }

    /// The length of the mark here, if it ends the innermost entity.
    fn end_mark(&self, c: char) -> Option<usize> {
        let length = match (self.top()?, c) {
            (Kind::Bold, '*')
            | (Kind::Strikethrough, '~')
            | (Kind::Code, '`')
            | (Kind::TextUrl | Kind::CustomEmoji, ']') => 1,
            (Kind::Italic, '_') if !self.starts_with("__") => 1,
            (Kind::Underline, '_') if self.starts_with("__") => 2,
            (Kind::Spoiler, '|') if self.starts_with("||") => 2,
            (Kind::Pre, '`') if self.starts_with("```") => 3,
            _ => return None,
        };
        Some(length)
    }

    fn begin_entity(&mut self, c: char) -> Result<(), String> {
        let (kind, length) = match c {
            '_' if self.starts_with("__") => (Kind::Underline, 2),
            '_' => (Kind::Italic, 1),
            '*' => (Kind::Bold, 1),
            '~' => (Kind::Strikethrough, 1),
            '[' => (Kind::TextUrl, 1),
            '!' if self.starts_with("![") => (Kind::CustomEmoji, 2),
            '|' if self.starts_with("||") => {
                // Two bars at the end of a quotation's line make it expandable.
                if self.top() == Some(Kind::Quote) && matches!(self.peek(2), None | Some('\n')) {
                    self.at += 2;
                    self.end_quote(true);
                    return Ok(());
                }
                (Kind::Spoiler, 2)
            }
            '`' if self.starts_with("```") => {
                self.begin_pre();
                return Ok(());
            }
            '`' => (Kind::Code, 1),
            _ => {
                return Err(format!("Character '{c}' is reserved and must be escaped with the preceding '\\'"));
            }
        };
        self.push(kind, length, None);
        Ok(())
    }

    /// Three backticks, perhaps a language, perhaps a line break that is not part of the code.
    fn begin_pre(&mut self) {
        let rest = &self.source[self.byte() + 3..];
        let end = rest.find(|c: char| c.is_whitespace() || c == '`').unwrap_or(rest.len());
        let named = end > 0 && rest[end..].starts_with('\n');
        let language = named.then(|| rest[..end].to_owned());
        let skipped = language.as_ref().map_or(0, |language| language.chars().count());
        self.push(Kind::Pre, 3 + skipped, language);
        if self.peek(0) == Some('\n') {
            self.at += 1;
        }
    }

    fn push(&mut self, kind: Kind, mark: usize, language: Option<String>) {
        self.open.push(Open { kind, byte: self.byte(), offset: self.out.utf16, language });
        self.at += mark;
    }

    fn end_entity(&mut self) -> Result<(), String> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.kind {
            Kind::Bold => EntityKind::Bold,
            Kind::Italic => EntityKind::Italic,
            Kind::Underline => EntityKind::Underline,
            Kind::Strikethrough => EntityKind::Strikethrough,
            Kind::Spoiler => EntityKind::Spoiler,
            Kind::Code => EntityKind::Code,
            Kind::Pre => EntityKind::Pre { language: open.language },
            Kind::TextUrl => {
                let url = self.url()?;
                let text: Vec<u16> = self.out.text.encode_utf16().skip(open.offset as usize).collect();
                match link_kind(&url.unwrap_or_else(|| String::from_utf16_lossy(&text))) {
                    Some(kind) => kind,
                    None => return Ok(()),
                }
            }
            Kind::CustomEmoji => match self.url()?.as_deref().and_then(|url| url.strip_prefix("tg://emoji?id=")) {
                Some(id) if id.parse::<u64>().is_ok() => EntityKind::CustomEmoji { custom_emoji_id: id.to_owned() },
                _ => return Err("Custom emoji entity must contain a tg://emoji URL".to_owned()),
            },
            Kind::Quote => EntityKind::Blockquote,
        };
        self.out.close(open.offset, kind);
        Ok(())
    }

    /// The address in parentheses that follows, if any.
    fn url(&mut self) -> Result<Option<String>, String> {
        if self.peek(0) != Some('(') {
            return Ok(None);
        }
        let begin = self.byte();
        self.at += 1;
        let mut url = String::new();
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('\\'), Some(next)) if next.is_ascii() => {
                    url.push(next);
                    self.at += 2;
                }
                (Some(')'), _) => {
                    self.at += 1;
                    return Ok(Some(url));
                }
                (Some(c), _) => {
                    url.push(c);
                    self.at += 1;
                }
                (None, _) => return Err(format!("Can't find end of a URL at byte offset {begin}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Entity;

    fn entity(offset: u32, length: u32, kind: EntityKind) -> Entity {
        Entity { offset, length, kind }
    }

    #[test]
    fn parses_every_kind() {
        let link = EntityKind::TextLink { url: "http://a.b/)".to_owned() };
        let emoji = EntityKind::CustomEmoji { custom_emoji_id: "5".to_owned() };
        let cases = [
            ("*x*", EntityKind::Bold),
            ("_x_", EntityKind::Italic),
            ("__x__", EntityKind::Underline),
            ("~x~", EntityKind::Strikethrough),
            ("||x||", EntityKind::Spoiler),
            ("`x`", EntityKind::Code),
            ("```\nx```", EntityKind::Pre { language: None }),
            ("```rust\nx```", EntityKind::Pre { language: Some("rust".to_owned()) }),
            ("[x](http://a.b/\\))", link),
            ("[x](tg://user?id=7)", EntityKind::TextMention { user_id: 7 }),
            ("![x](tg://emoji?id=5)", emoji),
            (">x", EntityKind::Blockquote),
            (">x||", EntityKind::ExpandableBlockquote),
        ];
        for (source, kind) in cases {
            let parsed = parse(source).unwrap();
            assert_eq!((parsed.text.as_str(), parsed.entities), ("x", vec![entity(0, 1, kind)]), "{source}");
        }
    }

    #[test]
    fn nests_and_escapes() {
        let parsed = parse("*b _i __u___ \\*\\.* 😀`a*b`").unwrap();
        assert_eq!(parsed.text, "b i u *. 😀a*b");
        let expected = [
            entity(4, 1, EntityKind::Underline),
            entity(2, 3, EntityKind::Italic),
            entity(0, 8, EntityKind::Bold),
            entity(11, 3, EntityKind::Code),
        ];
        assert_eq!(parsed.entities, expected);
    }

    #[test]
    fn quotations_span_lines() {
        let parsed = parse(">a\n>b\nc\n**>d||").unwrap();
        assert_eq!(parsed.text, "a\nb\nc\nd");
        let quotes = [entity(0, 3, EntityKind::Blockquote), entity(6, 1, EntityKind::ExpandableBlockquote)];
        assert_eq!(parsed.entities, quotes);
    }

    #[test]
    fn says_what_is_wrong() {
        let cases = [
            ("a.b", "Character '.' is reserved and must be escaped with the preceding '\\'"),
            ("a > b", "Character '>' is reserved and must be escaped with the preceding '\\'"),
            ("a *b", "Can't find end of Bold entity at byte offset 2"),
            ("*a _b*", "Can't find end of Bold entity at byte offset 5"),
            ("```rust\nx", "Can't find end of PreCode entity at byte offset 0"),
            ("[x](http://a.b", "Can't find end of a URL at byte offset 3"),
            ("![x](http://a.b)", "Custom emoji entity must contain a tg://emoji URL"),
        ];
        for (source, expected) in cases {
            assert_eq!(parse(source).map(|parsed| parsed.text).unwrap_err(), expected, "{source}");
        }
    }
}
