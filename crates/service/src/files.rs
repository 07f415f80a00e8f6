//! Files: taken as a stream, stored once for each user and content, read as a stream.
//!
//! - `arrival`: a file on its way into the store;
//! - [`store`]: where content lies; `s3_http` carries its requests;
//! - [`names`]: names and media types that are safe to show and to send;
//! - [`disposition`]: the header that carries a name;
//! - `fetch`: takes a file from an address;
//! - [`slots`]: how many files are taken at the same time.
//!
//! Content is written under a name of its own, which is announced in `file_remnants` before the first byte. When it is whole, a row
//! of `files` stands for it instead, or the user had the same content already. So whatever breaks off is known and is removed.

mod arrival;
pub mod disposition;
mod fetch;
pub mod names;
mod s3_http;
pub mod slots;
pub mod store;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ::store::PgPool;
use ::store::files::removal::{self, Remnant};
use ::store::files::{self as rows, FileRow, references};
use platform::{FileRef, MediaKind};
use serde_json::Value;
use tokio::io::AsyncRead;
use uuid::Uuid;

pub use self::arrival::Incoming;
use self::slots::Slots;
pub use self::store::Reader;
use self::store::Store;
use crate::circuit::Circuit;
use crate::egress::Egress;
use crate::settings::{FilesSettings, Settings};
use crate::usecases::Change;
use crate::{Code, Error, Result};

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
    egress: Egress,
}

impl Files {
    /// Opens the store.
    ///
    /// # Errors
    /// A text for the operator.
    pub fn open(settings: &Settings, pool: PgPool, egress: Egress) -> Result<Self, String> {
        let store = Store::open(settings.files.store.as_ref(), &settings.data_dir)?;
        let settings = settings.files.clone();
        let slots = Slots::new(settings.max_concurrent, settings.max_concurrent_per_user);
        Ok(Self(Arc::new(Inner { pool, store, settings, slots, egress })))
    }

    /// The circuit of the store, if it is reached through the network.
    pub fn circuit(&self) -> Option<Arc<Circuit>> {
        self.0.store.circuit()
    }

    /// Stores a file that arrives as a stream. The same content is stored once for each user: its file has the new name then.
    pub async fn take(
        &self,
        user_id: i32,
        name: &str,
        media_type: Option<&str>,
        content: impl AsyncRead + Send + Unpin,
    ) -> Result<FileRef> {
        let incoming = Incoming::uploaded(user_id, name, media_type);
        Ok(self.accept(incoming, content).await?.0.to_ref())
    }

    /// The same with all that is known of the file; tells whether it is new.
    pub async fn accept(
        &self,
        incoming: Incoming<'_>,
        content: impl AsyncRead + Send + Unpin,
    ) -> Result<(FileRow, bool)> {
        let slot = self.0.slots.take(incoming.user_id)?;
        self.accept_in(slot, incoming, content).await
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

    /// How long a file is kept after its last use.
    pub fn keep(&self) -> Duration {
        self.0.settings.keep
    }

    /// Removes the object of a file that was deleted.
    pub async fn remove_object(&self, object: &str) -> Result<()> {
        let remnant = Remnant { object: object.to_owned(), upload: None };
        self.0.store.remove(&remnant).await.map_err(unavailable)?;
        Ok(removal::forget_remnants(&self.0.pool, &[remnant.object]).await?)
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
}

/// What the audit keeps of a file.
pub(crate) fn change<'a>(action: &'a str, row: &FileRow) -> Change<'a> {
    let told = serde_json::json!({
        "name": row.name, "media_type": row.media_type, "size_bytes": row.size_bytes, "sha256": hex::encode(&row.sha256),
    });
    Change { action, resource_type: "file", resource_id: row.id.to_string(), before: None, after: Some(told) }
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
