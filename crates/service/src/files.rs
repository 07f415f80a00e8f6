//! Files: taken as a stream, stored once for each user and content, read as a stream.
//!
//! - [`store`]: where content lies; `s3_http` carries its requests;
//! - [`names`]: names and media types that are safe to show and to send;
//! - [`slots`]: how many files are taken at the same time.
//!
//! Content is written under a name of its own, which is announced in `file_remnants` before the first byte. When it is whole, a row
//! of `files` stands for it instead, or the user had the same content already. So whatever breaks off is known and is removed.

pub mod names;
mod s3_http;
pub mod slots;
pub mod store;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ::store::PgPool;
use ::store::files::removal::{self, Remnant};
use ::store::files::{self as rows, FileRow, NewFile, Stored, references};
use bytes::{BufMut as _, Bytes, BytesMut};
use object_store::PutPayload;
use platform::{FileRef, MediaKind};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use uuid::Uuid;

use self::slots::Slots;
pub use self::store::Reader;
use self::store::{Store, Writer};
use crate::settings::{FilesSettings, Settings};
use crate::{Code, Error, Result};

/// An object without a file is removed after so long: more than an upload may take.
const LIFE: Duration = Duration::from_hours(24);
/// What was on its way to the store when an upload broke off has arrived after so long.
const SETTLED: Duration = Duration::from_mins(10);
/// When it makes sense to try again.
const RETRY: Duration = Duration::from_secs(5);

/// The files of all users.
#[derive(Debug, Clone)]
pub struct Files(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    store: Store,
    settings: FilesSettings,
    slots: Slots,
}

/// A file that arrives.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Whose it will be.
    pub user_id: i32,
    /// What its sender calls it.
    pub name: &'a str,
    /// What its sender says that it is.
    pub media_type: Option<&'a str>,
    /// Its length, where it is known.
    pub size: Option<u64>,
    /// The code of an arrival that takes too long.
    pub late: Code,
}

impl Files {
    /// Opens the store.
    ///
    /// # Errors
    /// A text for the operator.
    pub fn open(settings: &Settings, pool: PgPool) -> Result<Self, String> {
        let store = Store::open(settings.files.store.as_ref(), &settings.data_dir)?;
        let settings = settings.files.clone();
        let slots = Slots::new(settings.max_concurrent, settings.max_concurrent_per_user);
        Ok(Self(Arc::new(Inner { pool, store, settings, slots })))
    }

    /// Stores a file that arrives as a stream. The same content is stored once for each user: its file has the new name then.
    pub async fn take(
        &self,
        user_id: i32,
        name: &str,
        media_type: Option<&str>,
        content: impl AsyncRead + Send + Unpin,
    ) -> Result<FileRef> {
        let incoming = Incoming { user_id, name, media_type, size: None, late: Code::RequestTimeout };
        Ok(self.accept(incoming, content).await?.0.to_ref())
    }

    /// The same with all that is known of the file; tells whether it is new.
    pub async fn accept(
        &self,
        incoming: Incoming<'_>,
        content: impl AsyncRead + Send + Unpin,
    ) -> Result<(FileRow, bool)> {
        let slot = self.0.slots.take(incoming.user_id)?;
        self.check_size(&incoming).await?;
        let name = names::safe(incoming.name);
        let object = Announced::new(self, incoming.user_id).await?;
        let limit = self.0.settings.transfer;
        let arrival = tokio::time::timeout(limit, self.write(&object.name, &incoming, content)).await;
        let arrived = arrival.map_err(|_| {
            Error::new(incoming.late, format!("The file did not arrive within {} seconds.", limit.as_secs()))
        })??;
        let file = NewFile {
            user_id: incoming.user_id,
            sha256: &arrived.sha256,
            size_bytes: i64::try_from(arrived.size).map_err(Error::internal)?,
            name: &name,
            media_type: &arrived.media_type,
            object: &object.name,
        };
        let stored = rows::store(&self.0.pool, &file, self.0.settings.user_bytes).await?;
        drop(slot);
        match stored {
            Stored::New(row) => {
                object.keep();
                Ok((row, true))
            }
            Stored::Known(row) => {
                object.discard().await;
                Ok((row, false))
            }
            Stored::OverQuota => {
                object.discard().await;
                Err(self.over_quota())
            }
            Stored::GivenUp => Err(unavailable("the upload took longer than its announcement lives")),
        }
    }

