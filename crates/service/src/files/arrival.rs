//! A file on its way into the store.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use object_store::PutPayload;
use sha2::{Digest as _, Sha256};
use store::files::removal;
use store::files::{self as rows, FileRow, NewFile, Stored};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use uuid::Uuid;

use super::slots::Slot;
use super::store::Writer;
use super::{Files, change, names, unavailable};
use crate::metrics::name;
use crate::usecases::{Caller, record};
use crate::{Code, Error, Result};

/// An object without a file is removed after so long: more than an upload may take.
const LIFE: Duration = Duration::from_hours(24);
/// What was on its way to the store when an upload broke off has arrived after so long.
const SETTLED: Duration = Duration::from_mins(10);

/// A file that arrives.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Who sends it, for the audit.
    pub caller: Option<&'a Caller>,
    /// Whose it will be.
    pub user_id: i32,
    /// What its sender calls it.
    pub name: &'a str,
    /// What its sender says that it is.
    pub media_type: Option<&'a str>,
    /// How long it is at least, where that is known.
    pub size: Option<u64>,
    /// How it arrives, for the metrics.
    pub way: &'static str,
    /// The code of an arrival that takes too long.
    pub late: Code,
    /// The code of one that ends early.
    pub broken: Code,
}

impl<'a> Incoming<'a> {
    /// One that a request brings.
    pub fn uploaded(user_id: i32, name: &'a str, media_type: Option<&'a str>) -> Self {
        let (way, late, broken) = ("upload", Code::RequestTimeout, Code::MalformedRequest);
        Self { caller: None, user_id, name, media_type, size: None, way, late, broken }
    }

    fn count(&self, row: &FileRow, is_new: bool) {
        let result = if is_new { "new" } else { "known" };
        metrics::counter!(name::FILES_TAKEN, "way" => self.way, "result" => result).increment(1);
        let bytes = row.size_bytes.unsigned_abs();
        metrics::counter!(name::FILES_TAKEN_BYTES, "way" => self.way, "result" => result).increment(bytes);
    }
}

impl Files {
    /// Stores what arrives; tells whether it is new.
    pub(super) async fn accept_in(
        &self,
        _slot: Slot,
        incoming: Incoming<'_>,
        content: impl AsyncRead + Send + Unpin,
    ) -> Result<(FileRow, bool)> {
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
        let mut tx = self.0.pool.begin().await?;
        let stored = rows::store(&mut tx, &file, self.0.settings.user_bytes).await?;
        if let (Some(caller), Stored::New(row) | Stored::Known(row)) = (incoming.caller, &stored) {
            record(&mut tx, caller, change("file.store", row)).await?;
        }
        match stored {
            Stored::New(row) => {
                tx.commit().await?;
                object.keep();
                incoming.count(&row, true);
                Ok((row, true))
            }
            Stored::Known(row) => {
                tx.commit().await?;
                object.discard().await;
                incoming.count(&row, false);
                Ok((row, false))
            }
            Stored::OverQuota => {
                tx.rollback().await?;
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
            let count = read.map_err(|error| broken(error, incoming.broken))?;
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
        if let Err(error) = self.files.remove_object(&std::mem::take(&mut self.name)).await {
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

/// Reading what arrives failed: for a reason that its source knows, or because the connection broke.
fn broken(error: std::io::Error, code: Code) -> Error {
    match error.downcast::<Error>() {
        Ok(known) => known,
        Err(error) => Error::new(code, "The file ended early or is badly framed.").with_source(error),
    }
}
