//! The older Markdown: entities do not nest, and a backslash escapes only outside of them.

use platform::{Entity, EntityKind, Text};

use super::TextError;
use super::output::{Mark, Output, fence};

/// Parses the older Markdown.
pub(super) fn parse(source: &str) -> Result<Text, TextError> {
    let mut out = Output::default();
    let mut at = 0;
    while let Some(length) = source[at..].find(['\\', '_', '*', '`', '[']) {
        out.push_str(&source[at..at + length]);
        at += length;
        let rest = &source[at..];
        if let Some(escaped) = rest.strip_prefix('\\') {
            let c = escaped.chars().next().filter(|c| matches!(c, '_' | '*' | '`' | '['));
            out.push(c.unwrap_or('\\'));
            at += 1 + usize::from(c.is_some());
        } else {
            at = entity(source, at, &mut out)?;
        }
    }
    out.push_str(&source[at..]);
    Ok(out.finish())
}

/// Parses the entity that begins at `begin` and returns where it ends.
fn entity(source: &str, begin: usize, out: &mut Output) -> Result<usize, TextError> {
    let rest = &source[begin..];
    let mark = out.mark();
    if rest.starts_with("```") {
        let (language, at) = fence(source, begin + 3);
        let end = body(source, begin, at, "```", out)?;
        if !out.is_empty_since(mark) {
            let entity = Entity { language, ..out.entity(EntityKind::Pre, mark) };
            out.entities.push(entity);
        }
        return Ok(end);
    }
    let (kind, closing) = match rest.as_bytes()[0] {
        b'_' => (EntityKind::Italic, "_"),
        b'*' => (EntityKind::Bold, "*"),
        b'`' => (EntityKind::Code, "`"),
        _ => (EntityKind::TextLink, "]"),
    };
    let end = body(source, begin, begin + 1, closing, out)?;
    if out.is_empty_since(mark) {
        return Ok(end);
    }
    if kind == EntityKind::TextLink {
        return Ok(link(source, end, mark, out));
    }
    out.add(kind, mark);
    Ok(end)
}

/// Takes the text of an entity and returns where its closing mark ends.
fn body(source: &str, begin: usize, at: usize, closing: &str, out: &mut Output) -> Result<usize, TextError> {
    let Some(length) = source[at..].find(closing) else {
        return Err(TextError::markup(begin, format!("no closing \"{closing}\" of the entity that starts")));
    };
    out.push_str(&source[at..at + length]);
    Ok(at + length + closing.len())
}

/// Takes the address of a link, if there is one, and returns where it ends; else the text is the address.
fn link(source: &str, at: usize, mark: Mark, out: &mut Output) -> usize {
    let (address, end) = match source[at..].strip_prefix('(') {
        Some(rest) => {
            let length = rest.find(')').unwrap_or(rest.len());
            (rest[..length].to_owned(), (at + 1 + length + 1).min(source.len()))
        }
        None => (out.since(mark).to_owned(), at),
    };
    out.add_link(&address, mark);
    end
}

#[cfg(test)]
mod tests {
    use super::super::output::testing::{describe, failure};
    use super::parse;

    #[test]
    fn marks_become_entities() {
        for (source, expected) in [
            ("plain", "plain"),
            ("_a_ *b* `c`", "a b c|italic 0+1|bold 2+1|code 4+1"),
            ("🏟*🏟*", "🏟🏟|bold 2+2"),
            ("\\_a\\* \\x \\", "_a* \\x \\"),
            ("*a\\*b", "a\\b|bold 0+2"),
            ("*_a_*", "_a_|bold 0+3"),
            ("**", ""),
            ("```a b```", " b|pre 0+2 a"),
            ("```\na```", "a|pre 0+1"),
            ("```rust\r\na```", "a|pre 0+1 rust"),
            ("```rust```", "rust|pre 0+4"),
            ("``````", ""),
            ("[t](a.b)x", "tx|text_link 0+1 http://a.b/"),
            ("[a.b]x", "a.bx|text_link 0+3 http://a.b/"),
            ("[t](a.b", "t|text_link 0+1 http://a.b/"),
            ("[t](nowhere)", "t"),
            ("[t](tg://user?id=42)", "t|text_mention 0+1 42"),
            ("[](a.b)", "(a.b)"),
        ] {
            assert_eq!(describe(parse(source)), expected, "{source}");
        }
    }

    #[test]
    fn an_entity_without_end_is_named_with_its_place() {
        for (source, offset) in [("🏟_a", 4), ("a*", 1), ("`", 0), ("```a``", 0), ("[a", 0), ("*a* _b", 4)] {
            let (at, problem) = failure(parse(source));
            assert!(at == offset && problem.contains("no closing"), "{source}: {problem} at {at}");
        }
    }
}