    /// Refuses what is known to be too much before it arrives.
    async fn check_size(&self, incoming: &Incoming<'_>) -> Result<()> {
        let Some(size) = incoming.size else { return Ok(()) };
        if size > self.0.settings.max_bytes {
            return Err(self.too_large());
        }
        let Some(quota) = self.0.settings.user_bytes else { return Ok(()) };
        let total = rows::total(&mut *self.0.pool.acquire().await?, incoming.user_id).await?;
        if total.saturating_add_unsigned(size) > quota { Err(self.over_quota()) } else { Ok(()) }
    }

    /// Writes the content as it arrives.
    async fn write(
        &self,
        object: &str,
        incoming: &Incoming<'_>,
        mut content: impl AsyncRead + Send + Unpin,
    ) -> Result<Arrived> {
        let settings = &self.0.settings;
        let part_size = self.0.store.part_size();
        let mut writer = self.0.store.write(object).await.map_err(unavailable)?;
        let (mut hash, mut size, mut media_type) = (Sha256::new(), 0_u64, None);
        let mut buffer = BytesMut::with_capacity(part_size);
        loop {
            let filled = buffer.len();
            let mut space = (&mut buffer).limit(part_size - filled);
            let read = tokio::time::timeout(settings.stall, content.read_buf(&mut space)).await;
            let read = read.map_err(|_| {
                let detail = format!("Nothing of the file arrived for {} seconds.", settings.stall.as_secs());
                Error::new(incoming.late, detail)
            })?;
            let count = read.map_err(broken)?;
            size += count as u64;
            if size > settings.max_bytes {
                return Err(self.too_large());
            }
            hash.update(&buffer[filled..]);
            if count > 0 && buffer.len() < part_size {
                continue;
            }
            if size == 0 {
                return Err(Error::new(Code::InvalidBody, "The file is empty: send at least one byte."));
            }
            let part = std::mem::replace(&mut buffer, BytesMut::with_capacity(part_size)).freeze();
            let kind = match media_type.take() {
                Some(kind) => kind,
                None => names::media_type(incoming.media_type, &part[..part.len().min(names::HEAD)])?,
            };
            if count > 0 {
                self.write_part(object, &mut writer, part).await?;
                media_type = Some(kind);
                continue;
            }
            writer.finish(part.into()).await.map_err(unavailable)?;
            return Ok(Arrived { sha256: hash.finalize().to_vec(), size, media_type: kind });
        }
    }

    async fn write_part(&self, object: &str, writer: &mut Writer, part: Bytes) -> Result<()> {
        if let Some(upload) = writer.begin_parts().await.map_err(unavailable)? {
            rows::announce_upload(&self.0.pool, object, &upload).await?;
        }
        writer.part(PutPayload::from(part)).await.map_err(unavailable)
    }

    /// A file by its id; of one user, or (`None`) whoever owns it.
    pub async fn find(&self, owner: Option<i32>, id: Uuid) -> Result<Option<FileRef>> {
        Ok(rows::find(&self.0.pool, id, owner).await?.map(|row| row.to_ref()))
    }

    /// The whole content of a file, as a stream of exactly its size. `file_gone` when there is no such file any more.
    pub async fn read(&self, file: &FileRef) -> Result<Reader> {
        let row = rows::find(&self.0.pool, file.id, None).await?.ok_or_else(gone)?;
        self.read_part(&row, 0..file.size_bytes).await
    }

