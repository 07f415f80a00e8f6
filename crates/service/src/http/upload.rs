//! A body that is a file: raw, or the one part of a `multipart/form-data`. It is never whole in memory.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use http::header::{CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName};
use multer::{Field, Multipart};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use crate::error::{Code, Error};
use crate::files::disposition;

/// How much may come between the parts of a form: heads, boundaries, and what comes with them in one piece.
const BETWEEN: u64 = 1 << 20;
/// What a form takes besides its file: the file is at least as long as the body without so much.
const FORM: u64 = 8 << 10;

/// A file that a request brings.
pub struct Upload {
    /// What it is called, if the request tells.
    pub name: Option<String>,
    /// What it is, if the request tells.
    pub media_type: Option<String>,
    /// How long it is at least, if the request tells.
    pub size: Option<u64>,
    /// What it holds. Its errors are [`Error`]s where the request is to blame.
    pub content: Pin<Box<dyn AsyncRead + Send>>,
}

/// True when the body is a form with files.
pub fn is_form(headers: &HeaderMap) -> bool {
    text(headers, &CONTENT_TYPE)
        .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"))
}

impl Upload {
    /// Reads the body up to where the file begins.
    pub async fn from_request(request: Request) -> Result<Self, Error> {
        let headers = request.headers();
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(Error::new(Code::UnsupportedMediaType, "Compressed bodies are not accepted."));
        }
        let size = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let media_type = text(headers, &CONTENT_TYPE).map(str::to_owned);
        if is_form(headers) {
            return Self::from_form(media_type.unwrap_or_default(), size, request).await;
        }
        let name = headers.get(CONTENT_DISPOSITION).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        Ok(Self {
            name: name.and_then(disposition::file_name),
            media_type,
            size,
            content: Box::pin(StreamReader::new(request.into_body().into_data_stream().map_err(io::Error::other))),
        })
    }

    async fn from_form(content_type: String, size: Option<u64>, request: Request) -> Result<Self, Error> {
        let boundary = multer::parse_boundary(content_type).map_err(|error| refuse(&error))?;
        let pace = Pace::default();
        let body = Paced::new(request.into_body(), pace.clone());
        let mut form = Multipart::new(body, boundary);
        let field = form.next_field().await.map_err(|error| refuse(&error))?;
        let field =
            field.ok_or_else(|| Error::new(Code::InvalidBody, "The form has no part: send the file as one."))?;
        if field.file_name().is_none() {
            return Err(Error::new(Code::InvalidBody, "The part of the form has no file name: send a file."));
        }
        pace.is_file.store(true, Ordering::Relaxed);
        Ok(Self {
            name: field.file_name().map(str::to_owned),
            media_type: field.content_type().map(ToString::to_string),
            size: size.map(|size| size.saturating_sub(FORM)),
            content: Box::pin(StreamReader::new(only_part(form, field, pace).boxed())),
        })
    }
}

/// The content of the part, and then proof that there is no other.
fn only_part(
    form: Multipart<'static>,
    field: Field<'static>,
    pace: Pace,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold((form, Some(field)), move |(mut form, mut field)| {
        let pace = pace.clone();
        async move {
            let Some(part) = &mut field else { return Ok(None) };
            if let Some(piece) = part.chunk().await.map_err(|error| io::Error::other(refuse(&error)))? {
                return Ok(Some((piece, (form, field))));
            }
            drop(field);
            pace.is_file.store(false, Ordering::Relaxed);
            if form.next_field().await.map_err(|error| io::Error::other(refuse(&error)))?.is_none() {
                return Ok(None);
            }
            let detail = "The form has several parts: send one file at a time, and nothing else.";
            Err(io::Error::other(Error::new(Code::InvalidBody, detail)))
        }
    })
}

/// What went wrong with a form.
pub(super) fn refuse(error: &multer::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if inner.is::<TooMuchBetween>() {
            return Error::new(Code::InvalidBody, "The heads of the parts of the form are too long.");
        }
        cause = inner.source();
    }
    match error {
        multer::Error::StreamReadFailed(_)
        | multer::Error::IncompleteStream
        | multer::Error::IncompleteFieldData { .. } => {
            Error::new(Code::MalformedRequest, "The body ended early or is badly framed.")
        }
        multer::Error::NoBoundary | multer::Error::DecodeContentType(_) | multer::Error::NoMultipart => {
            Error::new(Code::UnsupportedMediaType, "The content type of the form names no boundary.")
        }
        error => Error::new(Code::InvalidBody, format!("The form is not valid: {error}.")),
    }
    .with_source(error.to_string())
}

/// Which part of a form is being read.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    pub(super) is_file: Arc<AtomicBool>,
    between: Arc<AtomicU64>,
}

/// Gives the parser one piece at a time: it keeps whatever it can get in memory. Outside of the file there may be little: the heads of
/// a part are kept in memory until they are whole.
pub(super) struct Paced {
    body: BodyDataStream,
    pace: Pace,
    rests: bool,
}

impl Paced {
    pub(super) fn new(body: Body, pace: Pace) -> Self {
        Self { body: body.into_data_stream(), pace, rests: false }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("too much between the parts")]
struct TooMuchBetween;

impl Stream for Paced {
    type Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Poll::Ready(piece) = self.body.poll_next_unpin(context) else { return Poll::Pending };
        self.rests = true;
        if let Some(Ok(piece)) = &piece
            && !self.pace.is_file.load(Ordering::Relaxed)
        {
            let length = piece.len() as u64;
            if self.pace.between.fetch_add(length, Ordering::Relaxed) + length > BETWEEN {
                return Poll::Ready(Some(Err(TooMuchBetween.into())));
            }
        }
        Poll::Ready(piece.map(|piece| piece.map_err(Into::into)))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
