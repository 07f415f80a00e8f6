//! Cutting a text that is too long for one message.

use platform::{Entity, EntityKind, Text};
use unicode_segmentation::UnicodeSegmentation as _;

use super::MAX_ENTITIES;
use super::kinds::{Class, class};
use super::nesting::end;
use super::normalize::normalize;
use super::output::utf16_len;

/// A cut that leaves less than this share of what fits is not worth its nicety.
const WORTH: usize = 3;

/// Cuts a text into parts of at most `max` code points, in their order: between paragraphs where that is possible, else between lines,
/// sentences or words. Formatting that is cut goes on in the next part; what means something only as a whole (a mention, an address, an
/// emoji) is not cut. White space around a cut is left out.
pub fn split(text: &Text, max: usize) -> Vec<Text> {
    let mut parts = Vec::new();
    let mut rest = Rest { text, byte: 0, utf16: 0 };
    while rest.byte < text.text.len() {
        let length = rest.cut(max.max(1));
        let part = rest.take(length);
        // What shows nothing is no message.
        parts.extend(normalize(part, max.max(1)).ok());
        rest.skip_white();
    }
    parts
}

/// What is left of a text.
struct Rest<'a> {
    text: &'a Text,
    /// Where it begins, in bytes and in UTF-16 code units.
    byte: usize,
    utf16: u32,
}

impl Rest<'_> {
    fn str(&self) -> &str {
        &self.text.text[self.byte..]
    }

    /// How many bytes go into the next part.
    fn cut(&self, max: usize) -> usize {
        let text = self.str();
        let fits = text.char_indices().nth(max).map_or(text.len(), |(at, _)| at);
        let limit = fits.min(self.entities_fit());
        if limit == text.len() {
            return limit;
        }
        // A separator may stand right behind what fits.
        let mut levels: [Option<usize>; 5] = [None; 5];
        let mut before = None;
        let mut utf16 = self.utf16;
        let mut wholes =
            self.text.entities.iter().filter(|entity| is_whole(entity) && end(entity) > self.utf16).peekable();
        for (at, grapheme) in text.grapheme_indices(true).take_while(|(at, _)| *at <= limit) {
            // They are sorted and do not overlap.
            while wholes.next_if(|entity| end(entity) <= utf16).is_some() {}
            if at > 0 && wholes.peek().is_none_or(|entity| entity.offset >= utf16) {
                levels[4] = Some(at);
                if grapheme.starts_with(char::is_whitespace) {
                    levels[3] = Some(at);
                    if before.is_some_and(ends_sentence) {
                        levels[2] = Some(at);
                    }
                }
                if grapheme.starts_with('\n') {
                    levels[1] = Some(at);
                    if text[at..].starts_with("\n\n") {
                        levels[0] = Some(at);
                    }
                }
            }
            before = grapheme.chars().last();
            utf16 += length(grapheme);
        }
        let worth = limit / WORTH;
        let nice = levels[..4].iter().flatten().find(|at| **at > worth);
        // One grapheme or address may be longer than a message: then it is cut all the same.
        *nice.or(levels[4].as_ref()).unwrap_or(&limit)
    }

    /// The bytes within which there are not too many entities. An entity that began before counts, since it goes on.
    fn entities_fit(&self) -> usize {
        let ahead = self.text.entities.iter().filter(|entity| end(entity) > self.utf16);
        match ahead.map(|entity| entity.offset.saturating_sub(self.utf16)).nth(MAX_ENTITIES) {
            Some(utf16) if utf16 > 0 => self.bytes_of(utf16),
            _ => self.str().len(),
        }
    }

    fn bytes_of(&self, utf16: u32) -> usize {
        let mut passed = 0;
        let reached = self.str().char_indices().find(|(_, c)| {
            let here = passed >= utf16;
            passed += utf16_len(*c);
            here
        });
        reached.map_or(self.str().len(), |(at, _)| at)
    }

    fn take(&mut self, bytes: usize) -> Text {
        let text = self.str()[..bytes].to_owned();
        let (start, stop) = (self.utf16, self.utf16 + length(&text));
        let inside = |entity: &&Entity| entity.offset < stop && end(entity) > start;
        let entities = self.text.entities.iter().filter(inside).map(|entity| {
            let (from, to) = (entity.offset.max(start), end(entity).min(stop));
            Entity { offset: from - start, length: to - from, ..entity.clone() }
        });
        let part = Text { entities: entities.collect(), text };
        self.byte += bytes;
        self.utf16 = stop;
        part
    }

    /// Goes on behind white space; in code, which is indented, behind the end of the line only.
    fn skip_white(&mut self) {
        let in_code =
            self.text.entities.iter().any(|entity| {
                class(entity.kind) == Class::Code && entity.offset < self.utf16 && self.utf16 < end(entity)
            });
        let white = if in_code {
            usize::from(self.str().starts_with('\n'))
        } else {
            self.str().len() - self.str().trim_start().len()
        };
        self.utf16 += length(&self.str()[..white]);
        self.byte += white;
    }
}

