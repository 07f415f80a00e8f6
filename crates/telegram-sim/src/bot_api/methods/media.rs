//! `sendPhoto` and its like, and `sendMediaGroup`.

use serde_json::Value;

use super::draft::{Draft, deliver, deliver_one};
use crate::bot_api::reply::{ApiError, MethodResult};
use crate::bot_api::request::{Params, Uploaded};
use crate::bot_api::text::{Formatted, read_caption};
use crate::bot_api::{BotApi, file_id, render};
use crate::world::{Body, Media, MediaKind, State, UserId};

/// Most items of an album.
const MAX_ALBUM: usize = 10;

pub(super) fn send(api: &BotApi, bot: UserId, params: &Params, kind: MediaKind) -> MethodResult {
    let draft = read(&api.world.lock(), bot, kind, params, params)?;
    let missing = || ApiError::bad_request(format_args!("there is no {} in the request", kind.name()));
    Ok(deliver_one(api, bot, params, draft.ok_or_else(missing)?)?.into())
}

pub(super) fn send_group(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let items = match params.json("media", "media")? {
        Some(Value::Array(items)) => items,
        Some(_) => return Err(ApiError::bad_request("expected an Array of InputMedia")),
        None => Vec::new(),
    };
    if items.is_empty() {
        return Err(ApiError::bad_request("there are no messages to send"));
    }
    if items.len() > MAX_ALBUM {
        return Err(ApiError::bad_request("too many messages to send as an album"));
    }
    let mut drafts = Vec::new();
    for item in &items {
        drafts.push(read_item(&api.world.lock(), bot, item, params, true)?);
    }
    check_mix(&drafts)?;
    if drafts.len() > 1 {
        let album = rand::random_range(1..i64::MAX);
        for draft in &mut drafts {
            draft.body.album = Some(album);
        }
    }
    let sent = deliver(api, bot, params, drafts)?;
    let state = api.world.lock();
    Ok(sent.iter().map(|message| render::message(&state, bot, message)).collect::<Value>().into())
}

/// Music and documents stay among themselves.
fn check_mix(drafts: &[Draft]) -> Result<(), ApiError> {
    let kinds: Vec<MediaKind> = drafts.iter().filter_map(|draft| Some(draft.body.media.as_ref()?.kind)).collect();
    let alone = kinds.iter().find(|kind| matches!(kind, MediaKind::Audio | MediaKind::Document));
    match alone {
        Some(alone) if kinds.iter().any(|kind| kind != alone) => {
            Err(ApiError::bad_request(format_args!("{} can't be mixed with other media types", alone.name())))
        }
        _ => Ok(()),
    }
}

/// Reads one `InputMedia`; its files came with the request.
pub(super) fn read_item(
    state: &State,
    bot: UserId,
    item: &Value,
    request: &Params,
    in_album: bool,
) -> Result<Draft, ApiError> {
    let wrong = |what: &str| ApiError::bad_request(format_args!("can't parse InputMedia: {what}"));
    let Value::Object(fields) = item else { return Err(wrong("expected an Object")) };
    let kind = match fields.get("type").and_then(Value::as_str) {
        None => return Err(wrong("Can't find field \"type\"")),
        Some("photo") => MediaKind::Photo,
        Some("video") => MediaKind::Video,
        Some("document") => MediaKind::Document,
        Some("audio") => MediaKind::Audio,
        Some("animation") if in_album => return Err(wrong("type \"animation\" can't be used in sendMediaGroup")),
        Some("animation") => MediaKind::Animation,
        Some(other) => return Err(wrong(&format!("type \"{other}\" is unsupported"))),
    };
    let fields = Params::from_object(fields);
    if fields.get("media").is_empty() {
        return Err(wrong("Can't find field \"media\""));
    }
    read(state, bot, kind, &fields, request)?.ok_or_else(|| wrong("media not found"))
}

