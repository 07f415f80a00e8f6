//! The form in which Telegram takes a text: control characters replaced, white space around it gone, entities nested.

use platform::Text;

use super::nesting::{end, settle, sort};
use super::output::utf16_len;
use super::{TextError, max_entities};

/// Normalises text whose entities lie within it and begin and end between characters.
pub(super) fn normalize(text: Text, max: usize) -> Result<Text, TextError> {
    let mut text = clean(Text { entities: settle(text.entities), ..text });
    trim_end(&mut text);
    trim_start(&mut text);
    if text.text.chars().all(is_blank) {
        return Err(TextError::Empty);
    }
    let length = text.text.chars().count();
    if length > max {
        return Err(TextError::TooLong { length, max });
    }
    if text.entities.len() > max_entities(max) {
        return Err(TextError::TooManyEntities { count: text.entities.len() });
    }
    Ok(text)
}

/// What Telegram makes of a character: control characters become spaces; carriage returns, separators and marks of
/// direction that would reach beyond the message, and combining lines that would reach beyond the line, go away.
fn cleaned(c: char) -> Option<char> {
    match c {
        '\r' | '\u{2028}'..='\u{202E}' | '\u{30A}' | '\u{333}' | '\u{33F}' => None,
        '\n' => Some('\n'),
        '\0'..=' ' => Some(' '),
        _ => Some(c),
    }
}

fn clean(text: Text) -> Text {
    if text.text.chars().all(|c| cleaned(c) == Some(c)) {
        return text;
    }
    let mut result = String::with_capacity(text.text.len());
    // The new offset of every old one.
    let mut moved = vec![0];
    let mut offset = 0;
    for c in text.text.chars() {
        if let Some(kept) = cleaned(c) {
            result.push(kept);
            offset += utf16_len(kept);
        }
        moved.extend(std::iter::repeat_n(offset, c.len_utf16()));
    }
    let mut entities = text.entities;
    for entity in &mut entities {
        let stop = moved[end(entity) as usize];
        entity.offset = moved[entity.offset as usize];
        entity.length = stop - entity.offset;
    }
    // Entities can have become empty or neighbours.
    Text { text: result, entities: settle(entities) }
}

fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\n')
}

fn trim_end(text: &mut Text) {
    text.text.truncate(text.text.trim_end_matches(is_white).len());
    let length = text.text.chars().map(utf16_len).sum();
    text.entities.retain(|entity| entity.offset < length);
    for entity in &mut text.entities {
        entity.length = entity.length.min(length - entity.offset);
    }
    sort(&mut text.entities);
}

/// White space inside the first entity stays, as at Telegram.
fn trim_start(text: &mut Text) {
    let white = text.text.len() - text.text.trim_start_matches(is_white).len();
    let mut removed = u32::try_from(white).unwrap_or(u32::MAX);
    if let Some(first) = text.entities.first() {
        removed = removed.min(first.offset);
    }
    text.text.drain(..removed as usize);
    for entity in &mut text.entities {
        entity.offset -= removed;
    }
}

/// Whether a character shows nothing: a text of only these is empty for Telegram.
fn is_blank(c: char) -> bool {
    matches!(
        c,
        ' ' | '\n'
            | '\u{A0}'
            | '\u{1680}'
            | '\u{180E}'
            | '\u{2000}'..='\u{200F}'
            | '\u{202F}'
            | '\u{205F}'
            | '\u{2800}'
            | '\u{3000}'
            | '\u{FEFF}'
            | '\u{FFFC}'
            | '\u{E0000}'..='\u{E007F}'
    )
}

#[cfg(test)]
mod tests {
    use platform::Text;

    use super::super::output::testing::describe;
    use super::super::{ParseMode, TextError, parse};
    use super::normalize;

    fn html(source: &str) -> String {
        describe(parse(source, ParseMode::Html, 4096))
    }

    #[test]
    fn white_space_around_the_text_goes() {
        for (source, expected) in [
            (" \n a b \n", "a b"),
            (" <b>a</b> ", "a|bold 0+1"),
            ("<b>a </b> ", "a|bold 0+1"),
            (" <b> a</b>", " a|bold 0+2"),
            ("<b>a</b><i> </i>", "a|bold 0+1"),
            ("<b>🏟 </b>", "🏟|bold 0+2"),
            ("<b><i>a</i> </b>", "a|bold 0+1|italic 0+1"),
            ("a\u{A0}", "a\u{A0}"),
        ] {
            assert_eq!(html(source), expected, "{source:?}");
        }
    }

    #[test]
    fn control_characters_are_replaced() {
        for (source, expected) in [
            ("a\tb\u{1}c", "a b c"),
            ("a\r\n<b>b</b>", "a\nb|bold 2+1"),
            ("<b>\ra\r</b>b", "ab|bold 0+1"),
            ("<b>\r</b>a", "a"),
            ("<b>a</b>\r<b>b</b>", "ab|bold 0+2"),
            ("\u{202E}a\u{2028}b\u{333}", "ab"),
            ("a\u{200F}b\u{85}c", "a\u{200F}b\u{85}c"),
        ] {
            assert_eq!(html(source), expected, "{source:?}");
        }
    }

    #[test]
    fn a_text_that_shows_nothing_is_empty() {
        for source in ["", " \n", "<b> </b>", "\r", "\u{200B}\u{FEFF}", "\u{2800}\u{3000}", "\u{E0020}", "<b></b>"] {
            assert_eq!(parse(source, ParseMode::Html, 4096), Err(TextError::Empty), "{source:?}");
        }
    }

    #[test]
    fn length_counts_code_points_after_parsing() {
        let longest = format!(" <b>{}</b> ", "🏟".repeat(4096));
        assert_eq!(parse(&longest, ParseMode::Html, 4096).map(|text| text.entities[0].length), Ok(8192));
        let longer = format!("x{longest}x");
        assert_eq!(parse(&longer, ParseMode::Html, 4096), Err(TextError::TooLong { length: 4100, max: 4096 }));
        let caption = "ї".repeat(1025);
        let error = normalize(Text { text: caption, entities: vec![] }, 1024).expect_err("too long");
        assert_eq!(error, TextError::TooLong { length: 1025, max: 1024 });
    }

    #[test]
    fn more_entities_than_telegram_takes_are_refused() {
        let many = "<b>a</b> ".repeat(100);
        assert_eq!(parse(&many, ParseMode::Html, 4096).map(|text| text.entities.len()), Ok(100));
        let more = "<b>a</b> ".repeat(101);
        assert_eq!(parse(&more, ParseMode::Html, 4096), Err(TextError::TooManyEntities { count: 101 }));
        let merged = "<b>a</b>".repeat(200);
        assert_eq!(parse(&merged, ParseMode::Html, 4096).map(|text| text.entities.len()), Ok(1));
    }

    #[test]
    fn nul_is_refused() {
        assert_eq!(parse("їa\0", ParseMode::Html, 4096), Err(TextError::Nul { offset: 3 }));
    }
}
