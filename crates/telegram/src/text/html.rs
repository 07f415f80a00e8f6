//! HTML as Telegram parses it: its own few tags, no document around them.

use platform::{Entity, EntityKind, Text};

use super::TextError;
use super::html_reference::{self, Reference};
use super::link;
use super::output::{Mark, Output, is_space};

/// Parses HTML. The entities are neither sorted nor settled yet.
pub(super) fn parse(source: &str) -> Result<Text, TextError> {
    let mut parser = Parser { source, at: 0, out: Output::default(), open: Vec::new() };
    parser.run()?;
    let mut text = parser.out.finish();
    // The class of `code` matters only within `pre`.
    text.entities.iter_mut().filter(|e| e.kind == EntityKind::Code).for_each(|e| e.language = None);
    Ok(text)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Style(EntityKind),
    Span,
    Link,
    Emoji,
    Code,
    Pre,
    Quote,
}

impl Tag {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "b" | "strong" => Self::Style(EntityKind::Bold),
            "i" | "em" => Self::Style(EntityKind::Italic),
            "u" | "ins" => Self::Style(EntityKind::Underline),
            "s" | "strike" | "del" => Self::Style(EntityKind::Strikethrough),
            "tg-spoiler" => Self::Style(EntityKind::Spoiler),
            "span" => Self::Span,
            "a" => Self::Link,
            "tg-emoji" => Self::Emoji,
            "code" => Self::Code,
            "pre" => Self::Pre,
            "blockquote" => Self::Quote,
            _ => return None,
        })
    }

    /// What the attribute says about this tag, if anything; a flag has an empty value.
    fn argument(self, attribute: &str, value: &str) -> Option<String> {
        match (self, attribute) {
            (Self::Link, "href") | (Self::Emoji, "emoji-id") => Some(value.to_owned()),
            (Self::Code, "class") => value.strip_prefix("language-").map(str::to_owned),
            (Self::Span, "class") => value.strip_prefix("tg-").map(str::to_owned),
            (Self::Quote, "expandable") => Some("expandable".to_owned()),
            _ => None,
        }
    }
}

/// A start tag that waits for its end.
struct Open {
    tag: Tag,
    name: String,
    argument: String,
    mark: Mark,
    offset: usize,
}

struct Parser<'a> {
    source: &'a str,
    at: usize,
    out: Output,
    open: Vec<Open>,
}

