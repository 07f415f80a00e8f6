//! `upload.*`.

use grammers_tl_types::{Identifiable, enums, functions::upload as f, types};

use super::{Answer, Call, Reply, RpcError, run};

/// The most bytes that are given at once.
const MAX_CHUNK: usize = 1 << 20;

pub fn call(call: &Call<'_>, id: u32, body: &[u8]) -> Answer {
    match id {
        f::SaveFilePart::CONSTRUCTOR_ID => {
            run(body, |request: f::SaveFilePart| save(call, request.file_id, request.file_part, request.bytes))
        }
        f::SaveBigFilePart::CONSTRUCTOR_ID => {
            run(body, |request: f::SaveBigFilePart| save(call, request.file_id, request.file_part, request.bytes))
        }
        f::GetFile::CONSTRUCTOR_ID => run(body, |request| get(call, &request)),
        _ => Err(RpcError::METHOD_INVALID),
    }
}

fn save(call: &Call<'_>, file: i64, part: i32, bytes: Vec<u8>) -> Reply<bool> {
    let me = call.me()?;
    call.cloud().files.save_part(me, file, part, bytes).map_err(RpcError::bad)?;
    Ok(true)
}

fn get(call: &Call<'_>, request: &f::GetFile) -> Reply<enums::upload::File> {
    call.me()?;
    let (id, access_hash) = match &request.location {
        enums::InputFileLocation::InputDocumentFileLocation(file) => (file.id, file.access_hash),
        enums::InputFileLocation::InputPhotoFileLocation(file) => (file.id, file.access_hash),
        _ => return Err(RpcError::bad("LOCATION_INVALID")),
    };
    let offset = usize::try_from(request.offset).map_err(|_| RpcError::bad("OFFSET_INVALID"))?;
    let limit = usize::try_from(request.limit).ok().filter(|limit| (1..=MAX_CHUNK).contains(limit));
    let limit = limit.ok_or(RpcError::bad("LIMIT_INVALID"))?;
    let cloud = call.cloud();
    let file = cloud.files.get(id).filter(|file| file.access_hash == access_hash);
    let file = file.ok_or(RpcError::bad("FILE_REFERENCE_EXPIRED"))?;
    if file.dc != call.link.dc {
        return Err(RpcError::migrate("FILE", file.dc));
    }
    let start = offset.min(file.bytes.len());
    let end = (start + limit).min(file.bytes.len());
    let bytes = file.bytes[start..end].to_vec();
    Ok(types::upload::File { r#type: enums::storage::FileType::FilePartial, mtime: file.date, bytes }.into())
}
