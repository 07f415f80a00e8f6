//! Turns the messages of serde into texts that say what to change. They never repeat the value that was sent.

use serde_path_to_error::{Path, Segment};

use super::strict::push_segment;
use crate::error::FieldError;

/// Names longer than this are cut when they are repeated to the caller.
const MAX_NAME: usize = 64;

/// Explains an error of deserialisation at `path`; `message` is what serde says.
pub fn explain(path: &Path, message: &str) -> FieldError {
    let mut pointer = pointer(path);
    let message = without_position(message);
    if let Some(name) = quoted_after(message, "missing field ") {
        push_segment(&mut pointer, name);
        return FieldError { pointer, message: "is required".into() };
    }
    if let Some(name) = quoted_after(message, "unknown field ") {
        return unknown_field(pointer, name, message);
    }
    FieldError { pointer, message: reword(message) }
}

/// Explains an error whose place is known otherwise; `message` is what serde says.
pub fn explain_message(message: &str) -> String {
    reword(without_position(message))
}

/// The nearest of the candidates, if one is near enough to be meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push_segment(&mut pointer, &index.to_string()),
            Segment::Map { key } => push_segment(&mut pointer, &cut(key)),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

fn unknown_field(mut pointer: String, name: &str, message: &str) -> FieldError {
    let name = cut(name);
    let mut segment = String::new();
    push_segment(&mut segment, &name);
    if !pointer.ends_with(&segment) {
        pointer.push_str(&segment);
    }
    let known = quoted(expectation(message).unwrap_or_default());
    let advice = match nearest(&name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "no field is expected here".into(),
        None => format!("known are {}", known.join(", ")),
    };
    FieldError { pointer, message: format!("unknown field `{name}`: {advice}") }
}

/// Rewords every other message.
fn reword(message: &str) -> String {
    if message.starts_with("unknown variant ") {
        let known = quoted(expectation(message).unwrap_or_default());
        return format!("must be one of {}", known.join(", "));
    }
    if let Some(expected) = expectation(message) {
        let expected = expected_text(expected);
        return match message.strip_prefix("invalid type: ") {
            Some(found) => format!("must be {expected}, not {}", found_text(found)),
            None => format!("must be {expected}"),
        };
    }
    if message.contains("UUID") {
        return "must be a UUID, such as 0198c5e0-7c1a-7b6e-9c7f-2f1d3c4b5a69".into();
    }
    if is_about_a_date(message) {
        return "must be a date and time by RFC 3339, such as 2030-01-31T09:00:00Z".into();
    }
    if message.contains("digit found in string") || message.starts_with("cannot parse integer") {
        return "must be an integer".into();
    }
    if message.starts_with("number too large") || message.starts_with("number too small") {
        return "is an integer out of range".into();
    }
    if message.starts_with("provided string was not") {
        return "must be true or false".into();
    }
    if message.starts_with("data did not match any variant") {
        return "does not have any of the shapes that are accepted here".into();
    }
    message.to_owned()
}

/// The texts of chrono's parser, which do not say what was expected.
fn is_about_a_date(message: &str) -> bool {
    matches!(
        message,
        "premature end of input"
            | "trailing input"
            | "input contains invalid characters"
            | "input is out of range"
            | "input is not enough for unique date and time"
            | "no possible date and time matching input"
    )
}

fn expected_text(expected: &str) -> String {
    let range = |low: i128, high: i128| format!("an integer from {low} to {high}");
    match expected {
        "u8" => range(0, u8::MAX.into()),
        "u16" => range(0, u16::MAX.into()),
        "u32" => range(0, u32::MAX.into()),
        "u64" | "usize" => range(0, u64::MAX.into()),
        "i8" => range(i8::MIN.into(), i8::MAX.into()),
        "i16" => range(i16::MIN.into(), i16::MAX.into()),
        "i32" => range(i32::MIN.into(), i32::MAX.into()),
        "i64" | "isize" => range(i64::MIN.into(), i64::MAX.into()),
        "f32" | "f64" => "a number".into(),
        "a sequence" => "an array".into(),
        "a map" => "an object".into(),
        "a borrowed string" | "string" | "str" | "string or map" => "a string".into(),
        "unit" => "null".into(),
        other if other.starts_with("struct ") || other.contains("tagged enum ") => "an object".into(),
        other if other.starts_with("tuple ") || other.starts_with("a tuple ") => "an array".into(),
        other => other.to_owned(),
    }
}

