//! Messages as calls of the Bot API.

use platform::{Album, Content, FileRef, Forward, Location, Media, MediaKind, Message, Options, Poll, TextContent};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A call that sends a message.
pub(super) struct Call<'a> {
    pub method: &'static str,
    pub fields: Map<String, Value>,
    /// Files that go along, each under the name of its part.
    pub files: Vec<(String, &'a FileRef)>,
}

impl<'a> Call<'a> {
    /// `known` are the server's ids of the message's media, as far as they were uploaded before.
    pub(super) fn new(chat_id: i64, message: &'a Message, known: &[Option<String>]) -> Self {
        let Message { content, options } = message;
        let mut call = match content {
            Content::Text(text) => Self::text(text),
            Content::Album(album) => Self::album(album, known),
            Content::Poll(poll) => Self::plain("sendPoll", poll_fields(poll)),
            Content::Location(location) => Self::plain("sendLocation", location_fields(location)),
            Content::Forward(forward) => Self::forward(forward),
            other => match other.as_media() {
                Some((kind, media)) => Self::media(kind, media, known.first().cloned().flatten()),
                // Every other content is named above.
                None => Self::plain("sendMessage", Map::new()),
            },
        };
        call.set("chat_id", chat_id);
        call.set_options(options);
        call
    }

    fn plain(method: &'static str, fields: Map<String, Value>) -> Self {
        Self { method, fields, files: Vec::new() }
    }

    fn text(text: &TextContent) -> Self {
        let mut call = Self::plain("sendMessage", Map::new());
        call.set("text", &text.text.text);
        if !text.text.entities.is_empty() {
            call.set("entities", &text.text.entities);
        }
        if let Some(preview) = &text.link_preview {
            call.set("link_preview_options", preview);
        }
        call
    }

    fn media(kind: MediaKind, media: &'a Media, known: Option<String>) -> Self {
        let (method, field) = method_of(kind);
        let mut call = Self::plain(method, media_fields(media));
        match known {
            Some(file_id) => call.set(field, file_id),
            None => call.files.push((field.to_owned(), &media.file)),
        }
        call
    }

    fn album(album: &'a Album, known: &[Option<String>]) -> Self {
        let mut call = Self::plain("sendMediaGroup", Map::new());
        let mut media = Vec::new();
        for (index, item) in album.items.iter().enumerate() {
            let mut fields = media_fields(&item.media);
            fields.insert("type".to_owned(), json!(method_of(item.kind).1));
            let file = known.get(index).cloned().flatten().unwrap_or_else(|| {
                let part = format!("file{index}");
                let address = format!("attach://{part}");
                call.files.push((part, &item.media.file));
                address
            });
            fields.insert("media".to_owned(), json!(file));
            media.push(Value::Object(fields));
        }
        call.set("media", media);
        call
    }

    fn forward(forward: &Forward) -> Self {
        let one = <[i64; 1]>::try_from(&forward.message_ids[..]).ok();
        let method = match (one, forward.as_copy) {
            (Some(_), false) => "forwardMessage",
            (Some(_), true) => "copyMessage",
            (None, false) => "forwardMessages",
            (None, true) => "copyMessages",
        };
        let mut call = Self::plain(method, Map::new());
        call.set("from_chat_id", forward.from_chat_id);
        match one {
            Some([id]) => call.set("message_id", id),
            None => call.set("message_ids", &forward.message_ids),
        }
        call
    }

    fn set(&mut self, name: &str, value: impl Serialize) {
        set(&mut self.fields, name, value);
    }

    fn set_options(&mut self, options: &Options) {
        if let Some(message_id) = options.reply_to {
            self.set("reply_parameters", json!({ "message_id": message_id }));
        }
        if let Some(topic) = options.topic {
            self.set("message_thread_id", topic);
        }
        if options.silent {
            self.set("disable_notification", true);
        }
        if options.protected {
            self.set("protect_content", true);
        }
        if !options.buttons.is_empty() {
            self.set("reply_markup", json!({ "inline_keyboard": options.buttons }));
        }
    }
}

/// The method that sends a kind, and the name of the field with the file, which is also the name of the type.
fn method_of(kind: MediaKind) -> (&'static str, &'static str) {
    match kind {
        MediaKind::Photo => ("sendPhoto", "photo"),
        MediaKind::Video => ("sendVideo", "video"),
        MediaKind::Document => ("sendDocument", "document"),
        MediaKind::Audio => ("sendAudio", "audio"),
        MediaKind::Voice => ("sendVoice", "voice"),
        MediaKind::Animation => ("sendAnimation", "animation"),
    }
}

/// Plain data; only numbers that are none could not be written, and those are refused when a message is accepted.
fn set(fields: &mut Map<String, Value>, name: &str, value: impl Serialize) {
    if let Ok(value) = serde_json::to_value(value) {
        fields.insert(name.to_owned(), value);
    }
}

