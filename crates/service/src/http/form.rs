//! A body of `multipart/form-data` with several parts, one after the other: files among them are never whole in memory.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;

use axum::extract::Request;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use multer::{Field, Multipart};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::json::BodyLimits;
use super::upload::{Pace, Paced, refuse};
use crate::error::{Code, Error};

/// The parts of a form, as they come.
pub struct Form {
    parts: Multipart<'static>,
    pace: Pace,
    limits: BodyLimits,
}

/// One part of a form. It has to be gone before the next one is asked for.
pub struct Part {
    /// Its name.
    pub name: String,
    /// The name of the file that it is, if it is one.
    pub file_name: Option<String>,
    /// What it says that it is.
    pub media_type: Option<String>,
    field: Field<'static>,
    limits: BodyLimits,
}

impl Form {
    /// Begins to read the body of a request that is a form.
    pub fn of(request: Request) -> Result<Self, Error> {
        let headers = request.headers();
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(Error::new(Code::UnsupportedMediaType, "Compressed bodies are not accepted."));
        }
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let boundary = multer::parse_boundary(content_type).map_err(|error| refuse(&error))?;
        let limits = request.extensions().get::<BodyLimits>().copied().unwrap_or_default();
        let pace = Pace::default();
        let parts = Multipart::new(Paced::new(request.into_body(), pace.clone()), boundary);
        Ok(Self { parts, pace, limits })
    }

    /// The next part.
    pub async fn next(&mut self) -> Result<Option<Part>, Error> {
        self.pace.is_file.store(false, Ordering::Relaxed);
        let next = tokio::time::timeout(self.limits.time, self.parts.next_field()).await;
        let Some(field) = next.map_err(|_| late(self.limits))?.map_err(|error| refuse(&error))? else {
            return Ok(None);
        };
        self.pace.is_file.store(true, Ordering::Relaxed);
        let Some(name) = field.name().filter(|name| !name.is_empty()).map(str::to_owned) else {
            return Err(Error::new(Code::InvalidBody, "A part of the form has no name."));
        };
        Ok(Some(Part {
            name,
            file_name: field.file_name().map(str::to_owned),
            media_type: field.content_type().map(ToString::to_string),
            field,
            limits: self.limits,
        }))
    }
}

impl Part {
    /// The whole part, which has to be as small and fast as a body that is no form.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        let Self { mut field, limits, name, .. } = self;
        let read = async {
            let mut bytes = Vec::new();
            while let Some(piece) = field.chunk().await.map_err(|error| refuse(&error))? {
                bytes.extend_from_slice(&piece);
                if bytes.len() > limits.bytes {
                    let detail = format!("The part `{}` is larger than {} bytes.", name.escape_debug(), limits.bytes);
                    return Err(Error::new(Code::PayloadTooLarge, detail));
                }
            }
            Ok(Bytes::from(bytes))
        };
        tokio::time::timeout(limits.time, read).await.unwrap_or_else(|_| Err(late(limits)))
    }

    /// What the part holds, as it comes. Its errors are [`Error`]s where the request is to blame.
    pub fn into_reader(self) -> Pin<Box<dyn AsyncRead + Send>> {
        let pieces = stream::try_unfold(self.field, |mut field| async move {
            let piece = field.chunk().await.map_err(|error| io::Error::other(refuse(&error)))?;
            Ok::<_, io::Error>(piece.map(|piece| (piece, field)))
        });
        Box::pin(StreamReader::new(pieces.into_stream().boxed()))
    }
}

fn late(limits: BodyLimits) -> Error {
    let detail = format!("The body did not arrive within {} seconds.", limits.time.as_secs());
    Error::new(Code::RequestTimeout, detail)
}