/// The kind of the value that was found, without the value.
fn found_text(found: &str) -> &'static str {
    let kinds = [
        ("boolean", "a boolean"),
        ("integer", "an integer"),
        ("floating point", "a fraction"),
        ("string", "a string"),
        ("null", "null"),
        ("sequence", "an array"),
        ("map", "an object"),
    ];
    kinds.iter().find(|(prefix, _)| found.starts_with(prefix)).map_or("another kind of value", |(_, text)| text)
}

fn without_position(message: &str) -> &str {
    message.rfind(" at line ").map_or(message, |end| &message[..end])
}

fn expectation(message: &str) -> Option<&str> {
    message.rsplit_once(", expected ").map(|(_, expected)| expected)
}

fn quoted_after<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = message.strip_prefix(prefix)?.strip_prefix('`')?;
    rest.find("`, ").map(|end| &rest[..end]).or_else(|| rest.strip_suffix('`'))
}

/// The pieces between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn cut(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only its errors matter")]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors matter")]
    struct Inner {
        text: String,
        count: Option<u8>,
        level: Option<Level>,
        at: Option<chrono::DateTime<chrono::Utc>>,
        id: Option<uuid::Uuid>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Level {
        High,
        Low,
    }

    fn fault(inner: &str) -> (String, String) {
        fault_of(&format!(r#"{{"inner": [{{"text": ""}}, {inner}]}}"#))
    }

    fn fault_of(text: &str) -> (String, String) {
        let error = serde_path_to_error::deserialize::<_, Outer>(&mut serde_json::Deserializer::from_str(text));
        let error = error.unwrap_err();
        let field = explain(error.path(), &error.inner().to_string());
        (field.pointer, field.message)
    }

    #[test]
    fn fields_are_named_by_pointer() {
        assert_eq!(fault("{}"), ("/inner/1/text".into(), "is required".into()));
        assert_eq!(fault_of("{}"), ("/inner".into(), "is required".into()));
        let (pointer, message) = fault(r#"{"text": 5}"#);
        assert_eq!((pointer.as_str(), message.as_str()), ("/inner/1/text", "must be a string, not an integer"));
        assert_eq!(fault_of("[]").1, "must be an object");
        assert_eq!(fault_of("7").1, "must be an object, not an integer");
    }

    #[test]
    fn an_unknown_field_suggests_the_nearest() {
        let (pointer, message) = fault(r#"{"txet": "a"}"#);
        assert_eq!(
            (pointer.as_str(), message.as_str()),
            ("/inner/1/txet", "unknown field `txet`: did you mean `text`?")
        );
        assert!(fault(r#"{"something": 1}"#).1.ends_with("known are text, count, level, at, id"));
        assert_eq!(fault_of(r#"{"outer": 1}"#), ("/outer".into(), "unknown field `outer`: known are inner".into()));
    }

    #[test]
    fn ranges_and_choices_are_spelled_out_without_the_value() {
        for value in ["300", "-1"] {
            let (pointer, message) = fault(&format!(r#"{{"text": "", "count": {value}}}"#));
            assert_eq!((pointer.as_str(), message.as_str()), ("/inner/1/count", "must be an integer from 0 to 255"));
        }
        assert_eq!(fault(r#"{"text": "", "count": 1.5}"#).1, "must be an integer from 0 to 255, not a fraction");
        assert_eq!(fault(r#"{"text": "", "level": "s3cret"}"#).1, "must be one of high, low");
        assert_eq!(fault(r#"{"text": {}}"#).1, "must be a string, not an object");
        assert_eq!(fault(r#"{"text": null}"#).1, "must be a string, not null");
    }

    #[test]
    fn dates_and_ids_show_an_example() {
        for value in ["", "tomorrow", "2030-01-31", "2030-13-31T09:00:00Z", "2030-01-31T09:00:00Z!"] {
            let message = fault(&format!(r#"{{"text": "", "at": "{value}"}}"#)).1;
            assert!(message.contains("RFC 3339"), "{value}: {message}");
        }
        for value in ["", "x", "0198c5e0-7c1a-7b6e-9c7f-2f1d3c4b5a6"] {
            let message = fault(&format!(r#"{{"text": "", "id": "{value}"}}"#)).1;
            assert!(message.contains("must be a UUID"), "{value}: {message}");
        }
    }

    #[test]
    fn a_name_far_from_all_suggests_nothing() {
        assert_eq!(nearest("prioritty", ["priority", "text"]), Some("priority"));
        assert_eq!(nearest("zzz", ["priority", "text"]), None);
    }
}
