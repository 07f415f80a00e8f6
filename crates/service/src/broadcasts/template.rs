//! A message with variables: `{{name}}`, or `{{name|what stands there without one}}`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use telegram::text::{ParseMode, escape};

use crate::{Error, Result};

/// The longest name of a variable, in bytes.
const MAX_NAME: usize = 64;

/// The body of a send, without its destination, whose texts may hold variables.
#[derive(Debug, Clone)]
pub struct Template {
    message: Map<String, Value>,
    parse_mode: Option<ParseMode>,
}

/// How a value is written where its variable stands.
#[derive(Clone, Copy)]
enum Place {
    /// As markup reads it, or plain.
    Text(Option<ParseMode>),
    /// As a part of an address.
    Url,
}

/// A variable that a target does not have.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing(pub String);

impl Template {
    /// Takes the body of a send.
    ///
    /// # Errors
    /// It is no object, names a destination, or has variables in a text with entities, whose places would move.
    pub fn new(message: Value) -> Result<Self> {
        let Value::Object(message) = message else {
            return Err(Error::invalid_field("/message", "must be an object: the body of a send without its chat"));
        };
        for key in ["chat_id", "scheduled_at", "priority"] {
            if message.contains_key(key) {
                let hint =
                    "does not belong here: each target has its own chat, and the broadcast its time and priority";
                return Err(Error::invalid_field(format!("/message/{key}"), hint));
            }
        }
        let parse_mode = message.get("parse_mode").and_then(|mode| serde_json::from_value(mode.clone()).ok());
        let template = Self { message, parse_mode };
        let has_entities =
            template.message.get("entities").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        if has_entities && !template.names().is_empty() {
            let hint = "cannot be combined with variables, which move what follows them: use `parse_mode`";
            return Err(Error::invalid_field("/message/entities", hint));
        }
        Ok(template)
    }

    /// The message as it was given.
    pub fn into_value(self) -> Value {
        Value::Object(self.message)
    }

    /// The variables that it needs, but for those that have something to stand there without them.
    pub fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        // Without any variable, the first that is missing is told: each in turn is then given a value.
        let mut variables = Map::new();
        while let Err(Missing(name)) = self.render(&variables) {
            variables.insert(name.clone(), Value::String(String::new()));
            names.insert(name);
        }
        names
    }

    /// The body with the variables' values.
    pub fn render(&self, variables: &Map<String, Value>) -> std::result::Result<Value, Missing> {
        let mut message = Value::Object(self.message.clone());
        let text = Place::Text(self.parse_mode);
        let plain = Place::Text(None);
        for (pointer, place) in [
            ("/text", text),
            ("/caption", text),
            ("/album/*/caption", text),
            ("/poll/question", plain),
            ("/poll/answers/*", plain),
            ("/buttons/*/*/text", plain),
            ("/buttons/*/*/callback_data", plain),
            ("/buttons/*/*/url", Place::Url),
            ("/link_preview/url", Place::Url),
        ] {
            let steps: Vec<&str> = pointer.split('/').skip(1).collect();
            fill(&mut message, &steps, place, variables)?;
        }
        Ok(message)
    }
}

/// Fills the strings at a place; `*` is each item of a list.
fn fill(
    value: &mut Value,
    steps: &[&str],
    place: Place,
    variables: &Map<String, Value>,
) -> std::result::Result<(), Missing> {
    match (value, steps) {
        (Value::String(text), []) => {
            if text.contains("{{") {
                // An address as a whole is no part of one.
                let whole = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).and_then(variable);
                let place = if whole.is_some() && matches!(place, Place::Url) { Place::Text(None) } else { place };
                *text = substitute(text, place, variables)?;
            }
            Ok(())
        }
        (Value::Array(items), ["*", rest @ ..]) => {
            items.iter_mut().try_for_each(|item| fill(item, rest, place, variables))
        }
        (Value::Object(fields), [name, rest @ ..]) => {
            fields.get_mut(*name).map_or(Ok(()), |field| fill(field, rest, place, variables))
        }
        // Another shape is refused where the body as a whole is read.
        _ => Ok(()),
    }
}