fn media_fields(media: &Media) -> Map<String, Value> {
    let mut fields = Map::new();
    if !media.caption.is_empty() {
        set(&mut fields, "caption", &media.caption.text);
    }
    if !media.caption.entities.is_empty() {
        set(&mut fields, "caption_entities", &media.caption.entities);
    }
    for (name, value) in [("show_caption_above_media", media.caption_above), ("has_spoiler", media.spoiler)] {
        if value {
            set(&mut fields, name, true);
        }
    }
    for (name, value) in [("width", media.width), ("height", media.height), ("duration", media.duration)] {
        if let Some(value) = value {
            set(&mut fields, name, value);
        }
    }
    for (name, value) in [("title", &media.title), ("performer", &media.performer)] {
        if let Some(value) = value {
            set(&mut fields, name, value);
        }
    }
    fields
}

fn poll_fields(poll: &Poll) -> Map<String, Value> {
    let mut fields = Map::new();
    set(&mut fields, "question", &poll.question);
    let options: Vec<Value> = poll.answers.iter().map(|answer| json!({ "text": answer })).collect();
    set(&mut fields, "options", options);
    set(&mut fields, "is_anonymous", !poll.public);
    if poll.multiple {
        set(&mut fields, "allows_multiple_answers", true);
    }
    if let Some(correct) = poll.correct {
        set(&mut fields, "type", "quiz");
        set(&mut fields, "correct_option_id", correct);
    }
    if !poll.explanation.is_empty() {
        set(&mut fields, "explanation", &poll.explanation.text);
    }
    if !poll.explanation.entities.is_empty() {
        set(&mut fields, "explanation_entities", &poll.explanation.entities);
    }
    if let Some(seconds) = poll.open_seconds {
        set(&mut fields, "open_period", seconds);
    }
    fields
}

fn location_fields(location: &Location) -> Map<String, Value> {
    let mut fields = Map::new();
    set(&mut fields, "latitude", location.latitude);
    set(&mut fields, "longitude", location.longitude);
    if let Some(accuracy) = location.accuracy {
        set(&mut fields, "horizontal_accuracy", accuracy);
    }
    fields
}

#[cfg(test)]
mod tests {
    use platform::{AlbumItem, Text};
    use uuid::Uuid;

    use super::*;

    fn media(name: &str) -> Media {
        let file = FileRef { id: Uuid::nil(), name: name.into(), media_type: "image/png".into(), size_bytes: 3 };
        let (spoiler, caption) = (true, Text::plain("look"));
        Media {
            file,
            caption,
            caption_above: false,
            spoiler,
            width: None,
            height: None,
            duration: None,
            title: None,
            performer: None,
        }
    }

    fn call(content: Content, known: &[Option<String>]) -> (&'static str, Value, Vec<String>) {
        let message = Message { content, options: Options { topic: Some(9), ..Options::default() } };
        let Call { method, fields, files } = Call::new(7, &message, known);
        let parts = files.iter().map(|(part, file)| format!("{part}={}", file.name)).collect();
        (method, Value::Object(fields), parts)
    }

    #[test]
    fn a_medium_is_uploaded_once_and_then_named() {
        let fields = json!({ "chat_id": 7, "caption": "look", "has_spoiler": true, "message_thread_id": 9 });
        let uploaded = call(Content::Photo(media("a.png")), &[None]);
        assert_eq!(uploaded, ("sendPhoto", fields.clone(), vec!["photo=a.png".to_owned()]));
        let (_, named, parts) = call(Content::Photo(media("a.png")), &[Some("id".into())]);
        assert_eq!((&named["photo"], parts.len()), (&json!("id"), 0));
    }

    #[test]
    fn an_album_names_what_is_known_and_attaches_the_rest() {
        let item = |kind, name| AlbumItem { kind, media: media(name) };
        let items = vec![item(MediaKind::Photo, "a"), item(MediaKind::Video, "b")];
        let (method, fields, parts) = call(Content::Album(Album { items }), &[Some("id".into()), None]);
        assert_eq!((method, parts), ("sendMediaGroup", vec!["file1=b".to_owned()]));
        assert_eq!((&fields["media"][0]["media"], &fields["media"][0]["type"]), (&json!("id"), &json!("photo")));
        assert_eq!(
            (&fields["media"][1]["media"], &fields["media"][1]["type"]),
            (&json!("attach://file1"), &json!("video"))
        );
    }

    #[test]
    fn one_message_is_forwarded_in_another_way_than_several() {
        let forward = |ids: &[i64], as_copy| {
            call(Content::Forward(Forward { from_chat_id: 8, message_ids: ids.to_vec(), as_copy }), &[]).0
        };
        assert_eq!(forward(&[1], false), "forwardMessage");
        assert_eq!(forward(&[1, 2], false), "forwardMessages");
        assert_eq!(forward(&[1], true), "copyMessage");
        assert_eq!(forward(&[1, 2], true), "copyMessages");
    }
}
