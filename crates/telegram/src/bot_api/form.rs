//! A body of `multipart/form-data` that is written while its files are read, so that no file is ever whole in memory.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Map, Value};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use crate::media::Reader;

/// How much of a file is read at once.
const CHUNK: usize = 64 * 1024;

/// A file that goes along.
pub(super) struct Attachment {
    /// The name of the part.
    pub part: String,
    /// The name of the file.
    pub name: String,
    pub media_type: String,
    pub size: u64,
    pub reader: Reader,
}

/// A form that is ready to be sent once.
pub(super) struct Form {
    pub content_type: String,
    /// The exact length of the body.
    pub length: u64,
    /// The bytes of all files.
    pub file_bytes: u64,
    pub body: UnsyncBoxBody<Bytes, io::Error>,
    /// Whether the last byte was handed to the connection. Until then the server cannot have the whole request: it is shorter than its
    /// `Content-Length` says and has no closing boundary.
    pub complete: Arc<AtomicBool>,
}

type Chunks = futures::stream::BoxStream<'static, io::Result<Bytes>>;

impl Form {
    pub(super) fn new(fields: &Map<String, Value>, files: Vec<Attachment>) -> Self {
        let boundary = format!("integrations-{}", Uuid::new_v4().simple());
        let part = |head: &str, rest: &str| format!("--{boundary}\r\ncontent-disposition: form-data; {head}\r\n{rest}");
        let mut before: String = fields
            .iter()
            .map(|(name, value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                part(&format!("name=\"{name}\""), &format!("\r\n{value}\r\n"))
            })
            .collect();
        let file_bytes = files.iter().map(|file| file.size).sum();
        let mut length = 0;
        let mut chunks: Vec<Chunks> = Vec::new();
        for file in files {
            let head = format!("name=\"{}\"; filename=\"{}\"", file.part, quoted(&file.name));
            let rest = format!("content-type: {}\r\n\r\n", plain(&file.media_type));
            let head = before + &part(&head, &rest);
            length += head.len() as u64 + file.size;
            chunks.push(text(head));
            chunks.push(exactly(file.reader, file.size).boxed());
            before = String::from("\r\n");
        }
        let end = format!("{before}--{boundary}--\r\n");
        length += end.len() as u64;
        let complete = Arc::new(AtomicBool::new(false));
        let is_whole = complete.clone();
        let end = stream::once(async move {
            is_whole.store(true, Ordering::SeqCst);
            Ok(Bytes::from(end))
        });
        chunks.push(end.boxed());
        let body = StreamBody::new(stream::iter(chunks).flatten().map(|chunk| chunk.map(Frame::data)));
        let content_type = format!("multipart/form-data; boundary={boundary}");
        Self { content_type, length, file_bytes, body: body.boxed_unsync(), complete }
    }
}

fn text(text: String) -> Chunks {
    stream::once(async move { Ok(Bytes::from(text)) }).boxed()
}

/// The bytes of a file; an error when there are not as many as were promised.
fn exactly(reader: Reader, size: u64) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let chunks = ReaderStream::with_capacity(reader, CHUNK);
    let checked = stream::unfold((chunks, size, false), |(mut chunks, left, over)| async move {
        if over {
            return None;
        }
        match chunks.next().await {
            Some(Ok(bytes)) if bytes.len() as u64 <= left => {
                let left = left - bytes.len() as u64;
                Some((Ok(bytes), (chunks, left, false)))
            }
            Some(Err(error)) => Some((Err(error), (chunks, left, true))),
            None if left == 0 => None,
            Some(Ok(_)) | None => {
                let wrong = io::Error::new(io::ErrorKind::InvalidData, "the stored file has another size");
                Some((Err(wrong), (chunks, left, true)))
            }
        }
    });
    Box::pin(checked)
}

/// A file name between quotation marks, as browsers write it.
fn quoted(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            '"' => "%22".to_owned(),
            c if c.is_control() => "_".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

/// A media type that cannot end the line that it stands in.
fn plain(media_type: &str) -> &str {
    let is_plain = !media_type.is_empty() && media_type.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if is_plain { media_type } else { "application/octet-stream" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(bytes: &'static [u8], size: u64) -> Attachment {
        let reader = Box::pin(bytes);
        Attachment { part: "photo".into(), name: "a \"b\"\r\n.png".into(), media_type: "x\r\ny".into(), size, reader }
    }

    fn fields() -> Map<String, Value> {
        json!({ "chat_id": 7, "caption": "Привет" }).as_object().expect("an object").clone()
    }

    #[tokio::test]
    async fn a_form_has_the_length_that_it_says() {
        for files in [Vec::new(), vec![file(b"12345", 5)], vec![file(b"12345", 5), file(b"", 0)]] {
            let form = Form::new(&fields(), files);
            assert!(!form.complete.load(Ordering::SeqCst));
            let body = form.body.collect().await.expect("it can be read").to_bytes();
            assert_eq!(body.len() as u64, form.length);
            assert!(form.complete.load(Ordering::SeqCst));
            let text = String::from_utf8_lossy(&body).into_owned();
            assert!(text.contains("name=\"caption\"\r\n\r\nПривет\r\n"), "{text}");
            assert!(!text.contains("x\r\ny"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_file_of_another_size_breaks_the_form_off_before_its_end() {
        for (bytes, size) in [(&b"123"[..], 5), (b"1234567", 5)] {
            let form = Form::new(&fields(), vec![file(bytes, size)]);
            assert!(form.body.collect().await.is_err());
            assert!(!form.complete.load(Ordering::SeqCst));
        }
    }
}
