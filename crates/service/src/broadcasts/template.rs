//! A message with variables: `{{name}}`, or `{{name|what stands there without one}}`.
//!
//! Variables are filled in after the markup was read: so their values are text and never markup.

use std::collections::BTreeSet;

use platform::{Button, Content, Entity, Media, Message, Poll, Text};
use serde_json::{Map, Value};
use telegram::text::{ParseMode, escape};

/// The longest name of a variable, in bytes.
const MAX_NAME: usize = 64;

/// A variable that a target does not have.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing(pub String);

/// The values of variables.
pub type Variables = Map<String, Value>;

type Filled<T> = Result<T, Missing>;

/// Escapes the variables of a text so that they are still there after its markup is read.
pub fn protect(text: &str, mode: ParseMode) -> String {
    // In HTML they mean nothing, and what stands in them may be written in HTML.
    if mode == ParseMode::Html {
        return text.to_owned();
    }
    let mut result = String::with_capacity(text.len());
    let mut end = 0;
    for found in placeholders(text) {
        result.push_str(&text[end..found.start]);
        result.push_str(&escape(&text[found.start..found.end], mode));
        end = found.end;
    }
    result.push_str(&text[end..]);
    result
}

/// The variables that a message needs, but for those that have something to stand there without them.
pub fn names(message: &Message) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    // One that is missing is told at a time: it is then given a value.
    let mut variables = Variables::new();
    while let Err(Missing(name)) = fill(message, &variables) {
        variables.insert(name.clone(), Value::String(String::new()));
        names.insert(name);
    }
    names
}

/// The message with the variables' values. What they make of it has to be checked.
///
/// # Errors
/// A variable is missing.
pub fn fill(message: &Message, variables: &Variables) -> Filled<Message> {
    let mut message = message.clone();
    match &mut message.content {
        Content::Text(content) => {
            content.text = fill_text(&content.text, variables)?;
            if let Some(url) = content.link_preview.as_mut().and_then(|preview| preview.url.as_mut()) {
                *url = fill_url(url, variables)?;
            }
        }
        Content::Photo(media)
        | Content::Video(media)
        | Content::Document(media)
        | Content::Audio(media)
        | Content::Voice(media)
        | Content::Animation(media) => fill_media(media, variables)?,
        Content::Album(album) => {
            album.items.iter_mut().try_for_each(|item| fill_media(&mut item.media, variables))?;
        }
        Content::Poll(poll) => fill_poll(poll, variables)?,
        Content::Location(_) | Content::Forward(_) => {}
    }
    for button in message.options.buttons.iter_mut().flatten() {
        fill_button(button, variables)?;
    }
    Ok(message)
}

fn fill_media(media: &mut Media, variables: &Variables) -> Filled<()> {
    media.caption = fill_text(&media.caption, variables)?;
    Ok(())
}

fn fill_poll(poll: &mut Poll, variables: &Variables) -> Filled<()> {
    poll.question = fill_plain(&poll.question, variables)?;
    for answer in &mut poll.answers {
        *answer = fill_plain(answer, variables)?;
    }
    poll.explanation = fill_text(&poll.explanation, variables)?;
    Ok(())
}

fn fill_button(button: &mut Button, variables: &Variables) -> Filled<()> {
    button.text = fill_plain(&button.text, variables)?;
    if let Some(url) = &mut button.url {
        *url = fill_url(url, variables)?;
    }
    if let Some(data) = &mut button.callback_data {
        *data = fill_plain(data, variables)?;
    }
    Ok(())
}

/// One place in the source that a value takes, in UTF-16 code units.
struct Moved {
    start: u32,
    end: u32,
    /// How long the value is.
    length: u32,
}

