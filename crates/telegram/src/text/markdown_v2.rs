//! MarkdownV2: entities nest, and every special character that is no markup must be escaped.

use platform::{Entity, EntityKind, Text};

use super::TextError;
use super::kinds;
use super::link;
use super::output::{Mark, Output, fence};

/// Parses MarkdownV2. The entities are neither sorted nor settled yet.
pub(super) fn parse(source: &str) -> Result<Text, TextError> {
    let mut parser =
        Parser { source, at: 0, out: Output::default(), open: Vec::new(), in_quote: false, at_line_start: true };
    parser.run()?;
    Ok(parser.out.finish())
}

/// Characters that are markup or must be escaped, outside of code.
pub(super) const RESERVED: &str = "_*[]()~`>#+-=|{}.!";

/// An entity that waits for its end.
struct Open {
    kind: EntityKind,
    language: Option<String>,
    mark: Mark,
    offset: usize,
}

struct Parser<'a> {
    source: &'a str,
    at: usize,
    out: Output,
    open: Vec<Open>,
    /// Whether a block quotation is among the open entities.
    in_quote: bool,
    /// Whether a `>` here would begin or continue a block quotation: only markup stands before it on the line.
    at_line_start: bool,
}

impl<'a> Parser<'a> {
    fn run(&mut self) -> Result<(), TextError> {
        while let Some(c) = self.rest().chars().next() {
            if let Some(escaped) = escaped(self.rest()) {
                self.at += 2;
                self.text(escaped);
            } else if !self.is_reserved(c) {
                self.at += c.len_utf8();
                self.text(c);
            } else if self.is_end() {
                self.end()?;
            } else {
                self.begin(c)?;
            }
        }
        self.finish()
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn follows(&self, markup: &str) -> bool {
        self.rest().starts_with(markup)
    }

    /// Takes a character as text. A carriage return, which goes away later, does not end the start of a line.
    fn text(&mut self, c: char) {
        self.out.push(c);
        if c != '\r' {
            self.at_line_start = c == '\n';
        }
    }

    fn innermost(&self) -> Option<EntityKind> {
        self.open.last().map(|open| open.kind)
    }

    fn is_reserved(&self, c: char) -> bool {
        match self.innermost() {
            Some(EntityKind::Code | EntityKind::Pre) => c == '`',
            _ => c == '\n' || RESERVED.contains(c),
        }
    }

    /// Whether the innermost entity ends here.
    fn is_end(&self) -> bool {
        if self.in_quote && self.follows("\n") && !self.follows("\n>") {
            return true;
        }
        match self.innermost() {
            Some(EntityKind::Bold) => self.follows("*"),
            // Two underscores are always underline: `___` ends underline first, or begins it.
            Some(EntityKind::Italic) => self.follows("_") && !self.follows("__"),
            Some(EntityKind::Underline) => self.follows("__"),
            Some(EntityKind::Strikethrough) => self.follows("~"),
            Some(EntityKind::Spoiler) => self.follows("||"),
            Some(EntityKind::Code) => self.follows("`"),
            Some(EntityKind::Pre) => self.follows("```"),
            Some(EntityKind::TextLink | EntityKind::CustomEmoji) => self.follows("]"),
            _ => false,
        }
    }

    fn begin(&mut self, c: char) -> Result<(), TextError> {
        let offset = self.at;
        let (kind, length) = match c {
            '\n' => {
                self.at += 1;
                self.text(c);
                return Ok(());
            }
            '>' if self.at_line_start && self.in_quote => {
                self.at += 1;
                return Ok(());
            }
            '>' if self.at_line_start => {
                self.in_quote = true;
                (EntityKind::Blockquote, 1)
            }
            '_' if self.follows("__") => (EntityKind::Underline, 2),
            '_' => (EntityKind::Italic, 1),
            '*' => (EntityKind::Bold, 1),
            '~' => (EntityKind::Strikethrough, 1),
            '|' if self.follows("||") => (EntityKind::Spoiler, 2),
            '[' => (EntityKind::TextLink, 1),
            '!' if self.follows("![") => (EntityKind::CustomEmoji, 2),
            '`' if self.follows("```") => (EntityKind::Pre, 3),
            '`' => (EntityKind::Code, 1),
            _ => {
                let problem = format!("the character '{c}' is reserved and needs a '\\' before it, where it stands");
                return Err(TextError::markup(offset, problem));
            }
        };
        self.at += length;
        let mut language = None;
        if kind == EntityKind::Pre {
            (language, self.at) = fence(self.source, self.at);
        }
        self.open.push(Open { kind, language, mark: self.out.mark(), offset });
        Ok(())
    }

    fn end(&mut self) -> Result<(), TextError> {
        if self.follows("\n") {
            return self.end_quote();
        }
        let Some(open) = self.open.pop() else { return Ok(()) };
        self.at += match open.kind {
            EntityKind::Pre => 3,
            EntityKind::Underline | EntityKind::Spoiler => 2,
            _ => 1,
        };
        match open.kind {
            EntityKind::TextLink => self.link(open.mark),
            EntityKind::CustomEmoji => self.custom_emoji(&open),
            kind => {
                if !self.out.is_empty_since(open.mark) {
                    let entity = Entity { language: open.language, ..self.out.entity(kind, open.mark) };
                    self.out.entities.push(entity);
                }
                Ok(())
            }
        }
    }

    /// Ends a block quotation at the end of its last line; a `||` just before makes it expandable.
    fn end_quote(&mut self) -> Result<(), TextError> {
        let expandable = self.pop_expandable_mark();
        let quote = self.pop_quote()?;
        self.at += 1;
        self.text('\n');
        self.out.add(quote_kind(expandable), quote.mark);
        Ok(())
    }

    /// The entity that is open at the end of a block quotation must be the quotation itself.
    fn pop_quote(&mut self) -> Result<Open, TextError> {
        match self.open.pop() {
            Some(open) if open.kind == EntityKind::Blockquote => {
                self.in_quote = false;
                Ok(open)
            }
            Some(open) => Err(unclosed(&open)),
            None => Err(TextError::markup(self.at, "a block quotation ends that did not begin")),
        }
    }

    /// Takes away a spoiler that begins at the very end of a line: it marks the quotation as expandable.
    fn pop_expandable_mark(&mut self) -> bool {
        let carriage_return = usize::from(self.out.ends_with('\r'));
        let is_mark = self
            .open
            .last()
            .is_some_and(|open| open.kind == EntityKind::Spoiler && open.offset + 2 + carriage_return == self.at);
        if is_mark {
            self.open.pop();
        }
        is_mark
    }

    fn link(&mut self, mark: Mark) -> Result<(), TextError> {
        let address = if self.follows("(") { self.address("link")? } else { self.out.since(mark).to_owned() };
        if !self.out.is_empty_since(mark) {
            self.out.add_link(&address, mark);
        }
        Ok(())
    }

    fn custom_emoji(&mut self, open: &Open) -> Result<(), TextError> {
        if !self.follows("(") {
            return Err(TextError::markup(open.offset, "no address (tg://emoji?id=…) after the custom emoji"));
        }
        let address = self.address("custom emoji")?;
        let id = link::custom_emoji(&address).map_err(|problem| TextError::markup(open.offset, problem))?;
        if !self.out.is_empty_since(open.mark) {
            let entity = Entity { custom_emoji_id: Some(id), ..self.out.entity(EntityKind::CustomEmoji, open.mark) };
            self.out.entities.push(entity);
        }
        Ok(())
    }

    /// Takes an address in parentheses, without its escapes.
    fn address(&mut self, of: &str) -> Result<String, TextError> {
        self.at += 1;
        let begin = self.at;
        let mut address = String::new();
        while let Some(c) = self.rest().chars().next() {
            if let Some(escaped) = escaped(self.rest()) {
                address.push(escaped);
                self.at += 2;
                continue;
            }
            self.at += c.len_utf8();
            if c == ')' {
                return Ok(address);
            }
            address.push(c);
        }
        Err(TextError::markup(begin, format!("no ')' ends the address of the {of}, which begins")))
    }

    fn finish(&mut self) -> Result<(), TextError> {
        if self.in_quote {
            let expandable = self.pop_expandable_mark();
            let quote = self.pop_quote()?;
            if !self.out.is_empty_since(quote.mark) {
                self.out.add(quote_kind(expandable), quote.mark);
            }
        }
        self.open.last().map_or(Ok(()), |open| Err(unclosed(open)))
    }
}

/// The ASCII character that is escaped at the start of `text`.
fn escaped(text: &str) -> Option<char> {
    text.strip_prefix('\\')?.chars().next().filter(|c| ('\u{1}'..='~').contains(c))
}

fn quote_kind(expandable: bool) -> EntityKind {
    if expandable { EntityKind::ExpandableBlockquote } else { EntityKind::Blockquote }
}

fn unclosed(open: &Open) -> TextError {
    TextError::markup(open.offset, format!("nothing ends the {} entity that begins", kinds::name(open.kind)))
}

#[cfg(test)]
mod tests {
    use super::super::output::testing::{describe, failure};
    use super::{RESERVED, parse};

