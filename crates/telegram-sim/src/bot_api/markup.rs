//! `reply_markup`: inline keyboards.

use serde_json::Value;

use super::reply::ApiError;
use super::request::Params;
use super::text::wrong_url;
use crate::world::{Button, ButtonAction};

/// Most buttons in a row, and in all.
const MAX_ROW: usize = 8;
const MAX_BUTTONS: usize = 100;
/// Most bytes in `callback_data`.
const MAX_DATA: usize = 64;

/// Reads `reply_markup`. Keyboards that are not inline are checked for being an object, and have no effect here.
pub fn read_buttons(params: &Params) -> Result<Vec<Vec<Button>>, ApiError> {
    let Some(markup) = params.json("reply_markup", "reply keyboard markup")? else { return Ok(Vec::new()) };
    if !markup.is_object() {
        return Err(ApiError::bad_request("object expected as reply markup"));
    }
    let Some(keyboard) = markup.get("inline_keyboard") else { return Ok(Vec::new()) };
    let rows = keyboard.as_array();
    let rows = rows.ok_or_else(|| ApiError::bad_request("field \"inline_keyboard\" must be of type Array"))?;
    let mut buttons = Vec::new();
    for row in rows {
        let row = row.as_array();
        let row = row.ok_or_else(|| ApiError::bad_request("inline keyboard row must be an Array"))?;
        let row = row.iter().map(read_button).collect::<Result<Vec<_>, _>>()?;
        if row.len() > MAX_ROW {
            return Err(ApiError::bad_request("BUTTON_ROW_TOO_LONG"));
        }
        if !row.is_empty() {
            buttons.push(row);
        }
    }
    if buttons.iter().map(Vec::len).sum::<usize>() > MAX_BUTTONS {
        return Err(ApiError::bad_request("reply markup is too long"));
    }
    Ok(buttons)
}

fn read_button(button: &Value) -> Result<Button, ApiError> {
    let wrong = |what: &str| ApiError::bad_request(format_args!("can't parse inline keyboard button: {what}"));
    if !button.is_object() {
        return Err(wrong("expected an Object"));
    }
    let text = match &button["text"] {
        Value::String(text) => text.trim().to_owned(),
        Value::Null => return Err(wrong("Can't find field \"text\"")),
        _ => return Err(wrong("Field \"text\" must be of type String")),
    };
    if text.is_empty() {
        return Err(ApiError::bad_request("inline keyboard button text must be non-empty"));
    }
    let field = |name: &str| button[name].as_str().filter(|value| !value.is_empty()).map(str::to_owned);
    let action = if let Some(url) = field("url") {
        if let Some(why) = wrong_url(&url) {
            return Err(ApiError::bad_request(format_args!("inline keyboard button URL '{url}' is invalid: {why}")));
        }
        ButtonAction::Url(url)
    } else if let Some(data) = field("callback_data") {
        if data.len() > MAX_DATA {
            return Err(ApiError::bad_request("BUTTON_DATA_INVALID"));
        }
        ButtonAction::CallbackData(data)
    } else {
        return Err(wrong("Text buttons are unallowed in the inline keyboard"));
    };
    Ok(Button { text, action })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(markup: &str) -> Result<Vec<Vec<Button>>, ApiError> {
        read_buttons(&[("reply_markup".to_owned(), markup.to_owned())].into_iter().collect())
    }

    #[test]
    fn reads_rows_of_buttons() {
        let markup = r#"{"inline_keyboard":[[{"text":"a","url":"https://x.y"},{"text":"b","callback_data":"d"}],[]]}"#;
        let expected = vec![vec![
            Button { text: "a".to_owned(), action: ButtonAction::Url("https://x.y".to_owned()) },
            Button { text: "b".to_owned(), action: ButtonAction::CallbackData("d".to_owned()) },
        ]];
        assert_eq!(read(markup), Ok(expected));
        assert_eq!(read(""), Ok(Vec::new()));
        assert_eq!(read(r#"{"remove_keyboard":true}"#), Ok(Vec::new()));
    }

    #[test]
    fn says_what_is_wrong() {
        let long = format!(r#"{{"inline_keyboard":[[{{"text":"a","callback_data":"{}"}}]]}}"#, "d".repeat(65));
        let cases = [
            ("{", "can't parse reply keyboard markup JSON object"),
            ("[]", "object expected as reply markup"),
            (r#"{"inline_keyboard":1}"#, "field \"inline_keyboard\" must be of type Array"),
            (r#"{"inline_keyboard":[[{}]]}"#, "can't parse inline keyboard button: Can't find field \"text\""),
            (
                r#"{"inline_keyboard":[[{"text":"a"}]]}"#,
                "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
            ),
            (
                r#"{"inline_keyboard":[[{"text":"a","url":"ftp://x.y"}]]}"#,
                "inline keyboard button URL 'ftp://x.y' is invalid: Unsupported URL protocol",
            ),
            (&long, "BUTTON_DATA_INVALID"),
        ];
        for (markup, expected) in cases {
            assert_eq!(read(markup), Err(ApiError::bad_request(expected)), "{markup}");
        }
    }
}