/// Fills a text and moves its entities along.
fn fill_text(text: &Text, variables: &Variables) -> Filled<Text> {
    let mut moved = Vec::new();
    let filled = substitute(&text.text, variables, str::to_owned, |found, value| {
        let start = utf16(&text.text[..found.start]);
        let end = start + utf16(&text.text[found.start..found.end]);
        moved.push(Moved { start, end, length: utf16(value) });
    })?;
    let mut entities = Vec::with_capacity(text.entities.len());
    for entity in &text.entities {
        let (start, end) = (entity.offset, entity.offset.saturating_add(entity.length));
        let (start, end) = (place(&moved, start, false), place(&moved, end, true));
        let url = entity.url.as_deref().map(|url| fill_url(url, variables)).transpose()?;
        // What stood around nothing is gone with it.
        if end > start {
            entities.push(Entity { offset: start, length: end - start, url, ..entity.clone() });
        }
    }
    Ok(Text { text: filled, entities })
}

/// Where a place of the source is afterwards. What began or ended within a variable does so before or behind its value.
fn place(moved: &[Moved], at: u32, is_end: bool) -> u32 {
    let mut shifted = i64::from(at);
    for one in moved {
        let grown = i64::from(one.length) - i64::from(one.end - one.start);
        if at >= one.end {
            shifted += grown;
        } else if at > one.start {
            shifted += i64::from(one.start) - i64::from(at) + if is_end { i64::from(one.length) } else { 0 };
        }
    }
    u32::try_from(shifted).unwrap_or_default()
}

fn utf16(text: &str) -> u32 {
    u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX)
}

fn fill_plain(text: &str, variables: &Variables) -> Filled<String> {
    substitute(text, variables, str::to_owned, |_, _| {})
}

/// Values are parts of an address, unless there is nothing else in it.
fn fill_url(url: &str, variables: &Variables) -> Filled<String> {
    let is_whole = placeholders(url).next().is_some_and(|found| found.start == 0 && found.end == url.len());
    let encode =
        |value: &str| percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string();
    if is_whole { fill_plain(url, variables) } else { substitute(url, variables, encode, |_, _| {}) }
}

/// A variable in a text.
struct Found<'a> {
    /// Where it begins, in bytes.
    start: usize,
    /// Where it ends.
    end: usize,
    name: &'a str,
    /// What stands there without a value.
    otherwise: Option<&'a str>,
}

fn placeholders(text: &str) -> impl Iterator<Item = Found<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + text[from..].find("{{")?;
            let inside = start + 2;
            let found = text[inside..].find("}}").and_then(|length| {
                let (name, otherwise) = variable(&text[inside..inside + length])?;
                Some(Found { start, end: inside + length + 2, name, otherwise })
            });
            match found {
                Some(found) => {
                    from = found.end;
                    return Some(found);
                }
                // These are just braces.
                None => from = start + 1,
            }
        }
    })
}

fn substitute<'a>(
    text: &'a str,
    variables: &Variables,
    write: impl Fn(&str) -> String,
    mut note: impl FnMut(&Found<'a>, &str),
) -> Filled<String> {
    let mut result = String::with_capacity(text.len());
    let mut end = 0;
    for found in placeholders(text) {
        let value = match (variables.get(found.name).and_then(as_text), found.otherwise) {
            (Some(value), _) => write(&value),
            (None, Some(otherwise)) => write(otherwise),
            (None, None) => return Err(Missing(found.name.to_owned())),
        };
        note(&found, &value);
        result.push_str(&text[end..found.start]);
        result.push_str(&value);
        end = found.end;
    }
    result.push_str(&text[end..]);
    Ok(result)
}

/// The name of a variable, and what stands there without it.
fn variable(inside: &str) -> Option<(&str, Option<&str>)> {
    let (name, otherwise) = match inside.split_once('|') {
        Some((name, otherwise)) => (name, Some(otherwise.trim())),
        None => (inside, None),
    };
    let name = name.trim();
    is_name(name).then_some((name, otherwise))
}