    fn check(table: &[(&str, &str)]) {
        for (source, expected) in table {
            assert_eq!(describe(parse(source)), *expected, "{source}");
        }
    }

    #[test]
    fn marks_become_entities() {
        check(&[
            ("plain", "plain"),
            ("*a* _b_ __c__ ~d~ ||e||", "a b c d e|bold 0+1|italic 2+1|underline 4+1|strikethrough 6+1|spoiler 8+1"),
            ("🏟*🏟*", "🏟🏟|bold 2+2"),
            ("*a _b_*", "a b|italic 2+1|bold 0+3"),
            ("** ____ ~~ |||| ``", "    "),
            ("[t](https://a.b/\\)?x=\\\\)", "t|text_link 0+1 https://a.b/)?x=\\"),
            ("[a\\.b]c", "a.bc|text_link 0+3 http://a.b/"),
            ("[*t*](a.b)", "t|bold 0+1|text_link 0+1 http://a.b/"),
            ("[t](nowhere)[](a.b)[t]()", "tt"),
            ("[t](tg://user?id=42)", "t|text_mention 0+1 42"),
            ("![👍](tg://emoji?id=5)", "👍|custom_emoji 0+2 5"),
            ("`a*_\\``", "a*_`|code 0+4"),
        ]);
    }

