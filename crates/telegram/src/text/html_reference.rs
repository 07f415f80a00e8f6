//! Character references in HTML: `&lt;`, `&#60;`, `&#x3c;`.

/// A reference at the start of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// It stands for this character and is so many bytes long.
    Char(char, usize),
    /// It stands for half of a surrogate pair, which is not a character.
    Surrogate,
    /// It is none that Telegram knows: the text stays as it is.
    None,
}

/// The most bytes of a numeric reference, without the semicolon.
const MAX_NUMERIC: usize = 9;

/// Reads the reference that `text` begins with; its first byte is `&`. The semicolon may be missing.
pub(super) fn read(text: &str) -> Reference {
    let Some(rest) = text.strip_prefix('&') else { return Reference::None };
    let Some((code, body)) = rest.strip_prefix('#').map_or_else(|| named(rest), numeric) else {
        return Reference::None;
    };
    let semicolon = usize::from(rest[body..].starts_with(';'));
    match char::from_u32(code) {
        Some(c) => Reference::Char(c, 1 + body + semicolon),
        None => Reference::Surrogate,
    }
}

/// The name after `&`, and how many bytes it takes.
fn named(text: &str) -> Option<(u32, usize)> {
    let length = run(text, u8::is_ascii_alphabetic);
    let c = match &text[..length] {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        _ => return None,
    };
    Some((u32::from(c), length))
}

/// The number after `&`, and how many bytes it takes with its `#`; `text` begins after that.
fn numeric(text: &str) -> Option<(u32, usize)> {
    let (digits, radix, prefix) = match text.strip_prefix('x') {
        Some(hex) => (&hex[..run(hex, u8::is_ascii_hexdigit)], 16, 1),
        None => (&text[..run(text, u8::is_ascii_digit)], 10, 0),
    };
    let length = 1 + prefix + digits.len();
    if 1 + length > MAX_NUMERIC {
        return None;
    }
    let code = u32::from_str_radix(digits, radix).ok()?;
    (code > 0 && code < 0x10_FFFF).then_some((code, length))
}

fn run(text: &str, accept: fn(&u8) -> bool) -> usize {
    text.bytes().take_while(accept).count()
}

#[cfg(test)]
mod tests {
    use super::{Reference, read};

    #[test]
    fn known_references_stand_for_their_character() {
        for (text, c, length) in [
            ("&lt;", '<', 4),
            ("&gt;x", '>', 4),
            ("&amp;lt;", '&', 5),
            ("&quot", '"', 5),
            ("&lt ;", '<', 3),
            ("&#60;", '<', 5),
            ("&#x3C;", '<', 6),
            ("&#x1f3df;", '🏟', 9),
            ("&#128512", '😀', 8),
        ] {
            assert_eq!(read(text), Reference::Char(c, length), "{text}");
        }
    }

    #[test]
    fn anything_else_stays_text() {
        for text in
            ["&", "& lt;", "&nbsp;", "&ltx;", "&LT;", "&#;", "&#x;", "&#0;", "&#x10ffff;", "&#0000000060;", "&#X3C;"]
        {
            assert_eq!(read(text), Reference::None, "{text}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_told_apart() {
        assert_eq!(read("&#xd83c;"), Reference::Surrogate);
        assert_eq!(read("&#57055;"), Reference::Surrogate);
    }
}
