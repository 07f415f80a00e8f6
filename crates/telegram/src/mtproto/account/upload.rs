//! Uploading a file, a part at a time.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use grammers_tl_types as tl;
use md5::{Digest as _, Md5};
use platform::FileRef;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, sleep};

use super::Account;
use crate::media::{self, Library, Reader};
use crate::mtproto::call::CallError;
use crate::mtproto::problem::{Kind, Problem};

/// The largest part that Telegram takes. All parts but the last must have the same size.
const PART: u64 = 512 * 1024;
/// Files up to this size are sent in the form that Telegram checks by a hash.
const SMALL: u64 = 10 * 1024 * 1024;
/// Parts on their way at once.
const AT_ONCE: usize = 4;
/// What takes a part so long keeps messages to others waiting, which go through the same connection: then fewer parts at once.
const SLOW: Duration = Duration::from_secs(1);
/// How often a part is sent when no answer comes. Sending it again does no harm.
const TRIES: u32 = 3;
/// The pause before a part is sent again.
const PAUSE: Duration = Duration::from_secs(1);
/// A longer wait that Telegram asks for ends the attempt.
const PATIENCE: Duration = Duration::from_mins(1);

/// A part on its way.
struct Part {
    file_id: i64,
    index: i32,
    bytes: Vec<u8>,
    /// How many parts there are, in the form for large files.
    of: Option<i32>,
}

impl Account {
    /// Uploads a file; what comes back can be sent. Nothing is sent by this: a failure proves that.
    pub(super) async fn upload(&self, file: &FileRef, library: &dyn Library) -> Result<tl::enums::InputFile, Problem> {
        let mut reader = library.open(file).await.map_err(|error| unreadable(&error))?;
        let parts = i32::try_from(file.size_bytes.div_ceil(PART))
            .map_err(|_| Problem::refused("file_too_large", "the file is larger than Telegram takes"))?;
        let of = (file.size_bytes > SMALL).then_some(parts);
        let file_id = rand::random();
        let mut hash = Md5::new();
        let mut left = file.size_bytes;
        let mut window = 1;
        let mut on_their_way = FuturesUnordered::new();
        for index in 0..parts {
            let bytes = read_part(&mut reader, left.min(PART)).await?;
            left -= bytes.len() as u64;
            if of.is_none() {
                hash.update(&bytes);
            }
            on_their_way.push(self.save(Part { file_id, index, bytes, of }));
            while on_their_way.len() >= window {
                if let Some(took) = on_their_way.next().await {
                    window = if took? > SLOW { 1 } else { AT_ONCE.min(window + 1) };
                }
            }
        }
        while let Some(took) = on_their_way.next().await {
            took?;
        }
        let name = file.name.clone();
        Ok(match of {
            Some(parts) => tl::types::InputFileBig { id: file_id, parts, name }.into(),
            None => {
                tl::types::InputFile { id: file_id, parts, name, md5_checksum: hex::encode(hash.finalize()) }.into()
            }
        })
    }

    /// Returns how long it took.
    async fn save(&self, part: Part) -> Result<Duration, Problem> {
        let Part { file_id, index: file_part, bytes, of } = part;
        let small = tl::functions::upload::SaveFilePart { file_id, file_part, bytes };
        let mut tries = 0;
        loop {
            let begun = Instant::now();
            let saved = match of {
                None => self.call(&small).await,
                Some(file_total_parts) => {
                    let bytes = small.bytes.clone();
                    self.call(&tl::functions::upload::SaveBigFilePart { file_id, file_part, file_total_parts, bytes })
                        .await
                }
            };
            let error = match saved {
                Ok(true) => return Ok(begun.elapsed()),
                Ok(false) => CallError::Unreachable("Telegram did not store a part of the file".to_owned()),
                Err(error) => error,
            };
            tries += 1;
            let problem = Problem::from(error);
            match problem.kind {
                // Of uploads, that says only how fast they may be.
                Kind::Wait(wait, _) if wait <= PATIENCE => sleep(wait).await,
                Kind::NoAnswer | Kind::Unreachable if tries < TRIES => sleep(PAUSE).await,
                _ => return Err(problem),
            }
        }
    }
}

async fn read_part(reader: &mut Reader, size: u64) -> Result<Vec<u8>, Problem> {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    reader.read_exact(&mut bytes).await.map_err(|error| unreadable(&error))?;
    Ok(bytes)
}

fn unreadable(error: &std::io::Error) -> Problem {
    let (code, detail, may_help) = media::unreadable(error);
    let kind = if may_help { Kind::Unreachable } else { Kind::Refused };
    Problem { code, detail, kind }
}