    #[test]
    fn underscores_prefer_underline() {
        check(&[
            ("__a _b_**__", "a b|italic 2+1|underline 0+3"),
            ("_a __b___", "a b|underline 2+1|italic 0+3"),
            ("___a_**__", "a|italic 0+1|underline 0+1"),
        ]);
        for (source, offset) in [("__🏟 _a___", 11), ("_a__", 2)] {
            assert_eq!(failure(parse(source)).0, offset, "{source}");
        }
    }

    #[test]
    fn preformatted_text_may_name_its_language() {
        check(&[
            ("```\na```", "a|pre 0+1"),
            ("```rust\r\na```", "a|pre 0+1 rust"),
            ("```rust\n\na```", "\na|pre 0+2 rust"),
            ("```a b```", " b|pre 0+2 a"),
            ("```rust```", "rust|pre 0+4"),
            ("``````", ""),
            ("`a```", "a|code 0+1"),
        ]);
    }

    #[test]
    fn quotations_take_whole_lines() {
        check(&[
            (">a", "a|blockquote 0+1"),
            (">", ""),
            (">a\n>b\nc", "a\nb\nc|blockquote 0+4"),
            ("x\n>a\n\n>b", "x\na\n\nb|blockquote 2+2|blockquote 5+1"),
            (">a\n**>b", "a\nb|blockquote 0+2|blockquote 2+1"),
            (">*a\n>b*\nc", "a\nb\nc|bold 0+3|blockquote 0+4"),
            ("*a\n>b\nc*", "a\nb\nc|blockquote 2+2|bold 0+5"),
            (">a||\nb", "a\nb|expandable_blockquote 0+2"),
            ("**>a\n>b||", "a\nb|expandable_blockquote 0+3"),
            (">a||\r\nb", "a\r\nb|expandable_blockquote 0+3"),
            (">a||b||\n", "ab\n|spoiler 1+1|blockquote 0+3"),
            (">a||b||||", "ab|spoiler 1+1|expandable_blockquote 0+2"),
            (">`a\n>b\nc`\n>d", "a\n>b\nc\nd|code 0+6|blockquote 0+8"),
            ("\\>a", ">a"),
        ]);
        for (source, offset, words) in [
            ("a>", 1, "reserved"),
            (">*a\nb*", 1, "nothing ends the bold"),
            (">||a\nb||", 1, "nothing ends the spoiler"),
            (">*a||\nb", 1, "nothing ends the bold"),
            (">*a||", 1, "nothing ends the bold"),
        ] {
            let (at, problem) = failure(parse(source));
            assert!(at == offset && problem.contains(words), "{source}: {problem} at {at}");
        }
    }

    #[test]
    fn a_backslash_escapes_any_ascii_character() {
        check(&[("\\a\\1\\\\\\_", "a1\\_"), ("\\ї\\", "\\ї\\"), ("\\\n>a", "\na|blockquote 1+1")]);
        for c in RESERVED.chars() {
            assert_eq!(describe(parse(&format!("\\{c}"))), c.to_string());
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for c in "]()#+-=|{}.!".chars() {
            let (at, problem) = failure(parse(&format!("🏟{c}")));
            assert!(at == 4 && problem.contains(&format!("'{c}' is reserved")), "{c}: {problem} at {at}");
        }
        for (source, offset, words) in [
            ("🏟_a", 4, "nothing ends the italic"),
            ("*a _b*", 5, "nothing ends the bold"),
            ("`", 0, "nothing ends the code"),
            ("```a", 0, "nothing ends the pre"),
            ("[a", 0, "nothing ends the text_link"),
            ("[a](b", 4, "no ')' ends the address of the link"),
            ("[a](b\\)", 4, "no ')'"),
            ("![👍", 0, "nothing ends the custom_emoji"),
            ("![👍]", 0, "no address"),
            ("![👍](tg://emoji?id=1", 8, "no ')' ends the address of the custom emoji"),
            ("![👍](https://a.b)", 0, "tg://emoji"),
        ] {
            let (at, problem) = failure(parse(source));
            assert!(at == offset && problem.contains(words), "{source}: {problem} at {at}");
        }
    }
}
