//! `getFile` and the download.

use bytes::Bytes;
use serde_json::json;

use crate::bot_api::reply::{ApiError, MethodResult};
use crate::bot_api::request::Params;
use crate::bot_api::{BotApi, file_id};
use crate::world::{Media, UserId};

/// Largest file that bots can download (bytes).
const MAX_DOWNLOAD: u64 = 20 << 20;

pub(super) fn get(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let id = params.get("file_id");
    if id.is_empty() {
        return Err(ApiError::bad_request("file_id not specified"));
    }
    let unavailable = || ApiError::bad_request("wrong file_id or the file is temporarily unavailable");
    let (owner, file) = file_id::decode(id).map_err(|_| ApiError::bad_request("invalid file_id"))?;
    let state = api.world.lock();
    let file = state.files().get(file).filter(|_| owner == bot).ok_or_else(unavailable)?;
    if file.content.size > MAX_DOWNLOAD {
        return Err(ApiError::bad_request("file is too big"));
    }
    if file.content.bytes.is_none() {
        return Err(unavailable());
    }
    let media = &file.media;
    Ok(json!({
        "file_id": id, "file_unique_id": file_id::unique(media.file_id), "file_size": media.size, "file_path": path(media),
    })
    .into())
}

fn path(media: &Media) -> String {
    let by_type = || mime_guess::get_mime_extensions_str(&media.mime_type)?.first().copied();
    let extension = media.name.rsplit_once('.').map(|(_, extension)| extension).or_else(by_type);
    let letters = extension.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).take(8);
    format!("{}s/file_{}.{}", media.kind.name(), media.file_id, letters.collect::<String>())
}

/// The bytes at a path that `getFile` gave.
pub fn download(api: &BotApi, params: &Params) -> Option<Bytes> {
    let asked = params.get("file_path");
    let number = asked.rsplit_once("/file_")?.1.split('.').next()?.parse().ok()?;
    let state = api.world.lock();
    let file = state.files().get(number).filter(|file| path(&file.media) == asked)?;
    file.content.bytes.clone()
}