fn length(text: &str) -> u32 {
    text.chars().map(utf16_len).sum()
}

fn ends_sentence(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？')
}

/// Half of a link still leads somewhere; half of a mention, an address or an emoji does not.
fn is_whole(entity: &Entity) -> bool {
    class(entity.kind) == Class::Whole && !matches!(entity.kind, EntityKind::TextLink | EntityKind::TextMention)
}

#[cfg(test)]
mod tests {
    use platform::EntityKind as K;

    use super::*;

    fn plain(text: &str, max: usize) -> Vec<String> {
        split(&Text::plain(text), max).into_iter().map(|part| part.text).collect()
    }

    #[test]
    fn the_largest_unit_that_is_worth_it_is_kept_whole() {
        for (text, max, parts) in [
            ("short", 9, vec!["short"]),
            ("one two\n\nthree. four", 16, vec!["one two", "three. four"]),
            ("one two\nthree. four five", 16, vec!["one two", "three. four five"]),
            ("One two. Three four five", 16, vec!["One two.", "Three four five"]),
            ("one two three four", 9, vec!["one two", "three", "four"]),
            ("a bbbbbbbbbbbbbb", 9, vec!["a bbbbbbb", "bbbbbbb"]),
            ("aaaaaaaaa b", 9, vec!["aaaaaaaaa", "b"]),
            ("one\n\n\n\n  two", 5, vec!["one", "two"]),
            ("👨‍👩‍👧👨‍👩‍👧", 7, vec!["👨‍👩‍👧", "👨‍👩‍👧"]),
        ] {
            assert_eq!(plain(text, max), parts, "{text:?}");
        }
    }

    #[test]
    fn formatting_goes_on_and_what_is_whole_stays_so() {
        let entities = vec![Entity::new(K::Bold, 0, 9), Entity::new(K::Mention, 8, 5)];
        let parts = split(&Text { text: "aaaa bb @name cc".to_owned(), entities }, 10);
        let described: Vec<_> = parts
            .iter()
            .map(|part| {
                let entities = part.entities.iter().map(|e| (e.kind, e.offset, e.length)).collect::<Vec<_>>();
                (part.text.as_str(), entities)
            })
            .collect();
        let expected = [("aaaa bb", vec![(K::Bold, 0, 7)]), ("@name cc", vec![(K::Mention, 0, 5), (K::Bold, 0, 1)])];
        assert_eq!(described, expected);
    }

    #[test]
    fn code_keeps_its_indentation_and_language() {
        let pre = Entity { language: Some("rust".to_owned()), ..Entity::new(K::Pre, 0, 14) };
        let parts = split(&Text { text: "fn a() {\n    b".to_owned(), entities: vec![pre] }, 9);
        assert_eq!(parts.iter().map(|part| &*part.text).collect::<Vec<_>>(), ["fn a() {", "    b"]);
        assert!(parts.iter().all(|part| part.entities[0].language.as_deref() == Some("rust")), "{parts:?}");
    }

    #[test]
    fn no_part_has_too_many_entities() {
        let entities = (0..150).map(|n| Entity::new(K::Bold, n * 2, 1)).collect();
        let parts = split(&Text { text: "a ".repeat(150), entities }, 4096);
        assert_eq!(parts.iter().map(|part| part.entities.len()).collect::<Vec<_>>(), [100, 50]);
    }
}
