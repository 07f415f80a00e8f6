//! How a message is delivered, whatever it says.

use platform::Button;

use super::{MAX_MESSAGE_ID, SenderKind, check_preview, misplaced, unsupported};
use crate::{Error, Result, usecases::draft::SendMessage};

const MAX_BUTTONS: usize = 100;
const MAX_BUTTONS_PER_ROW: usize = 8;

/// Checks the options of a message whose content is in the field `only`.
pub fn check(draft: &SendMessage, kind: SenderKind, only: &str) -> Result<()> {
    check_buttons(&draft.buttons)?;
    let has_buttons = !draft.buttons.is_empty();
    if has_buttons && kind == SenderKind::Account {
        return Err(unsupported("/buttons", "is an account, which cannot send buttons", "a bot can"));
    }
    if has_buttons && only == "album" {
        return Err(misplaced("buttons", "cannot be sent with an album"));
    }
    if only == "forward" {
        let forward = draft.forward.as_ref();
        let is_one_copy = forward.is_some_and(|forward| forward.as_copy && forward.message_ids.len() == 1);
        if has_buttons && !is_one_copy {
            return Err(misplaced("buttons", "can be added to one message that is forwarded `as_copy` only"));
        }
        if draft.reply_to_message_id.is_some() {
            return Err(misplaced("reply_to_message_id", "cannot be combined with `forward`"));
        }
    }
    if let Some(preview) = &draft.link_preview {
        check_preview(preview)?;
        if only != "text" {
            return Err(misplaced("link_preview", "goes with `text` only"));
        }
    }
    if draft.split == Some(true) && only != "text" {
        return Err(misplaced("split", "goes with `text` only"));
    }
    if draft.caption.is_some() && only == "text" {
        return Err(misplaced("caption", "goes with one photo, video, document, audio, voice message or animation"));
    }
    let is_id = |id: i64| (1..=MAX_MESSAGE_ID).contains(&id);
    if draft.reply_to_message_id.is_some_and(|id| !is_id(id)) {
        return Err(misplaced("reply_to_message_id", "must be the id of a message, 1 to 2147483647"));
    }
    if draft.topic_id.is_some_and(|id| !is_id(id)) {
        return Err(misplaced("topic_id", "must be the id of a topic, 1 to 2147483647"));
    }
    Ok(())
}

/// Checks rows of buttons.
pub fn check_buttons(rows: &[Vec<Button>]) -> Result<()> {
    if rows.iter().map(Vec::len).sum::<usize>() > MAX_BUTTONS {
        return Err(Error::invalid_field("/buttons", format!("must hold at most {MAX_BUTTONS} buttons in all")));
    }
    for (y, row) in rows.iter().enumerate() {
        if row.is_empty() || row.len() > MAX_BUTTONS_PER_ROW {
            return Err(Error::invalid_field(
                format!("/buttons/{y}"),
                format!("must hold 1 to {MAX_BUTTONS_PER_ROW} buttons"),
            ));
        }
        for (x, button) in row.iter().enumerate() {
            check_button(&format!("/buttons/{y}/{x}"), button)?;
        }
    }
    Ok(())
}

fn check_button(at: &str, button: &Button) -> Result<()> {
    if button.text.trim().is_empty() || button.text.chars().count() > 64 {
        return Err(Error::invalid_field(format!("{at}/text"), "must have 1 to 64 characters"));
    }
    match (&button.url, &button.callback_data) {
        (Some(url), None) => check_url(&format!("{at}/url"), url, &["http", "https", "tg"]),
        (None, Some(data)) if (1..=64).contains(&data.len()) => Ok(()),
        (None, Some(_)) => Err(Error::invalid_field(format!("{at}/callback_data"), "must have 1 to 64 bytes")),
        _ => Err(Error::invalid_field(at, "must have exactly one of `url` and `callback_data`")),
    }
}

/// Checks that an address has one of these schemes.
pub fn check_url(at: &str, url: &str, schemes: &[&str]) -> Result<()> {
    let scheme = url.split_once("://").map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    let good = url.len() <= 2048
        && !url.chars().any(|c| c.is_whitespace() || c.is_control())
        && scheme.is_some_and(|(scheme, rest)| schemes.contains(&scheme.as_str()) && !rest.is_empty());
    if good {
        return Ok(());
    }
    Err(Error::invalid_field(at, format!("must be an address with one of the schemes: {}", schemes.join(", "))))
}
