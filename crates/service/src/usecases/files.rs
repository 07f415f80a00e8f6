//! Files of a user: taking them, looking at them, reading and deleting them.

use std::ops::Range;

use store::{
    Slice,
    files::{self as rows, FileFilter, FileRow, removal},
};
use tokio::io::AsyncRead;
use uuid::Uuid;

use super::{Caller, Change, record};
use crate::{
    Code, Error, Result,
    app::App,
    files::{Incoming, Reader},
};

/// Stores a file that arrives; tells whether it is new.
pub async fn upload(
    app: &App,
    caller: &Caller,
    incoming: Incoming<'_>,
    content: impl AsyncRead + Send + Unpin,
) -> Result<(FileRow, bool)> {
    app.files.accept(Incoming { caller: Some(caller), ..incoming }, content).await
}

/// Stores what is at an address; tells whether it is new.
pub async fn fetch(app: &App, caller: &Caller, url: &str, name: Option<&str>) -> Result<(FileRow, bool)> {
    app.files.accept_from(caller.identity.user_id, url, name, Some(caller)).await
}

/// A part of the list of files.
pub async fn list(app: &App, caller: &Caller, name: Option<String>, slice: Slice) -> Result<Vec<FileRow>> {
    let filter = FileFilter { user_id: caller.owner(), name };
    Ok(rows::list(&app.pool, &filter, slice).await?)
}

/// One file.
pub async fn get(app: &App, caller: &Caller, id: Uuid) -> Result<FileRow> {
    rows::find(&app.pool, id, caller.owner()).await?.ok_or_else(|| Error::not_found("file"))
}

/// The content of a file, or a part of it.
pub async fn read(app: &App, row: &FileRow, range: Range<u64>) -> Result<Reader> {
    app.files.read_part(row, range).await
}

/// Deletes a file that no message waits with.
pub async fn delete(app: &App, caller: &Caller, id: Uuid) -> Result<()> {
    let row = get(app, caller, id).await?;
    let mut tx = app.pool.begin().await?;
    match removal::remove(&mut tx, id).await? {
        removal::Removed::Gone => {}
        removal::Removed::Missing => return Err(Error::not_found("file")),
        removal::Removed::Needed(message) => {
            let detail = format!(
                "The message or broadcast {message} needs the file: cancel it first, or wait until it is sent."
            );
            return Err(Error::new(Code::FileInUse, detail));
        }
    }
    let change = crate::files::change("file.delete", &row);
    record(&mut tx, caller, Change { before: change.after, after: None, ..change }).await?;
    tx.commit().await?;
    // Its object goes now or, when the store does not answer, a little later.
    if let Err(error) = app.files.remove_object(&row.object).await {
        tracing::debug!(%error, "the content of a deleted file could not be removed yet");
    }
    Ok(())
}