/// Whether a variable can have this name: letters, digits and `_`, not beginning with a digit.
pub fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// Strings, numbers and truth values have a text.
pub fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use platform::{EntityKind, Options, TextContent};
    use serde_json::json;
    use telegram::text::{MAX_MESSAGE, parse};

    use super::*;

    fn message(text: Text) -> Message {
        Message { content: Content::Text(TextContent { text, link_preview: None }), options: Options::default() }
    }

    fn variables(values: Value) -> Variables {
        let Value::Object(variables) = values else { panic!("no object") };
        variables
    }

    fn filled(text: Text, values: Value) -> Filled<Text> {
        match fill(&message(text), &variables(values))?.content {
            Content::Text(content) => Ok(content.text),
            _ => panic!("another content"),
        }
    }

    fn marked_up(text: &str, mode: ParseMode) -> Text {
        parse(&protect(text, mode), mode, MAX_MESSAGE).unwrap()
    }

    #[test]
    fn values_stand_where_their_variables_stood() {
        let text = Text::plain("Dear {{name}}, {{ n }} of {{total|ten}} {{}} {{1}} {{{a}}} }} {{");
        let text = filled(text, json!({ "name": "Ann", "n": 3, "a": "{{name}}" })).unwrap();
        assert_eq!(text.text, "Dear Ann, 3 of ten {{}} {{1}} {{{name}}} }} {{");
    }

    #[test]
    fn formatting_moves_with_the_text_around_it() {
        let html = "😀 <b>Dear {{name}}</b>, <i>{{nothing|}}</i><a href=\"https://a.b/?q={{q}}\">{{link}}</a> {{name}} <u>end</u>";
        let values = json!({ "name": "Zoë 😀", "q": "x&y", "link": "here" });
        let text = filled(marked_up(html, ParseMode::Html), values).unwrap();
        assert_eq!(text.text, "😀 Dear Zoë 😀, here Zoë 😀 end");
        let units: Vec<u16> = text.text.encode_utf16().collect();
        let covered = |entity: &Entity| {
            let start = entity.offset as usize;
            String::from_utf16(&units[start..start + entity.length as usize]).unwrap()
        };
        let all: Vec<(EntityKind, String)> = text.entities.iter().map(|e| (e.kind, covered(e))).collect();
        let expected = [
            (EntityKind::Bold, "Dear Zoë 😀".to_owned()),
            (EntityKind::TextLink, "here".to_owned()),
            (EntityKind::Underline, "end".to_owned()),
        ];
        assert_eq!(all, expected);
        assert_eq!(text.entities[1].url.as_deref(), Some("https://a.b/?q=x%26y"));
    }

    #[test]
    fn values_are_no_markup_in_any_mode() {
        for (written, mode) in [
            ("<b>{{first_name}}</b>", ParseMode::Html),
            ("*{{first_name}}*", ParseMode::MarkdownV2),
            ("_{{other|a.b!}}_ *{{first_name}}*", ParseMode::MarkdownV2),
            ("*x* {{first_name}}", ParseMode::Markdown),
        ] {
            let text = filled(marked_up(written, mode), json!({ "first_name": "<i>a*b_c</i>" })).unwrap();
            assert!(text.text.ends_with("<i>a*b_c</i>"), "{text:?}");
            assert!(text.entities.iter().any(|entity| entity.kind == EntityKind::Bold), "{text:?}");
        }
    }

    #[test]
    fn addresses_take_values_as_parts_or_as_a_whole() {
        let button = |url: &str| Button { text: "{{a}}".into(), url: Some(url.into()), callback_data: None };
        let mut message = message(Text::plain("x"));
        message.options.buttons = vec![vec![button("https://example.org/{{b}}"), button("{{whole}}")]];
        let values = json!({ "a": "A", "b": "x y/&", "whole": "https://example.org/a?b" });
        let buttons = fill(&message, &variables(values)).unwrap().options.buttons;
        assert_eq!(buttons[0][0].text, "A");
        assert_eq!(buttons[0][0].url.as_deref(), Some("https://example.org/x%20y%2F%26"));
        assert_eq!(buttons[0][1].url.as_deref(), Some("https://example.org/a?b"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let text = Text::plain("{{a}} {{b|}} {{c}}");
        assert_eq!(filled(text.clone(), json!({ "a": null })), Err(Missing("a".into())));
        assert_eq!(filled(text.clone(), json!({ "a": 1 })), Err(Missing("c".into())));
        assert_eq!(names(&message(text)).into_iter().collect::<Vec<_>>(), ["a", "c"]);
    }
}
