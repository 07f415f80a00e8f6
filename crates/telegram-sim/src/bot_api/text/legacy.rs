//! `parse_mode` Markdown, the old one: no nesting, few marks.

use super::{Builder, Formatted, link_kind};
use crate::world::EntityKind;

/// Parses legacy Markdown.
pub(super) fn parse(source: &str) -> Result<Formatted, String> {
    let mut out = Builder::default();
    let mut at = 0;
    while let Some(c) = source[at..].chars().next() {
        let rest = &source[at..];
        let next = rest[c.len_utf8()..].chars().next();
        match c {
            '\\' if next.is_some_and(|next| "_*`[".contains(next)) => {
                out.push(next.unwrap_or(c));
                at += 2;
            }
            '_' | '*' | '`' | '[' => {
                at += entity(rest, &mut out)
                    .ok_or_else(|| format!("Can't find end of the entity starting at byte offset {at}"))?;
            }
            other => {
                out.push(other);
                at += other.len_utf8();
            }
        }
    }
    Ok(out.finish())
}

/// Reads the entity that `rest` begins with and returns its length in bytes, or `None` if it has no end.
fn entity(rest: &str, out: &mut Builder) -> Option<usize> {
    let offset = out.utf16;
    let mut write = |text: &str| text.chars().for_each(|c| out.push(c));
    if let Some(code) = rest.strip_prefix("```") {
        let end = code.find("```")?;
        let (language, code) = split_language(&code[..end]);
        write(code);
        out.close(offset, EntityKind::Pre { language: language.map(str::to_owned) });
        return Some(end + 6);
    }
    let (mark, kind) = match rest.chars().next()? {
        '*' => ('*', EntityKind::Bold),
        '_' => ('_', EntityKind::Italic),
        '`' => ('`', EntityKind::Code),
        _ => return link(rest, out),
    };
    let end = rest[1..].find(mark)? + 1;
    write(&rest[1..end]);
    out.close(offset, kind);
    Some(end + 1)
}

fn link(rest: &str, out: &mut Builder) -> Option<usize> {
    let offset = out.utf16;
    let end = rest.find(']')?;
    let text = &rest[1..end];
    text.chars().for_each(|c| out.push(c));
    let (url, length) = match rest[end + 1..].strip_prefix('(') {
        Some(url) => {
            let length = url.find(')')?;
            (&url[..length], end + length + 3)
        }
        None => (text, end + 1),
    };
    if let Some(kind) = link_kind(url) {
        out.close(offset, kind);
    }
    Some(length)
}

/// A first line of one word is the language.
fn split_language(code: &str) -> (Option<&str>, &str) {
    match code.split_once('\n') {
        Some(("", code)) => (None, code),
        Some((language, code)) if !language.contains(char::is_whitespace) => (Some(language), code),
        _ => (None, code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Entity;

    #[test]
    fn parses_marks() {
        let parsed = parse("*b* _i_ `c` [l](http://a.b/) ```js\nx``` \\_ a.b").unwrap();
        assert_eq!(parsed.text, "b i c l x _ a.b");
        let kinds = [
            EntityKind::Bold,
            EntityKind::Italic,
            EntityKind::Code,
            EntityKind::TextLink { url: "http://a.b/".to_owned() },
            EntityKind::Pre { language: Some("js".to_owned()) },
        ];
        let offsets = [0, 2, 4, 6, 8];
        let expected: Vec<Entity> =
            kinds.into_iter().zip(offsets).map(|(kind, offset)| Entity { offset, length: 1, kind }).collect();
        assert_eq!(parsed.entities, expected);
    }

    #[test]
    fn says_what_is_wrong() {
        for source in ["ab*c", "ab_c", "ab[c", "ab`c", "ab[c](d"] {
            assert_eq!(
                parse(source).unwrap_err(),
                "Can't find end of the entity starting at byte offset 2",
                "{source}"
            );
        }
    }
}
