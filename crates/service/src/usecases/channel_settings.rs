//! Settings of a channel that the service itself follows; other keys are their owner's own.

use platform::{Content, Entity, Message, Text};
use serde::Deserialize;
use serde_json::{Map, Value};
use telegram::text::{self, ParseMode};
use uuid::Uuid;

use super::send::check_settings;
use crate::{Error, Result};

/// Code points of a footer after its markup is parsed.
const MAX_FOOTER: usize = 512;
/// What stands between a text and the footer.
const GAP: &str = "\n\n";

/// What the service follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelSettings {
    /// Deliver without a sound, unless a message says otherwise.
    pub silent: bool,
    /// Written below each text and caption.
    pub footer: Option<Text>,
    /// Who sends when it can, whatever the order says.
    pub preferred: Option<Uuid>,
}

impl ChannelSettings {
    /// Reads and checks settings; `senders` are those of the channel, one of which is preferred. `None` leaves that unchecked: the sender
    /// that was preferred may be gone.
    ///
    /// # Errors
    /// A known key has a value that cannot be.
    pub fn read(settings: &Value, senders: Option<&[Uuid]>) -> Result<Self> {
        check_settings(settings)?;
        let empty = Map::new();
        let settings = settings.as_object().unwrap_or(&empty);
        let silent = match settings.get("silent") {
            None => false,
            Some(Value::Bool(silent)) => *silent,
            Some(_) => return Err(Error::invalid_field("/settings/silent", "must be true or false")),
        };
        let preferred = match settings.get("preferred_sender_id") {
            None => None,
            Some(id) => {
                let id = id.as_str().and_then(|id| id.parse().ok());
                let id = id.filter(|id| senders.is_none_or(|senders| senders.contains(id)));
                let message = "must be the id of a sender of this channel, as `senders` shows them";
                Some(id.ok_or_else(|| Error::invalid_field("/settings/preferred_sender_id", message))?)
            }
        };
        Ok(Self { silent, footer: footer(settings)?, preferred })
    }

    /// Puts the footer below a message that has a text or a caption, or can have one.
    ///
    /// # Errors
    /// The text with the footer is too long.
    pub fn add_footer(&self, message: &mut Message) -> Result<()> {
        let Some(footer) = &self.footer else { return Ok(()) };
        let (target, limit, at) = match &mut message.content {
            Content::Text(content) => (&mut content.text, text::MAX_MESSAGE, "/text"),
            Content::Photo(media)
            | Content::Video(media)
            | Content::Document(media)
            | Content::Audio(media)
            | Content::Voice(media)
            | Content::Animation(media) => (&mut media.caption, text::MAX_CAPTION, "/caption"),
            Content::Album(album) => match album.items.first_mut() {
                Some(first) => (&mut first.media.caption, text::MAX_CAPTION, "/album/0/caption"),
                None => return Ok(()),
            },
            Content::Poll(_) | Content::Location(_) | Content::Forward(_) => return Ok(()),
        };
        let longest = target.text.chars().count() + GAP.len() + footer.text.chars().count();
        if longest > limit {
            let message =
                format!("must have at most {limit} characters together with the channel's footer; it has {longest}");
            return Err(Error::invalid_field(at, message));
        }
        append(target, footer);
        Ok(())
    }
}

fn append(target: &mut Text, footer: &Text) {
    if !target.text.is_empty() {
        target.text.push_str(GAP);
    }
    // Entities count UTF-16 code units.
    let shift = u32::try_from(target.text.encode_utf16().count()).unwrap_or(u32::MAX);
    target.text.push_str(&footer.text);
    target.entities.extend(
        footer.entities.iter().map(|entity| Entity { offset: entity.offset.saturating_add(shift), ..entity.clone() }),
    );
}

fn footer(settings: &Map<String, Value>) -> Result<Option<Text>> {
    let at = "/settings/footer";
    let written = match settings.get("footer") {
        None => return Ok(None),
        Some(Value::String(written)) => written,
        Some(_) => return Err(Error::invalid_field(at, "must be a text")),
    };
    let mode = settings.get("footer_parse_mode").map(ParseMode::deserialize).transpose();
    let mode =
        mode.map_err(|_| Error::invalid_field("/settings/footer_parse_mode", "must be `HTML` or `MarkdownV2`"))?;
    let parsed = match mode {
        Some(mode) => text::parse(written, mode, MAX_FOOTER),
        None => text::validate(Text { text: written.clone(), entities: Vec::new() }, MAX_FOOTER),
    };
    parsed.map(Some).map_err(|error| Error::invalid_field(at, error.to_string()))
}

#[cfg(test)]
mod tests {
    use platform::{EntityKind, Options, TextContent};
    use serde_json::json;

    use super::*;

    fn message(text: &str) -> Message {
        let text = Text { text: text.to_owned(), entities: Vec::new() };
        Message { content: Content::Text(TextContent { text, link_preview: None }), options: Options::default() }
    }

    #[test]
    fn a_footer_stands_below_and_keeps_its_formatting() {
        let settings = json!({ "footer": "<b>Us</b>", "footer_parse_mode": "HTML", "colour": "red" });
        let settings = ChannelSettings::read(&settings, None).unwrap();
        let mut news = message("😀 news");
        settings.add_footer(&mut news).unwrap();
        let Content::Text(TextContent { text, .. }) = news.content else { panic!("it is a text") };
        assert_eq!(text.text, "😀 news\n\nUs");
        let bold = &text.entities[0];
        assert_eq!((bold.offset, bold.length, &bold.kind), (9, 2, &EntityKind::Bold));
    }

    #[test]
    fn a_footer_counts() {
        let settings = ChannelSettings::read(&json!({ "footer": "12345678" }), None).unwrap();
        settings.add_footer(&mut message(&"x".repeat(4086))).unwrap();
        let refused = settings.add_footer(&mut message(&"x".repeat(4087))).unwrap_err();
        assert_eq!(refused.fields[0].pointer, "/text");
    }

    #[test]
    fn known_keys_are_checked() {
        let sender = Uuid::now_v7();
        let read = |settings: Value| ChannelSettings::read(&settings, Some(&[sender]));
        assert_eq!(read(json!({ "preferred_sender_id": sender, "silent": true })).unwrap().preferred, Some(sender));
        for (settings, pointer) in [
            (json!([]), "/settings"),
            (json!({ "silent": 1 }), "/settings/silent"),
            (json!({ "footer": 1 }), "/settings/footer"),
            (json!({ "footer": "" }), "/settings/footer"),
            (json!({ "footer": "x".repeat(513) }), "/settings/footer"),
            (json!({ "footer": "<b>x", "footer_parse_mode": "HTML" }), "/settings/footer"),
            (json!({ "footer": "x", "footer_parse_mode": "XML" }), "/settings/footer_parse_mode"),
            (json!({ "preferred_sender_id": Uuid::now_v7() }), "/settings/preferred_sender_id"),
            (json!({ "preferred_sender_id": 5 }), "/settings/preferred_sender_id"),
        ] {
            assert_eq!(read(settings).unwrap_err().fields[0].pointer, pointer);
        }
    }
}
