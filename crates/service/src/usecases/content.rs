//! Checks what a message says as Telegram would, so that a bad message is refused now and not when its turn comes.
//!
//! - [`media`]: files, and what is said of them;
//! - [`options`]: buttons, replies and the like.

pub mod media;
pub mod options;

use platform::{
    Album, AlbumItem, Content, Forward, LinkPreview, Location, MediaKind, Message, Options, Poll, Text, TextContent,
};
use telegram::text::{self, MAX_CAPTION, MAX_MESSAGE, TextError};

use self::media::Shelf;
use self::options::check_url;
use super::draft::{AlbumMedium, ForwardDraft, Medium, PollDraft, SendMessage, TextDraft};
use crate::{Code, Error, Result};

/// A text becomes at most so many messages.
const MOST_PARTS: usize = 25;
const MAX_MESSAGE_ID: i64 = i32::MAX as i64;
/// What Telegram forwards at once.
const MOST_FORWARDED: usize = 100;
/// Ids of chats have at most 52 significant bits.
const MAX_CHAT_ID: u64 = 1 << 52;

/// The kind of sender that a message goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderKind {
    /// A bot.
    Bot,
    /// An account.
    Account,
    /// Whoever can, of the senders of a channel.
    Any,
}

/// What a sender cannot do, and who can.
pub fn unsupported(pointer: impl Into<String>, what: &str, who_can: &str) -> Error {
    Error::new(Code::UnsupportedBySender, format!("This sender {what}; {who_can}.")).with_field(pointer, who_can)
}

/// The messages that a draft becomes: one, or several where a long text is split.
pub async fn messages(draft: &mut SendMessage, kind: SenderKind, shelf: &mut Shelf<'_>) -> Result<Vec<Message>> {
    let only = only_content(draft)?;
    options::check(draft, kind, only)?;
    let options = Options {
        reply_to: draft.reply_to_message_id,
        topic: draft.topic_id,
        silent: draft.silent.unwrap_or_default(),
        protected: draft.protected.unwrap_or_default(),
        buttons: std::mem::take(&mut draft.buttons),
    };
    if only == "text" {
        return texts(draft, &options);
    }
    let caption =
        TextDraft { text: draft.caption.take(), parse_mode: draft.parse_mode.take(), entities: draft.entities.take() };
    let mut one = None;
    for (kind, medium) in single_media(draft) {
        one = one.or(medium.take().map(|medium| (kind, medium)));
    }
    let content = if let Some((kind, medium)) = one {
        single(kind, medium, caption, only, shelf).await?
    } else {
        if caption.text.is_some() || caption.parse_mode.is_some() || caption.entities.is_some() {
            let field = if caption.text.is_some() { "caption" } else { "entities" };
            return Err(misplaced(field, "goes with one photo, video, document, audio, voice message or animation"));
        }
        if let Some(items) = draft.album.take() {
            album(items, shelf).await?
        } else if let Some(poll) = draft.poll.take() {
            Content::Poll(check_poll(poll)?)
        } else if let Some(location) = draft.location.take() {
            Content::Location(check_location(location)?)
        } else if let Some(forward) = draft.forward.take() {
            Content::Forward(check_forward(forward)?)
        } else {
            // `only_content` found one.
            return Err(Error::internal("a message without content"));
        }
    };
    Ok(vec![Message { content, options }])
}

/// The fields with one medium, with their kinds.
fn single_media(draft: &mut SendMessage) -> [(MediaKind, &mut Option<Medium>); 6] {
    [
        (MediaKind::Photo, &mut draft.photo),
        (MediaKind::Video, &mut draft.video),
        (MediaKind::Document, &mut draft.document),
        (MediaKind::Audio, &mut draft.audio),
        (MediaKind::Voice, &mut draft.voice),
        (MediaKind::Animation, &mut draft.animation),
    ]
}

/// The name of the one field that holds the content.
fn only_content(draft: &SendMessage) -> Result<&'static str> {
    let contents = [
        ("text", draft.text.is_some()),
        ("photo", draft.photo.is_some()),
        ("video", draft.video.is_some()),
        ("document", draft.document.is_some()),
        ("audio", draft.audio.is_some()),
        ("voice", draft.voice.is_some()),
        ("animation", draft.animation.is_some()),
        ("album", draft.album.is_some()),
        ("poll", draft.poll.is_some()),
        ("location", draft.location.is_some()),
        ("forward", draft.forward.is_some()),
    ];
    let mut given = contents.iter().filter(|(_, given)| *given).map(|(name, _)| *name);
    match (given.next(), given.next()) {
        (Some(only), None) => Ok(only),
        (Some(first), Some(second)) => Err(Error::invalid_field(
            format!("/{second}"),
            format!("cannot be combined with `{first}`: a message has one content"),
        )),
        (None, _) => {
            let names = contents.map(|(name, _)| format!("`{name}`")).join(", ");
            Err(Error::invalid_field("", format!("must have exactly one of {names}")))
        }
    }
}

