//! Properties that hold for any input.

use platform::{Entity, EntityKind, Text};
use proptest::prelude::*;

use super::kinds::{Class, STYLES, class};
use super::nesting::end;
use super::{MAX_ENTITIES, MAX_MESSAGE, ParseMode, TextError, escape, parse, split, validate};

const MODES: [ParseMode; 3] = [ParseMode::Html, ParseMode::MarkdownV2, ParseMode::Markdown];

/// Text in which markup is much more frequent than in any text of people.
fn markup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "<b>",
            "</b>",
            "<i>",
            "</>",
            "<pre>",
            "<code class=\"language-x\">",
            "</code>",
            "</pre>",
            "<blockquote>",
            "<blockquote expandable>",
            "</blockquote>",
            "<a href=\"a.b\">",
            "</a>",
            "<tg-emoji emoji-id='1'>",
            "</tg-emoji>",
            "<u",
            "&lt;",
            "&#x1f3df;",
            "&#",
            "*",
            "_",
            "__",
            "||",
            "~",
            "`",
            "```",
            "```x\n",
            ">",
            "\n>",
            "**>",
            "[",
            "](a.b)",
            "![",
            "](tg://emoji?id=1)",
            "\\",
            "\n",
            "\r",
            " ",
            "🏟",
            "ї",
            "a",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn entity() -> impl Strategy<Value = Entity> {
    let kinds = [STYLES.as_slice(), &[EntityKind::Code, EntityKind::Blockquote, EntityKind::Hashtag]].concat();
    (prop::sample::select(kinds), 0u32..20, 0u32..12)
        .prop_map(|(kind, offset, length)| Entity::new(kind, offset, length))
}

/// Entities lie within the text, begin and end between characters, are sorted, and of any two that share characters
/// one holds the other.
fn assert_sound(text: &Text) {
    let units: Vec<u16> = text.text.encode_utf16().collect();
    assert!(text.entities.len() <= MAX_ENTITIES);
    assert!(text.entities.is_sorted_by_key(|entity| entity.offset));
    for (index, a) in text.entities.iter().enumerate() {
        let range = a.offset as usize..end(a) as usize;
        assert!(a.length > 0 && String::from_utf16(&units[range]).is_ok(), "{a:?}");
        for b in &text.entities[index + 1..] {
            assert!(end(a) <= b.offset || end(b) <= end(a), "{a:?} {b:?}");
            assert!(end(a) <= b.offset || class(a.kind) != Class::Code, "{a:?} {b:?}");
        }
    }
}

proptest! {
    #[test]
    fn parsing_gives_sound_entities_or_an_error(source in markup()) {
        for mode in MODES {
            match parse(&source, mode, MAX_MESSAGE) {
                Ok(text) => assert_sound(&text),
                Err(TextError::Markup { offset, .. }) => prop_assert!(source.is_char_boundary(offset)),
                Err(_) => {}
            }
        }
    }

    #[test]
    fn what_is_parsed_is_valid_and_stays_the_same(source in markup()) {
        for mode in MODES {
            if let Ok(text) = parse(&source, mode, MAX_MESSAGE) {
                let again = validate(text.clone(), MAX_MESSAGE);
                prop_assert_eq!(again, Ok(text));
            }
        }
    }

    #[test]
    fn validation_gives_sound_entities_or_an_error(text in markup(), entities in prop::collection::vec(entity(), 0..12)) {
        if let Ok(text) = validate(Text { text, entities }, MAX_MESSAGE) {
            assert_sound(&text);
        }
    }

    #[test]
    fn escaped_text_is_read_as_it_was(source in markup()) {
        let plain = validate(Text { text: source.clone(), entities: Vec::new() }, MAX_MESSAGE);
        for mode in MODES {
            prop_assert_eq!(&parse(&escape(&source, mode), mode, MAX_MESSAGE).map_err(|error| error.code()),
                &plain.clone().map_err(|error| error.code()));
        }
    }

    #[test]
    fn parts_are_sound_and_nothing_but_white_space_is_lost(source in markup(), max in 1usize..30) {
        if let Ok(text) = parse(&source, ParseMode::Html, MAX_MESSAGE) {
            let parts = split(&text, max);
            let seen = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            let mut all = String::new();
            for part in &parts {
                assert_sound(part);
                prop_assert!(part.text.chars().count() <= max);
                all += &seen(&part.text);
            }
            // A part that shows nothing is left out.
            if parts.len() == 1 || !seen(&text.text).chars().any(|c| c == '\u{2800}' || !c.is_alphanumeric()) {
                prop_assert_eq!(all, seen(&text.text));
            }
        }
    }
}