fn substitute(text: &str, place: Place, variables: &Map<String, Value>) -> std::result::Result<String, Missing> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (before, opened) = rest.split_at(start);
        result.push_str(before);
        let found = opened[2..].split_once("}}").and_then(|(inside, after)| Some((variable(inside)?, after)));
        let Some(((name, otherwise), after)) = found else {
            // These are just braces.
            result.push_str("{{");
            rest = &opened[2..];
            continue;
        };
        match (variables.get(name).and_then(as_text), otherwise) {
            (Some(value), _) => result.push_str(&written(&value, place)),
            (None, Some(otherwise)) => result.push_str(&written(otherwise, place)),
            (None, None) => return Err(Missing(name.to_owned())),
        }
        rest = after;
    }
    result.push_str(rest);
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

fn written(value: &str, place: Place) -> String {
    match place {
        Place::Text(Some(mode)) => escape(value, mode),
        Place::Text(None) => value.to_owned(),
        Place::Url => percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(message: Value, variables: Value) -> std::result::Result<Value, Missing> {
        let Value::Object(variables) = variables else { panic!("no object") };
        Template::new(message).unwrap().render(&variables)
    }

    #[test]
    fn values_stand_where_their_variables_stood() {
        let message = json!({ "text": "Dear {{name}}, {{ n }} of {{total|ten}} {{}} {{1}} }} {{", "silent": true });
        let rendered = render(message, json!({ "name": "Ann", "n": 3 })).unwrap();
        assert_eq!(rendered, json!({ "text": "Dear Ann, 3 of ten {{}} {{1}} }} {{", "silent": true }));
    }

    #[test]
    fn values_are_no_markup() {
        let html = json!({ "text": "<b>{{name}}</b>", "parse_mode": "HTML" });
        assert_eq!(render(html, json!({ "name": "<i>&" })).unwrap()["text"], "<b>&lt;i&gt;&amp;</b>");
        let markdown = json!({ "caption": "*{{name}}*", "parse_mode": "MarkdownV2" });
        assert_eq!(render(markdown, json!({ "name": "a*b_c" })).unwrap()["caption"], "*a\\*b\\_c*");
        let plain = json!({ "text": "{{name}}" });
        assert_eq!(render(plain, json!({ "name": "<i>{{name}}" })).unwrap()["text"], "<i>{{name}}", "once");
    }

    #[test]
    fn each_text_of_a_message_can_hold_variables() {
        let message = json!({
            "poll": { "question": "{{a}}?", "answers": ["{{b}}", "no"] },
            "album": [{ "type": "photo", "caption": "{{a}}" }],
            "buttons": [[{ "text": "{{a}}", "url": "https://example.org/?q={{b}}" }]],
        });
        let rendered = render(message, json!({ "a": "A", "b": "x y/&" })).unwrap();
        assert_eq!(rendered["poll"], json!({ "question": "A?", "answers": ["x y/&", "no"] }));
        assert_eq!(rendered["album"][0]["caption"], "A");
        let button = json!({ "text": "A", "url": "https://example.org/?q=x%20y%2F%26" });
        assert_eq!(rendered["buttons"][0][0], button);
        let whole = json!({ "buttons": [[{ "text": "a", "url": "{{link}}" }]] });
        let rendered = render(whole, json!({ "link": "https://example.org/a?b" })).unwrap();
        assert_eq!(rendered["buttons"][0][0]["url"], "https://example.org/a?b");
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = json!({ "text": "{{a}} {{b|}} {{c}}" });
        assert_eq!(render(message.clone(), json!({ "a": null })), Err(Missing("a".into())));
        assert_eq!(render(message.clone(), json!({ "a": 1 })), Err(Missing("c".into())));
        let names: Vec<String> = Template::new(message).unwrap().names().into_iter().collect();
        assert_eq!(names, ["a", "c"]);
    }

    #[test]
    fn a_template_has_no_destination_and_no_moving_entities() {
        let entities = json!([{ "type": "bold", "offset": 0, "length": 1 }]);
        for bad in [
            json!("text"),
            json!({ "text": "a", "chat_id": 1 }),
            json!({ "text": "a", "scheduled_at": null }),
            json!({ "text": "{{a}}", "entities": entities }),
        ] {
            assert!(Template::new(bad.clone()).is_err(), "{bad}");
        }
        assert!(Template::new(json!({ "text": "a", "entities": entities })).is_ok());
    }
}