fn misplaced(field: &str, rule: &str) -> Error {
    Error::invalid_field(format!("/{field}"), rule)
}

/// Parses a text, or checks its entities. `at` is the pointer of the object that it is in, `field` its own name there.
pub fn parse_text(draft: TextDraft, at: &str, field: &str, max: usize) -> Result<Text> {
    let TextDraft { text, parse_mode, entities } = draft;
    let source = text.unwrap_or_default();
    let text = match (parse_mode, entities) {
        (Some(_), Some(_)) => {
            let hint = "cannot be combined with `parse_mode`: send one of the two";
            return Err(Error::invalid_field(format!("{at}/entities"), hint));
        }
        (Some(mode), None) => text::parse(&source, mode, max),
        (None, entities) => text::validate(Text { text: source, entities: entities.unwrap_or_default() }, max),
    };
    text.map_err(|error| {
        let pointer = match &error {
            TextError::Entity { index, .. } => format!("{at}/entities/{index}"),
            TextError::TooManyEntities { .. } => format!("{at}/entities"),
            _ => format!("{at}/{field}"),
        };
        Error::invalid_field(pointer, error.to_string())
    })
}

/// A caption: nothing is one, too.
pub fn parse_caption(draft: TextDraft, at: &str) -> Result<Text> {
    match &draft.text {
        Some(text) if !text.is_empty() => parse_text(draft, at, "caption", MAX_CAPTION),
        _ if draft.entities.as_ref().is_some_and(|entities| !entities.is_empty()) => {
            Err(Error::invalid_field(format!("{at}/entities"), "need a `caption` to format"))
        }
        _ => Ok(Text::default()),
    }
}

fn texts(draft: &mut SendMessage, options: &Options) -> Result<Vec<Message>> {
    let split = draft.split.unwrap_or_default();
    let max = if split { MAX_MESSAGE * MOST_PARTS } else { MAX_MESSAGE };
    let text =
        TextDraft { text: draft.text.take(), parse_mode: draft.parse_mode.take(), entities: draft.entities.take() };
    let text = parse_text(text, "", "text", max).map_err(|mut error| {
        if !split && error.fields.iter().any(|field| field.message.contains("after parsing")) {
            error.fields.push(crate::error::FieldError {
                pointer: "/split".into(),
                message: "set it to true to send the text as several messages".into(),
            });
        }
        error
    })?;
    let link_preview = draft.link_preview.take();
    let parts = text::split(&text, MAX_MESSAGE);
    if parts.len() > MOST_PARTS {
        let hint = format!("becomes {} messages, but at most {MOST_PARTS} are sent at once", parts.len());
        return Err(Error::invalid_field("/text", hint));
    }
    let last = parts.len().saturating_sub(1);
    let part = |(index, text)| {
        // The first part answers, the last one has the buttons and the preview that was asked for.
        let preview = link_preview.clone().filter(|preview| index == last || preview.url.is_none());
        let options = Options {
            reply_to: options.reply_to.filter(|_| index == 0),
            buttons: if index == last { options.buttons.clone() } else { Vec::new() },
            ..options.clone()
        };
        Message { content: Content::Text(TextContent { text, link_preview: preview }), options }
    };
    Ok(parts.into_iter().enumerate().map(part).collect())
}

async fn single(
    kind: MediaKind,
    medium: Medium,
    caption: TextDraft,
    field: &str,
    shelf: &mut Shelf<'_>,
) -> Result<Content> {
    let caption = parse_caption(caption, "")?;
    let media = shelf.media(kind, medium, caption, &format!("/{field}")).await?;
    Ok(match kind {
        MediaKind::Photo => Content::Photo(media),
        MediaKind::Video => Content::Video(media),
        MediaKind::Document => Content::Document(media),
        MediaKind::Audio => Content::Audio(media),
        MediaKind::Voice => Content::Voice(media),
        MediaKind::Animation => Content::Animation(media),
    })
}

