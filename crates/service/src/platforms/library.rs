//! The stored files as one sender sees them.

use std::io;

use platform::{BoxFuture, FileRef, MediaKind};
use serde_json::Value;
use telegram::media::{Library, Reader};
use uuid::Uuid;

/// The files of one sender. None is stored yet, and no message with one is accepted.
pub struct SenderLibrary {
    sender_id: Uuid,
}

impl SenderLibrary {
    /// Those of this sender.
    pub fn of(sender_id: Uuid) -> Self {
        Self { sender_id }
    }
}

impl Library for SenderLibrary {
    fn open<'a>(&'a self, file: &'a FileRef) -> BoxFuture<'a, io::Result<Reader>> {
        tracing::warn!(sender_id = %self.sender_id, file_id = %file.id, "a file is asked for that is not stored");
        Box::pin(async { Err(io::ErrorKind::NotFound.into()) })
    }

    fn recall(&self, _: Uuid, _: MediaKind) -> BoxFuture<'_, Option<Value>> {
        Box::pin(async { None })
    }

    fn remember(&self, _: Uuid, _: MediaKind, _: Value) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn forget(&self, _: Uuid, _: MediaKind) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
