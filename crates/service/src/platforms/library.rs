//! The stored files as one sender sees them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use platform::{BoxFuture, FileRef, MediaKind};
use serde_json::Value;
use telegram::media::{Library, Reader};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Code, files::Files};

/// The files of one sender, and what its platform calls those that it uploaded.
pub struct SenderLibrary {
    files: Files,
    sender_id: Uuid,
    ends: Ends,
}

/// What ends reading: the process is told to stop, or the term ends in which the sender was opened.
type Ends = [CancellationToken; 2];

impl SenderLibrary {
    /// Those of this sender. When one of `ends` is cancelled, reading fails: an upload that breaks off in its middle sends nothing and is tried
    /// again, where one that the end of the process cuts may have been sent.
    pub fn new(files: Files, sender_id: Uuid, ends: Ends) -> Self {
        Self { files, sender_id, ends }
    }

    fn noted<T: Default>(&self, result: crate::Result<T>) -> T {
        result.unwrap_or_else(|error| {
            tracing::warn!(%error, sender_id = %self.sender_id, "what a platform calls a file could not be looked up or kept");
            T::default()
        })
    }
}

impl Library for SenderLibrary {
    fn open<'a>(&'a self, file: &'a FileRef) -> BoxFuture<'a, io::Result<Reader>> {
        Box::pin(async move {
            let content = self.files.read(file).await.map_err(|error| {
                let gone = error.code == Code::FileGone;
                let kind = if gone { io::ErrorKind::NotFound } else { io::ErrorKind::Other };
                io::Error::new(kind, error.detail)
            })?;
            Ok(Box::pin(Stoppable { content, ends: self.ends.clone() }) as Reader)
        })
    }

    fn recall(&self, file_id: Uuid, kind: MediaKind) -> BoxFuture<'_, Option<Value>> {
        Box::pin(async move { self.noted(self.files.reference(self.sender_id, file_id, kind).await) })
    }

    fn remember(&self, file_id: Uuid, kind: MediaKind, reference: Value) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.noted(self.files.set_reference(self.sender_id, file_id, kind, &reference).await) })
    }

    fn forget(&self, file_id: Uuid, kind: MediaKind) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.noted(self.files.forget_reference(self.sender_id, file_id, kind).await) })
    }
}

/// Content that ends with an error when it is told to stop.
struct Stoppable {
    content: Reader,
    ends: Ends,
}

impl AsyncRead for Stoppable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ends.iter().any(CancellationToken::is_cancelled) {
            return Poll::Ready(Err(io::Error::other("the process is stopping, or not the sender's owner any more")));
        }
        self.content.as_mut().poll_read(cx, buffer)
    }
}