async fn album(items: Vec<AlbumMedium>, shelf: &mut Shelf<'_>) -> Result<Content> {
    if !(2..=10).contains(&items.len()) {
        return Err(misplaced("album", "must hold 2 to 10 media"));
    }
    let class = |kind| match kind {
        MediaKind::Photo | MediaKind::Video => Some("photos and videos"),
        MediaKind::Document => Some("documents"),
        MediaKind::Audio => Some("audio"),
        MediaKind::Voice | MediaKind::Animation => None,
    };
    let first = items.first().and_then(|item| class(item.kind));
    for (index, item) in items.iter().enumerate() {
        match (class(item.kind), first) {
            (Some(class), Some(first)) if class == first => {}
            (Some(class), Some(first)) => {
                let rule = format!("is one of {class}, which cannot be in one album with {first}");
                return Err(Error::invalid_field(format!("/album/{index}/type"), rule));
            }
            _ => {
                let rule = "cannot be in an album: photo, video, document and audio can";
                return Err(Error::invalid_field(format!("/album/{index}/type"), rule));
            }
        }
    }
    let mut checked = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let at = format!("/album/{index}");
        let (kind, medium, caption) = item.into_parts();
        let caption = parse_caption(caption, &at)?;
        checked.push(AlbumItem { kind, media: shelf.media(kind, medium, caption, &at).await? });
    }
    shelf.check_together("/album")?;
    Ok(Content::Album(Album { items: checked }))
}

fn check_poll(poll: PollDraft) -> Result<Poll> {
    let wrong = |field: &str, rule: &str| Err(Error::invalid_field(format!("/poll/{field}"), rule));
    let fits = |text: &str, max| !text.trim().is_empty() && text.chars().count() <= max && !text.contains('\0');
    if !fits(&poll.question, 300) {
        return wrong("question", "must have 1 to 300 characters");
    }
    if !(2..=12).contains(&poll.answers.len()) {
        return wrong("answers", "must be 2 to 12");
    }
    if let Some(index) = poll.answers.iter().position(|answer| !fits(answer, 100)) {
        return wrong(&format!("answers/{index}"), "must have 1 to 100 characters");
    }
    if poll.correct.is_some_and(|correct| usize::from(correct) >= poll.answers.len()) {
        return wrong("correct", "must be the place of an answer, counted from 0");
    }
    if poll.correct.is_some() && poll.multiple {
        return wrong("multiple", "does not go with `correct`: a quiz has one right answer");
    }
    if poll.open_seconds.is_some_and(|seconds| !(5..=600).contains(&seconds)) {
        return wrong("open_seconds", "must be 5 to 600");
    }
    let explanation = match poll.explanation {
        Some(text) if !text.is_empty() => {
            if poll.correct.is_none() {
                return wrong("explanation", "goes with `correct` only: it explains the right answer of a quiz");
            }
            let draft = TextDraft { text: Some(text), parse_mode: poll.explanation_parse_mode, entities: None };
            parse_text(draft, "/poll", "explanation", 200)?
        }
        _ => Text::default(),
    };
    let PollDraft { question, answers, public, multiple, correct, open_seconds, .. } = poll;
    Ok(Poll { question, answers, public, multiple, correct, explanation, open_seconds })
}

fn check_location(location: Location) -> Result<Location> {
    let wrong = |field: &str, rule: &str| Err(Error::invalid_field(format!("/location/{field}"), rule));
    if !(-90.0..=90.0).contains(&location.latitude) {
        return wrong("latitude", "must be -90 to 90");
    }
    if !(-180.0..=180.0).contains(&location.longitude) {
        return wrong("longitude", "must be -180 to 180");
    }
    if location.accuracy.is_some_and(|metres| !(0.0..=1500.0).contains(&metres)) {
        return wrong("accuracy", "must be 0 to 1500");
    }
    Ok(location)
}

fn check_forward(forward: ForwardDraft) -> Result<Forward> {
    let wrong = |field: &str, rule: &str| Err(Error::invalid_field(format!("/forward/{field}"), rule));
    let ForwardDraft { from_chat_id, message_ids, as_copy } = forward;
    if from_chat_id == 0 || from_chat_id.unsigned_abs() >= MAX_CHAT_ID {
        return wrong("from_chat_id", "must be the id of a chat: not 0 and below 2^52");
    }
    if message_ids.is_empty() || message_ids.len() > MOST_FORWARDED {
        return wrong("message_ids", "must be 1 to 100");
    }
    if let Some(index) = message_ids.iter().position(|id| !(1..=MAX_MESSAGE_ID).contains(id)) {
        return wrong(&format!("message_ids/{index}"), "must be the id of a message, 1 to 2147483647");
    }
    if !message_ids.is_sorted_by(|a, b| a < b) {
        return wrong("message_ids", "must be in rising order, each once");
    }
    Ok(Forward { from_chat_id, message_ids, as_copy })
}

/// Checks the address of a preview.
pub fn check_preview(preview: &LinkPreview) -> Result<()> {
    match &preview.url {
        Some(url) => check_url("/link_preview/url", url, &["http", "https"]),
        None => Ok(()),
    }
}
