//! Files: their bytes, pictures of chats, and references that expire.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::chats::owner;
use super::{Answer, Refusal, done};
use crate::sim::Core;
use crate::world::{BOT_DC, ChatId, Content, FileId, Media, MediaKind};

/// The bytes of a file, if they were kept.
pub(super) async fn content(State(core): State<Core>, Path(id): Path<FileId>) -> Result<Response, Refusal> {
    let state = core.world.lock();
    let file = state.files().get(id).ok_or_else(|| Refusal::not_found(format_args!("file {id}")))?;
    let bytes = file.content.bytes.clone();
    let bytes = bytes.ok_or_else(|| Refusal::not_found("content of a file larger than keep_file_bytes"))?;
    // A picture is shown, anything else only saved: what was uploaded must not run here.
    let content_type = match file.media.kind {
        MediaKind::Photo if file.content.picture.is_some() => mime_guess::from_path(&file.media.name).first_raw(),
        _ => None,
    };
    let content_type = content_type.filter(|mime| mime.starts_with("image/") && !mime.contains("svg"));
    let headers = [
        (header::CONTENT_TYPE, content_type.unwrap_or("application/octet-stream")),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ];
    Ok((headers, bytes).into_response())
}

/// All file references that clients have expire.
pub(super) async fn expire(State(core): State<Core>) -> Json<Value> {
    core.world.lock().files_mut().expire_references();
    done()
}

/// The body is the picture.
pub(super) async fn set_photo(State(core): State<Core>, Path(id): Path<ChatId>, picture: Bytes) -> Answer {
    let content = Content::from(&picture[..]);
    if content.photo_problem().is_some() {
        return Err(Refusal::bad("the body must be a picture of at most 10 MiB"));
    }
    let mut state = core.world.lock();
    let by = owner(&state, id)?;
    let (kind, name, mime_type) = (MediaKind::Photo, "photo.jpg".to_owned(), "image/jpeg".to_owned());
    let photo = Media { kind, name, mime_type, ..Media::default() };
    let photo = state.files_mut().add(content, photo, BOT_DC).file_id;
    state.set_chat_photo(id, Some(photo), by);
    Ok(Json(json!({ "file_id": photo })))
}

pub(super) async fn remove_photo(State(core): State<Core>, Path(id): Path<ChatId>) -> Answer {
    let mut state = core.world.lock();
    let by = owner(&state, id)?;
    state.set_chat_photo(id, None, by);
    Ok(done())
}