    /// A part of the content of a file.
    pub async fn read_part(&self, row: &FileRow, range: Range<u64>) -> Result<Reader> {
        self.0.store.read(&row.object, row.size_bytes.unsigned_abs(), range).await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => {
                tracing::error!(file = %row.id, object = row.object, "the content of a file is missing in the store");
                gone()
            }
            error => unavailable(error),
        })
    }

    /// What the platform calls this file when this sender sends it as this kind, if it was sent so before.
    pub async fn reference(&self, sender_id: Uuid, file_id: Uuid, kind: MediaKind) -> Result<Option<Value>> {
        Ok(references::find(&self.0.pool, sender_id, file_id, kind).await?)
    }

    /// Keeps what the platform calls this file.
    pub async fn set_reference(
        &self,
        sender_id: Uuid,
        file_id: Uuid,
        kind: MediaKind,
        reference: &Value,
    ) -> Result<()> {
        Ok(references::set(&self.0.pool, sender_id, file_id, kind, reference).await?)
    }

    /// Forgets a name that the platform does not accept any more.
    pub async fn forget_reference(&self, sender_id: Uuid, file_id: Uuid, kind: MediaKind) -> Result<()> {
        Ok(references::forget(&self.0.pool, sender_id, file_id, kind).await?)
    }

    /// Removes objects that no file stands for, as far as they are due. Returns how many went.
    pub async fn remove_remnants(&self, most: i64) -> Result<usize> {
        let due = removal::due_remnants(&self.0.pool, most).await?;
        let mut gone = Vec::new();
        let mut problem = None;
        for remnant in due {
            match self.0.store.remove(&remnant).await {
                Ok(()) => gone.push(remnant.object),
                Err(error) => problem = Some(error),
            }
        }
        removal::forget_remnants(&self.0.pool, &gone).await?;
        problem.map_or(Ok(gone.len()), |error| Err(unavailable(error)))
    }

    fn too_large(&self) -> Error {
        let detail = format!("The file is larger than {} bytes.", self.0.settings.max_bytes);
        Error::new(Code::FileTooLarge, detail)
    }

    fn over_quota(&self) -> Error {
        let quota = self.0.settings.user_bytes.unwrap_or_default();
        let detail = format!("Your files would take more than {quota} bytes together: delete some of them first.");
        Error::new(Code::FileQuotaExceeded, detail)
    }
}

/// What arrived.
struct Arrived {
    sha256: Vec<u8>,
    size: u64,
    media_type: String,
}

/// The name of an object that is announced. Unless it is kept, the object is removed, also when its caller went away.
struct Announced {
    files: Files,
    name: String,
    is_kept: bool,
}

impl Announced {
    async fn new(files: &Files, user_id: i32) -> Result<Self> {
        let name = format!("{user_id}/{}", Uuid::now_v7());
        rows::announce(&files.0.pool, &name, LIFE).await?;
        Ok(Self { files: files.clone(), name, is_kept: false })
    }

    /// A file stands for it.
    fn keep(mut self) {
        self.is_kept = true;
    }

    /// It is whole and not needed: nothing of it is on its way any more, so that it can go at once.
    async fn discard(mut self) {
        self.is_kept = true;
        let remnant = Remnant { object: std::mem::take(&mut self.name), upload: None };
        let removed = match self.files.0.store.remove(&remnant).await {
            Ok(()) => removal::forget_remnants(&self.files.0.pool, &[remnant.object]).await.map_err(Error::from),
            Err(error) => Err(unavailable(error)),
        };
        if let Err(error) = removed {
            // Its announcement lets the task try again.
            tracing::debug!(%error, "content that is not needed could not be removed yet");
        }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let (files, name) = (self.files.clone(), std::mem::take(&mut self.name));
        // What fails here is made up for by the task that removes what is due.
        tokio::spawn(async move {
            if let Err(error) = removal::give_up(&files.0.pool, &name, SETTLED).await {
                tracing::debug!(%error, "an upload that broke off could not be given up");
            }
        });
    }
}

/// The store of files does not do what it should. The cause stays in the log.
fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Code::FilesUnavailable, "Files cannot be stored or read at the moment.")
        .with_retry_after(RETRY)
        .with_source(cause)
}

fn gone() -> Error {
    Error::new(Code::FileGone, "The content of this file is not there any more: upload it again.")
}

/// Reading what arrives failed: for a reason that its source knows, or because the connection broke.
fn broken(error: std::io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(known) => known,
        Err(error) => Error::new(Code::MalformedRequest, "The file ended early or is badly framed.").with_source(error),
    }
}
