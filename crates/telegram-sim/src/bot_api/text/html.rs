//! `parse_mode` HTML.

use super::{Builder, Formatted, link_kind};
use crate::world::EntityKind;

/// Parses the tags and character references that Telegram knows.
pub(super) fn parse(source: &str) -> Result<Formatted, String> {
    let mut parser = Parser { source, at: 0, open: Vec::new(), out: Builder::default() };
    while let Some(c) = parser.peek() {
        match c {
            '<' => parser.tag()?,
            '&' => parser.reference(),
            other => {
                parser.at += other.len_utf8();
                parser.out.push(other);
            }
        }
    }
    match parser.open.pop() {
        Some(tag) => Err(format!("Can't find end tag corresponding to start tag \"{}\"", tag.name)),
        None => Ok(parser.out.finish()),
    }
}

struct Parser<'a> {
    source: &'a str,
    /// Byte offset.
    at: usize,
    open: Vec<OpenTag>,
    out: Builder,
}

struct OpenTag {
    name: String,
    /// Where its text begins, in UTF-16 units.
    offset: u32,
    attributes: Vec<(String, String)>,
}

impl OpenTag {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn tag(&mut self) -> Result<(), String> {
        let begin = self.at;
        self.at += 1;
        if self.peek() == Some('/') {
            self.at += 1;
            return self.end_tag(begin);
        }
        let name = self.take_while(|c| !c.is_whitespace() && c != '>').to_lowercase();
        let attributes = self.attributes(&name, begin)?;
        let tag = OpenTag { name, offset: self.out.utf16, attributes };
        if !is_known(&tag.name) {
            return Err(format!("Unsupported start tag \"{}\" at byte offset {begin}", tag.name));
        }
        if tag.name == "span" && tag.attribute("class").is_none_or(|class| class != "tg-spoiler") {
            return Err(format!("Tag \"span\" must have class \"tg-spoiler\" at byte offset {begin}"));
        }
        self.open.push(tag);
        Ok(())
    }

    /// Attributes up to and including the `>`.
    fn attributes(&mut self, tag: &str, begin: usize) -> Result<Vec<(String, String)>, String> {
        let mut attributes = Vec::new();
        loop {
            self.take_while(char::is_whitespace);
            match self.peek() {
                None => return Err(format!("Unclosed start tag at byte offset {begin}")),
                Some('>') => {
                    self.at += 1;
                    return Ok(attributes);
                }
                Some(_) => attributes.push(self.attribute(tag, begin)?),
            }
        }
    }

    fn attribute(&mut self, tag: &str, begin: usize) -> Result<(String, String), String> {
        let name = self.take_while(|c| !c.is_whitespace() && c != '=' && c != '>').to_lowercase();
        if name.is_empty() {
            return Err(format!("Empty attribute name in the tag \"{tag}\" at byte offset {begin}"));
        }
        self.take_while(char::is_whitespace);
        if self.peek() != Some('=') {
            return Ok((name, String::new()));
        }
        self.at += 1;
        self.take_while(char::is_whitespace);
        let raw = match self.peek() {
            Some(quote @ ('"' | '\'')) => {
                self.at += 1;
                let value = self.take_while(|c| c != quote);
                if self.peek().is_none() {
                    return Err(format!("Unclosed start tag at byte offset {begin}"));
                }
                self.at += 1;
                value
            }
            _ => self.take_while(|c| !c.is_whitespace() && c != '>'),
        };
        Ok((name, decode(&raw)))
    }

    fn end_tag(&mut self, begin: usize) -> Result<(), String> {
        let name = self.take_while(|c| !c.is_whitespace() && c != '>').to_lowercase();
        self.take_while(char::is_whitespace);
        if self.peek() != Some('>') {
            return Err(format!("Unclosed end tag at byte offset {begin}"));
        }
        self.at += 1;
        let Some(tag) = self.open.pop() else {
            return Err(format!("Unexpected end tag at byte offset {begin}"));
        };
        if !name.is_empty() && name != tag.name {
            let expected = &tag.name;
            return Err(format!(
                "Unmatched end tag at byte offset {begin}, expected \"</{expected}>\", found \"</{name}>\""
            ));
        }
        self.close(&tag);
        Ok(())
    }

    fn close(&mut self, tag: &OpenTag) {
        let kind = match tag.name.as_str() {
            "b" | "strong" => EntityKind::Bold,
            "i" | "em" => EntityKind::Italic,
            "u" | "ins" => EntityKind::Underline,
            "s" | "strike" | "del" => EntityKind::Strikethrough,
            "span" | "tg-spoiler" => EntityKind::Spoiler,
            "blockquote" if tag.attribute("expandable").is_some() => EntityKind::ExpandableBlockquote,
            "blockquote" => EntityKind::Blockquote,
            "tg-emoji" => match tag.attribute("emoji-id").filter(|id| id.parse::<u64>().is_ok()) {
                Some(id) => EntityKind::CustomEmoji { custom_emoji_id: id.to_owned() },
                None => return,
            },
            "a" => {
                let text = String::from_utf16_lossy(&self.units_from(tag.offset));
                match link_kind(tag.attribute("href").unwrap_or(&text)) {
                    Some(kind) => kind,
                    None => return,
                }
            }
            "pre" => EntityKind::Pre { language: self.language_of_pre(tag) },
            _ => self.code_kind(tag),
        };
        self.out.close(tag.offset, kind);
    }

    fn units_from(&self, offset: u32) -> Vec<u16> {
        self.out.text.encode_utf16().skip(offset as usize).collect()
    }