/// Reads a file with everything that describes it; `None` if there is none.
fn read(
    state: &State,
    bot: UserId,
    kind: MediaKind,
    fields: &Params,
    request: &Params,
) -> Result<Option<Draft>, ApiError> {
    let source = if fields.has("media") { fields.get("media") } else { fields.get(kind.name()) };
    let (media, upload) = match source.strip_prefix("attach://") {
        Some(name) => match request.file(name) {
            Some(file) => (described(kind, file, fields), Some(file.content.clone())),
            None => return Ok(None),
        },
        None if source.is_empty() => match request.file(kind.name()) {
            Some(file) => (described(kind, file, fields), Some(file.content.clone())),
            None => return Ok(None),
        },
        None => (sent_before(state, bot, kind, source)?, None),
    };
    let caption = fields.json("caption_entities", "caption entities")?;
    let Formatted { text, entities } = read_caption(fields.get("caption"), fields.get("parse_mode"), caption)?;
    let may_hide = matches!(media.kind, MediaKind::Photo | MediaKind::Video | MediaKind::Animation);
    let media = Media { spoiler: may_hide && fields.flag("has_spoiler"), ..media };
    let caption_above = may_hide && fields.flag("show_caption_above_media");
    let thumbnail = fields.get("thumbnail");
    let thumbnail = request.file(thumbnail.strip_prefix("attach://").unwrap_or("thumbnail"));
    Ok(Some(Draft {
        body: Body { text, entities, caption_above, media: Some(media), ..Body::default() },
        upload,
        thumbnail: thumbnail.map(|file| file.content.clone()),
    }))
}

/// A new file as its sender describes it.
fn described(kind: MediaKind, file: &Uploaded, fields: &Params) -> Media {
    let text = |name: &str| Some(fields.get(name).to_owned()).filter(|value| !value.is_empty());
    // The Bot API goes by the name.
    let by_name = mime_guess::from_path(&file.name).first_raw().map(str::to_owned);
    let mime_type = by_name.or_else(|| file.mime_type.clone());
    let moving = matches!(kind, MediaKind::Video | MediaKind::Animation);
    let lasting = moving || matches!(kind, MediaKind::Audio | MediaKind::Voice);
    Media {
        kind,
        name: file.name.clone(),
        mime_type: mime_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
        width: fields.number("width").filter(|_| moving),
        height: fields.number("height").filter(|_| moving),
        duration: fields.number("duration").filter(|_| lasting),
        title: text("title").filter(|_| kind == MediaKind::Audio),
        performer: text("performer").filter(|_| kind == MediaKind::Audio),
        streaming: kind == MediaKind::Video && fields.flag("supports_streaming"),
        ..Media::default()
    }
}

/// A file that is on Telegram's servers already.
fn sent_before(state: &State, bot: UserId, kind: MediaKind, source: &str) -> Result<Media, ApiError> {
    if source.starts_with("http://") || source.starts_with("https://") {
        // The simulator fetches nothing, so every address is one that does not answer.
        return Err(ApiError::bad_request("failed to get HTTP URL content"));
    }
    let (owner, file) = file_id::decode(source)?;
    let file = state.files().get(file).filter(|_| owner == bot);
    let media = &file.ok_or_else(|| ApiError::bad_request("wrong file identifier/HTTP URL specified"))?.media;
    // All kinds of documents stand for each other, and the file stays what it was.
    if (media.kind == MediaKind::Photo) != (kind == MediaKind::Photo) {
        let (is, wanted) = (file_type(media.kind), file_type(kind));
        return Err(ApiError::bad_request(format_args!("can't use file of type {is} as {wanted}")));
    }
    Ok(media.clone())
}

fn file_type(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Photo => "Photo",
        MediaKind::Video => "Video",
        MediaKind::Document => "Document",
        MediaKind::Audio => "Audio",
        MediaKind::Voice => "VoiceNote",
        MediaKind::Animation => "Animation",
    }
}
