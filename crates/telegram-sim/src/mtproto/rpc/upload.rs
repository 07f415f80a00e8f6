//! `upload.*`.

use grammers_tl_types::{Identifiable, enums, functions::upload as f, types};

use super::attaching::reference_error;
use super::{Answer, Call, Reply, RpcError, run};
use crate::mtproto::cloud::uploads::Part;
use crate::world::{File, State};

/// The most bytes that are given at once; an answer does not cross a multiple of it.
const MAX_CHUNK: usize = 1 << 20;

pub fn call(call: &Call<'_>, id: u32, body: &[u8]) -> Answer {
    match id {
        f::SaveFilePart::CONSTRUCTOR_ID => run(body, |request: f::SaveFilePart| {
            let part = Part { upload: request.file_id, number: request.file_part, total: None, bytes: request.bytes };
            save(call, part)
        }),
        f::SaveBigFilePart::CONSTRUCTOR_ID => run(body, |request: f::SaveBigFilePart| {
            let total = Some(request.file_total_parts);
            save(call, Part { upload: request.file_id, number: request.file_part, total, bytes: request.bytes })
        }),
        f::GetFile::CONSTRUCTOR_ID => run(body, |request| get(call, &request)),
        _ => Err(RpcError::METHOD_INVALID),
    }
}

fn save(call: &Call<'_>, part: Part) -> Reply<bool> {
    let me = call.me()?;
    let keep = call.core.world.lock().files().keep_bytes();
    call.cloud().uploads.save_part(me, part, keep).map_err(|error| RpcError::new(400, error))?;
    Ok(true)
}

fn get(call: &Call<'_>, request: &f::GetFile) -> Reply<enums::upload::File> {
    call.me()?;
    let world = call.core.world.lock();
    let file = locate(call, &world, &request.location)?;
    if file.dc != call.link.dc {
        return Err(RpcError::migrate("FILE", file.dc));
    }
    let (offset, limit) = (usize::try_from(request.offset).ok(), usize::try_from(request.limit).ok());
    let unit = if request.precise { 1024 } else { 4096 };
    let offset = offset.filter(|offset| offset.is_multiple_of(unit)).ok_or(RpcError::bad("OFFSET_INVALID"))?;
    let limit = limit.filter(|limit| {
        let whole = request.precise || MAX_CHUNK.is_multiple_of(*limit);
        *limit > 0 && limit.is_multiple_of(unit) && whole && offset % MAX_CHUNK + limit <= MAX_CHUNK
    });
    let limit = limit.ok_or(RpcError::bad("LIMIT_INVALID"))?;
    // Of a large file only the hash was kept.
    let bytes = file.content.bytes.as_ref().ok_or(RpcError::bad("LOCATION_NOT_AVAILABLE"))?;
    let start = offset.min(bytes.len());
    let bytes = bytes[start..(start + limit).min(bytes.len())].to_vec();
    let mtime = i32::try_from(file.date).unwrap_or(i32::MAX);
    Ok(types::upload::File { r#type: enums::storage::FileType::FilePartial, mtime, bytes }.into())
}

fn locate<'w>(call: &Call<'_>, world: &'w State, location: &enums::InputFileLocation) -> Reply<&'w File> {
    let (id, access_hash, reference, thumbnail) = match location {
        enums::InputFileLocation::InputDocumentFileLocation(file) => {
            (file.id, file.access_hash, &file.file_reference, !file.thumb_size.is_empty())
        }
        enums::InputFileLocation::InputPhotoFileLocation(file) => {
            (file.id, file.access_hash, &file.file_reference, false)
        }
        enums::InputFileLocation::InputPeerPhotoFileLocation(picture) => {
            let chat = call.peer(world, &picture.peer)?;
            let photo = world.chat(chat).and_then(|chat| chat.photo).filter(|photo| *photo == picture.photo_id);
            let file = photo.and_then(|photo| world.files().get(photo));
            return file.ok_or(RpcError::bad("LOCATION_INVALID"));
        }
        _ => return Err(RpcError::bad("LOCATION_INVALID")),
    };
    let me = call.me()?;
    let file = world.files().get(id).filter(|file| file.access_hash_for(me) == access_hash);
    let file = file.ok_or(RpcError::bad("FILE_ID_INVALID"))?;
    world.files().check_reference(id, reference).map_err(reference_error)?;
    if !thumbnail {
        return Ok(file);
    }
    let small = file.media.thumbnail.and_then(|small| world.files().get(small));
    small.ok_or(RpcError::bad("LOCATION_INVALID"))
}