    /// `<code class="language-x">` directly inside `<pre>` names the language: remembered on the open `pre`.
    fn code_kind(&mut self, tag: &OpenTag) -> EntityKind {
        let language = tag.attribute("class").and_then(|class| class.strip_prefix("language-"));
        if let (Some(language), Some(outer)) = (language, self.open.last_mut())
            && outer.name == "pre"
            && outer.offset == tag.offset
        {
            outer.attributes.push(("language".to_owned(), language.to_owned()));
        }
        EntityKind::Code
    }

    /// The language, if one `code` fills the whole `pre`; that `code` is then no entity of its own.
    fn language_of_pre(&mut self, tag: &OpenTag) -> Option<String> {
        let language = tag.attribute("language").filter(|language| !language.is_empty())?.to_owned();
        let length = self.out.utf16 - tag.offset;
        let inner = self.out.entities.iter().position(|entity| {
            entity.kind == EntityKind::Code && entity.offset == tag.offset && entity.length == length
        });
        inner.map(|inner| {
            self.out.entities.remove(inner);
            language
        })
    }

    fn reference(&mut self) {
        let (c, length) = reference(&self.source[self.at..]);
        self.at += length;
        self.out.push(c);
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let rest = &self.source[self.at..];
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += end;
        rest[..end].to_owned()
    }
}

fn is_known(name: &str) -> bool {
    matches!(
        name,
        "b" | "strong"
            | "i"
            | "em"
            | "u"
            | "ins"
            | "s"
            | "strike"
            | "del"
            | "span"
            | "tg-spoiler"
            | "tg-emoji"
            | "a"
            | "code"
            | "pre"
            | "blockquote"
    )
}

/// The character that a text starting with `&` begins with, and its length in bytes; unknown references stay as they
/// are written.
fn reference(text: &str) -> (char, usize) {
    let named = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&quot;", '"')];
    if let Some((name, c)) = named.into_iter().find(|(name, _)| text.starts_with(name)) {
        return (c, name.len());
    }
    numeric_reference(text).unwrap_or(('&', 1))
}

fn numeric_reference(text: &str) -> Option<(char, usize)> {
    let digits = text.strip_prefix("&#")?;
    let (digits, radix, prefix) = match digits.strip_prefix(['x', 'X']) {
        Some(hex) => (hex, 16, 3),
        None => (digits, 10, 2),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let c = u32::from_str_radix(&digits[..end], radix).ok().and_then(char::from_u32).filter(|c| *c != '\0')?;
    let semicolon = usize::from(digits[end..].starts_with(';'));
    Some((c, prefix + end + semicolon))
}

fn decode(mut text: &str) -> String {
    let mut decoded = String::new();
    while let Some(c) = text.chars().next() {
        let (c, length) = if c == '&' { reference(text) } else { (c, c.len_utf8()) };
        decoded.push(c);
        text = &text[length..];
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Entity;

    fn entity(offset: u32, length: u32, kind: EntityKind) -> Entity {
        Entity { offset, length, kind }
    }

    #[test]
    fn parses_tags() {
        let parsed =
            parse("<b>bold <i>both</i></b> &lt;&#128512;&unknown; <a href=\"http://a.b/?x&amp;y\">l</a>").unwrap();
        assert_eq!(parsed.text, "bold both <😀&unknown; l");
        let expected = [
            entity(5, 4, EntityKind::Italic),
            entity(0, 9, EntityKind::Bold),
            entity(23, 1, EntityKind::TextLink { url: "http://a.b/?x&y".to_owned() }),
        ];
        assert_eq!(parsed.entities, expected);
    }

    #[test]
    fn parses_the_rarer_tags() {
        let cases = [
            ("<tg-spoiler>x</tg-spoiler>", EntityKind::Spoiler),
            ("<span class='tg-spoiler'>x</span>", EntityKind::Spoiler),
            ("<blockquote expandable>x</blockquote>", EntityKind::ExpandableBlockquote),
            ("<pre><code class=\"language-rust\">x</code></pre>", EntityKind::Pre { language: Some("rust".into()) }),
            ("<pre>x</pre>", EntityKind::Pre { language: None }),
            ("<a href=tg://user?id=7>x</a>", EntityKind::TextMention { user_id: 7 }),
            ("<tg-emoji emoji-id=\"5\">x</tg-emoji>", EntityKind::CustomEmoji { custom_emoji_id: "5".into() }),
            ("<DEL>x</del>", EntityKind::Strikethrough),
            ("<ins>x</>", EntityKind::Underline),
        ];
        for (source, kind) in cases {
            assert_eq!(parse(source).unwrap().entities, [entity(0, 1, kind)], "{source}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let cases = [
            ("a <x>b</x>", "Unsupported start tag \"x\" at byte offset 2"),
            ("<b>b", "Can't find end tag corresponding to start tag \"b\""),
            ("<b>b</i>", "Unmatched end tag at byte offset 4, expected \"</b>\", found \"</i>\""),
            ("b</b>", "Unexpected end tag at byte offset 1"),
            ("b<b", "Unclosed start tag at byte offset 1"),
            ("<b>b</b", "Unclosed end tag at byte offset 4"),
            ("<span>x</span>", "Tag \"span\" must have class \"tg-spoiler\" at byte offset 0"),
            ("1 < 2", "Unclosed start tag at byte offset 2"),
        ];
        for (source, expected) in cases {
            assert_eq!(parse(source).unwrap_err(), expected, "{source}");
        }
    }
}
