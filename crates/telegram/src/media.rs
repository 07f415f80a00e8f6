//! What senders need of stored files: their bytes, and what the platform calls a file that was uploaded before.

use std::io;
use std::pin::Pin;

use platform::{BoxFuture, Content, FileRef, Media, MediaKind, Text};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::AsyncRead;
use uuid::Uuid;

/// The bytes of a file, as they come.
pub type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// The stored files as one sender sees them. What cannot be remembered is uploaded again: so nothing but opening a file can fail.
pub trait Library: Send + Sync {
    /// Opens a file from its beginning.
    fn open<'a>(&'a self, file: &'a FileRef) -> BoxFuture<'a, io::Result<Reader>>;

    /// What the platform calls a file that this sender uploaded before, in the form of [`Library::remember`].
    fn recall(&self, file_id: Uuid, kind: MediaKind) -> BoxFuture<'_, Option<Value>>;

    /// Remembers what the platform calls a file.
    fn remember(&self, file_id: Uuid, kind: MediaKind, reference: Value) -> BoxFuture<'_, ()>;

    /// Forgets what the platform called a file: it does not know it any more.
    fn forget(&self, file_id: Uuid, kind: MediaKind) -> BoxFuture<'_, ()>;
}

/// What is remembered of an upload: the platform's reference `R`, and the look that it was uploaded with, which the platform keeps.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered<R> {
    reference: R,
    look: Look,
}

/// What an upload fixes for ever.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    name: String,
    media_type: String,
    size: (Option<u32>, Option<u32>),
    duration: Option<u32>,
    title: Option<String>,
    performer: Option<String>,
}

impl Look {
    fn of(media: &Media) -> Self {
        Self {
            name: media.file.name.clone(),
            media_type: media.file.media_type.clone(),
            size: (media.width, media.height),
            duration: media.duration,
            title: media.title.clone(),
            performer: media.performer.clone(),
        }
    }
}

/// The reference of a file that was uploaded before and looks as it is wanted now.
pub(crate) async fn recall<R: for<'de> Deserialize<'de>>(
    library: &dyn Library,
    kind: MediaKind,
    media: &Media,
) -> Option<R> {
    let value = library.recall(media.file.id, kind).await?;
    let Remembered { reference, look } = serde_json::from_value(value).ok()?;
    (look == Look::of(media)).then_some(reference)
}

/// Remembers the reference of a file that was uploaded just now.
pub(crate) async fn remember<R: Serialize>(library: &dyn Library, kind: MediaKind, media: &Media, reference: R) {
    if let Ok(value) = serde_json::to_value(Remembered { reference, look: Look::of(media) }) {
        library.remember(media.file.id, kind, value).await;
    }
}

/// The media of a message, in the order of its parts.
pub fn media_of(content: &Content) -> Vec<(MediaKind, &Media)> {
    match content {
        Content::Album(album) => album.items.iter().map(|item| (item.kind, &item.media)).collect(),
        other => other.as_media().into_iter().collect(),
    }
}

/// The text of a message that can be edited: its own, or its caption.
pub fn text_of(content: &mut Content) -> Option<&mut Text> {
    match content {
        Content::Text(text) => Some(&mut text.text),
        Content::Photo(media)
        | Content::Video(media)
        | Content::Document(media)
        | Content::Audio(media)
        | Content::Voice(media)
        | Content::Animation(media) => Some(&mut media.caption),
        Content::Album(album) => album.items.first_mut().map(|item| &mut item.media.caption),
        Content::Poll(_) | Content::Location(_) | Content::Forward(_) => None,
    }
}

/// Why a stored file cannot be read, as a stable code with its words, and whether reading it again may help.
pub(crate) fn unreadable(error: &io::Error) -> (&'static str, String, bool) {
    let gone = error.kind() == io::ErrorKind::NotFound;
    let code = if gone { "file_missing" } else { "file_unreadable" };
    (code, format!("the stored file cannot be read: {error}"), !gone)
}

#[cfg(test)]
pub(crate) mod testing {
    use std::collections::HashMap;
    use std::io;
    use std::sync::{Mutex, PoisonError};

    use platform::{BoxFuture, FileRef, MediaKind};
    use serde_json::Value;
    use uuid::Uuid;

    use super::{Library, Reader};

    /// Files in memory.
    #[derive(Default)]
    pub struct Shelf {
        files: Mutex<HashMap<Uuid, Vec<u8>>>,
        known: Mutex<HashMap<(Uuid, MediaKind), Value>>,
    }

    impl Shelf {
        pub fn put(&self, name: &str, media_type: &str, bytes: &[u8]) -> FileRef {
            let file = FileRef {
                id: Uuid::new_v4(),
                name: name.to_owned(),
                media_type: media_type.to_owned(),
                size_bytes: bytes.len() as u64,
            };
            self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(file.id, bytes.to_vec());
            file
        }

        pub fn known(&self) -> usize {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).len()
        }
    }

    impl Library for Shelf {
        fn open<'a>(&'a self, file: &'a FileRef) -> BoxFuture<'a, io::Result<Reader>> {
            let bytes = self.files.lock().unwrap_or_else(PoisonError::into_inner).get(&file.id).cloned();
            let bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
            Box::pin(async move { Ok(Box::pin(io::Cursor::new(bytes?)) as Reader) })
        }

        fn recall(&self, file_id: Uuid, kind: MediaKind) -> BoxFuture<'_, Option<Value>> {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&(file_id, kind)).cloned();
            Box::pin(async move { known })
        }

        fn remember(&self, file_id: Uuid, kind: MediaKind, reference: Value) -> BoxFuture<'_, ()> {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert((file_id, kind), reference);
            Box::pin(async {})
        }

        fn forget(&self, file_id: Uuid, kind: MediaKind) -> BoxFuture<'_, ()> {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&(file_id, kind));
            Box::pin(async {})
        }
    }
}