impl<'a> Parser<'a> {
    fn run(&mut self) -> Result<(), TextError> {
        while let Some(length) = self.rest().find(['<', '&']) {
            self.out.push_str(&self.source[self.at..self.at + length]);
            self.at += length;
            match self.byte() {
                Some(b'&') => {
                    let c = self.reference()?;
                    self.out.push(c);
                }
                _ if self.rest().starts_with("</") => self.end_tag()?,
                _ => self.start_tag()?,
            }
        }
        self.out.push_str(self.rest());
        match self.open.pop() {
            Some(open) => Err(TextError::markup(open.offset, format!("no </{}> closes the tag", open.name))),
            None => Ok(()),
        }
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn byte(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    /// Takes bytes up to the first one that ends the run; these are all ASCII, so the result is whole characters.
    fn take_until(&mut self, ends: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.bytes().position(ends).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn skip_space(&mut self) {
        self.take_until(|b| !is_space(b));
    }

    /// Takes the character that a reference stands for; a lone `&` stands for itself.
    fn reference(&mut self) -> Result<char, TextError> {
        let (c, length) = match html_reference::read(self.rest()) {
            Reference::Char(c, length) => (c, length),
            Reference::None => ('&', 1),
            Reference::Surrogate => {
                return Err(TextError::markup(self.at, "a character reference names half of a surrogate pair"));
            }
        };
        self.at += length;
        Ok(c)
    }

    fn start_tag(&mut self) -> Result<(), TextError> {
        let offset = self.at;
        self.at += 1;
        let name = self.take_until(|b| is_space(b) || b == b'>').to_ascii_lowercase();
        if self.byte().is_none() {
            return Err(unclosed(offset));
        }
        let tag = Tag::named(&name)
            .ok_or_else(|| TextError::markup(offset, format!("unsupported start tag \"{}\"", shorten(&name))))?;
        let argument = self.attributes(tag, &name, offset)?;
        if tag == Tag::Span && argument != "spoiler" {
            return Err(TextError::markup(offset, "the tag \"span\" needs class=\"tg-spoiler\""));
        }
        self.open.push(Open { tag, name, argument, mark: self.out.mark(), offset });
        Ok(())
    }

    /// Reads attributes up to and with the closing `>`.
    fn attributes(&mut self, tag: Tag, name: &str, offset: usize) -> Result<String, TextError> {
        let mut argument = String::new();
        loop {
            self.skip_space();
            if self.byte() == Some(b'>') {
                self.at += 1;
                return Ok(argument);
            }
            let attribute = self.take_until(|b| is_space(b) || matches!(b, b'=' | b'>' | b'/' | b'"' | b'\''));
            if attribute.is_empty() && self.byte().is_some() {
                return Err(TextError::markup(offset, format!("an attribute without a name in the tag \"{name}\"")));
            }
            self.skip_space();
            let value = if self.byte() == Some(b'=') {
                self.at += 1;
                self.attribute_value(offset)?
            } else {
                String::new()
            };
            if self.byte().is_none() {
                return Err(unclosed(offset));
            }
            if let Some(found) = tag.argument(attribute, &value) {
                argument = found;
            }
        }
    }

    fn attribute_value(&mut self, offset: usize) -> Result<String, TextError> {
        self.skip_space();
        match self.byte() {
            None => Err(unclosed(offset)),
            Some(quote @ (b'"' | b'\'')) => {
                self.at += 1;
                self.quoted(quote)
            }
            Some(_) => {
                let begin = self.at;
                let token = self.take_until(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')));
                match self.byte() {
                    Some(b) if !is_space(b) && b != b'>' => {
                        Err(TextError::markup(begin, "an attribute value with other characters needs quotes"))
                    }
                    _ => Ok(token.to_ascii_lowercase()),
                }
            }
        }
    }

    /// A value up to its closing quote; when that is missing, up to the end of the source, where the caller notices.
    fn quoted(&mut self, quote: u8) -> Result<String, TextError> {
        let mut value = String::new();
        loop {
            value.push_str(self.take_until(|b| b == quote || b == b'&'));
            match self.byte() {
                Some(b'&') => value.push(self.reference()?),
                Some(_) => {
                    self.at += 1;
                    return Ok(value);
                }
                None => return Ok(value),
            }
        }
    }

    fn end_tag(&mut self) -> Result<(), TextError> {
        let offset = self.at;
        let Some(open) = self.open.pop() else {
            return Err(TextError::markup(offset, "an end tag without a start tag"));
        };
        self.at += 2;
        let name = self.take_until(|b| is_space(b) || b == b'>').to_ascii_lowercase();
        self.skip_space();
        if self.byte() != Some(b'>') {
            return Err(TextError::markup(offset, "an end tag is not closed with \">\""));
        }
        self.at += 1;
        if !name.is_empty() && name != open.name {
            let problem = format!("expected the end tag \"</{}>\", found \"</{}>\"", open.name, shorten(&name));
            return Err(TextError::markup(offset, problem));
        }
        if self.out.is_empty_since(open.mark) { Ok(()) } else { self.close(open) }
    }

    fn close(&mut self, open: Open) -> Result<(), TextError> {
        let Open { tag, argument, mark, offset, .. } = open;
        match tag {
            Tag::Style(kind) => self.out.add(kind, mark),
            Tag::Span => self.out.add(EntityKind::Spoiler, mark),
            Tag::Quote if argument.is_empty() => self.out.add(EntityKind::Blockquote, mark),
            Tag::Quote => self.out.add(EntityKind::ExpandableBlockquote, mark),
            Tag::Link => {
                let address = if argument.is_empty() { self.out.since(mark).to_owned() } else { argument };
                self.out.add_link(&address, mark);
            }
            Tag::Emoji => {
                let id = link::custom_emoji_id(&argument)
                    .ok_or_else(|| TextError::markup(offset, "the emoji-id of a custom emoji is not a number"))?;
                let entity = Entity { custom_emoji_id: Some(id), ..self.out.entity(EntityKind::CustomEmoji, mark) };
                self.out.entities.push(entity);
            }
            Tag::Pre | Tag::Code => self.close_code(tag, argument, mark),
        }
        Ok(())
    }

    /// `pre` and `code` around the same text are one entity when the class of `code` names a language.
    fn close_code(&mut self, tag: Tag, argument: String, mark: Mark) {
        let (kind, inner_kind) =
            if tag == Tag::Pre { (EntityKind::Pre, EntityKind::Code) } else { (EntityKind::Code, EntityKind::Pre) };
        let language = Some(argument).filter(|language| !language.is_empty());
        let entity = Entity { language, ..self.out.entity(kind, mark) };
        let same_range = |inner: &&mut Entity| (inner.offset, inner.length) == (entity.offset, entity.length);
        if let Some(inner) = self.out.entities.last_mut().filter(same_range)
            && inner.kind == inner_kind
            && let Some(language) = if tag == Tag::Pre { inner.language.clone() } else { entity.language.clone() }
        {
            inner.kind = EntityKind::Pre;
            inner.language = Some(language);
        } else {
            self.out.entities.push(entity);
        }
    }
}

fn unclosed(offset: usize) -> TextError {
    TextError::markup(offset, "a start tag is not closed with \">\"")
}

/// Enough of a tag's name to recognise it.
fn shorten(name: &str) -> String {
    name.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::super::output::testing::{describe, failure};
    use super::parse;

    #[test]
    fn tags_become_entities() {
        for (source, expected) in [
            ("plain", "plain"),
            ("<b>a</b><strong>b</strong>", "ab|bold 0+1|bold 1+1"),
            ("<I>a</i><em>b</EM>", "ab|italic 0+1|italic 1+1"),
            ("<u>a</u><ins>b</ins>", "ab|underline 0+1|underline 1+1"),
            ("<s>a</s><strike>b</strike><del>c</del>", "abc|strikethrough 0+1|strikethrough 1+1|strikethrough 2+1"),
            ("<tg-spoiler>a</tg-spoiler><span class='tg-spoiler'>b</span>", "ab|spoiler 0+1|spoiler 1+1"),
            ("🏟<b>🏟x</b>", "🏟🏟x|bold 2+3"),
            ("<b>a<i>b</i></b>", "ab|italic 1+1|bold 0+2"),
            ("<b></b>", ""),
            ("<b>x</>", "x|bold 0+1"),
            ("<b a = \"&lt;\" c=d.e-1 f>x</b >", "x|bold 0+1"),
            ("1 &lt 2 &amp;&amp; 3 & 4", "1 < 2 && 3 & 4"),
            ("&#x1f3df;<b>x</b>", "🏟x|bold 2+1"),
            ("<a href=\"https://a.b/?x=1&amp;y=2\">t</a>", "t|text_link 0+1 https://a.b/?x=1&y=2"),
            ("<a href=a.b>t</a>", "t|text_link 0+1 http://a.b/"),
            ("<a>a.b</a>", "a.b|text_link 0+3 http://a.b/"),
            ("<a href='nowhere'>t</a>", "t"),
            ("<a href='tg://user?id=42'>t</a>", "t|text_mention 0+1 42"),
            ("<tg-emoji emoji-id=\"5368324170671202286\">👍</tg-emoji>", "👍|custom_emoji 0+2 5368324170671202286"),
            ("<tg-emoji></tg-emoji>", ""),
            ("<code class=language-rust>a</code>", "a|code 0+1"),
            ("<pre>a</pre>", "a|pre 0+1"),
            ("<pre><code>a</code></pre>", "a|code 0+1|pre 0+1"),
            ("<pre><code class=\"language-Rust\">a</code></pre>", "a|pre 0+1 Rust"),
            ("<code class=\"language-rust\"><pre>a</pre></code>", "a|pre 0+1 rust"),
            ("<pre><code class=\"language-rust\">a</code> </pre>", "a |code 0+1|pre 0+2"),
            ("<pre><code class=\"language-\">a</code></pre>", "a|code 0+1|pre 0+1"),
            ("<blockquote>a</blockquote>", "a|blockquote 0+1"),
            ("<blockquote expandable>a</blockquote>", "a|expandable_blockquote 0+1"),
            ("<blockquote expandable=\"\" cite=''>a</blockquote>", "a|expandable_blockquote 0+1"),
        ] {
            assert_eq!(describe(parse(source)), expected, "{source}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (source, offset, words) in [
            ("🏟<b", 4, "start tag is not closed"),
            ("<b x", 0, "start tag is not closed"),
            ("<b x=", 0, "start tag is not closed"),
            ("<b x=\"1", 0, "start tag is not closed"),
            ("<b x=1", 0, "start tag is not closed"),
            ("a <x>", 2, "unsupported start tag \"x\""),
            ("<b/>", 0, "unsupported start tag \"b/\""),
            ("<b />", 0, "attribute without a name"),
            ("<b ='1'>", 0, "attribute without a name"),
            ("<b x=a_b>", 5, "needs quotes"),
            ("<span>x</span>", 0, "class=\"tg-spoiler\""),
            ("<span class=\"tg-other\">x</span>", 0, "class=\"tg-spoiler\""),
            ("x</b>", 1, "without a start tag"),
            ("<b>x</b", 4, "end tag is not closed"),
            ("<b>x</b x>", 4, "end tag is not closed"),
            ("<b>x</i>", 4, "expected the end tag \"</b>\", found \"</i>\""),
            ("<b><i>x</b></i>", 7, "expected the end tag \"</i>\""),
            ("a<b>x", 1, "no </b> closes"),
            ("<tg-emoji emoji-id=\"x\">👍</tg-emoji>", 0, "not a number"),
            ("a&#xd83c;&#xdfdf;", 1, "surrogate"),
        ] {
            let (at, problem) = failure(parse(source));
            assert!(at == offset && problem.contains(words), "{source}: {problem} at {at}");
        }
    }
}
