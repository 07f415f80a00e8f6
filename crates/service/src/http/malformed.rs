//! Requests that are not HTTP/1.1 at all, or whose head is too large, are answered by hyper itself, with an empty body.
//! This wrapper around the connection replaces such an answer by a problem.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http::Method;
use metrics::SharedString;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::observe::{OTHER, RequestId, count};
use crate::error::problem::{PROBLEM_JSON, body};
use crate::error::{Code, Error};

/// A connection whose bare error answers become problems.
pub(super) struct ExplainErrors<T> {
    stream: T,
    /// What is being written in place of a bare answer.
    replacement: Option<Bytes>,
}

impl<T> ExplainErrors<T> {
    pub(super) fn new(stream: T) -> Self {
        Self { stream, replacement: None }
    }

    pub(super) fn into_inner(self) -> T {
        self.stream
    }
}

/// Recognises an answer of hyper: a whole head of these statuses, without the request id that every answer of ours has.
fn bare_error(head: &[u8]) -> Option<Error> {
    let status = head.strip_prefix(b"HTTP/1.1 ").or_else(|| head.strip_prefix(b"HTTP/1.0 "))?.get(..4)?;
    let (code, detail) = match status {
        b"400 " => (Code::MalformedRequest, "The request is not valid HTTP/1.1."),
        b"414 " => (Code::UriTooLong, "The address in the request line is too long."),
        b"431 " => (Code::HeadersTooLarge, "The head of the request is too large, or has too many headers."),
        _ => return None,
    };
    let is_ours = head.windows(13).any(|window| window.eq_ignore_ascii_case(b"x-request-id:"));
    (head.ends_with(b"\r\n\r\n") && !is_ours).then(|| Error::new(code, detail))
}

fn answer(error: &Error) -> Bytes {
    let RequestId(id) = RequestId::new();
    let (status, body) = (error.code.status(), body(error, None, Some(&id)));
    tracing::info!(target: "integrations::access", endpoint = OTHER, status = status.as_u16(), request_id = &*id, "answered");
    count(SharedString::const_str(OTHER), &Method::GET, status, std::time::Duration::ZERO);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {PROBLEM_JSON}\r\nx-request-id: {id}\r\nx-content-type-options: nosniff\r\n\
         cache-control: no-store\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Bytes::from(head + &body)
}

impl<T: AsyncWrite + Unpin> ExplainErrors<T> {
    /// Writes the replacement; when it is through, the bytes that it stands for count as written.
    fn poll_replacement(&mut self, cx: &mut Context<'_>, stands_for: usize) -> Poll<io::Result<usize>> {
        while let Some(rest) = self.replacement.as_mut().filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            rest.advance(written);
        }
        self.replacement = None;
        Poll::Ready(Ok(stands_for))
    }

    fn must_replace(&mut self, bytes: &[u8]) -> bool {
        if self.replacement.is_none() {
            self.replacement = bare_error(bytes).map(|error| answer(&error));
        }
        self.replacement.is_some()
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for ExplainErrors<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.must_replace(bytes) {
            return self.poll_replacement(cx, bytes.len());
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices
            && self.must_replace(only)
        {
            return self.poll_replacement(cx, only.len());
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ExplainErrors<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn only_a_bare_answer_of_these_statuses_is_recognised() {
        let code = |head: &str| bare_error(head.as_bytes()).map(|error| error.code);
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n";
        assert_eq!(code(bare), Some(Code::HeadersTooLarge));
        assert_eq!(code("HTTP/1.0 400 Bad Request\r\n\r\n"), Some(Code::MalformedRequest));
        assert_eq!(code("HTTP/1.1 400 Bad Request\r\nX-Request-Id: a\r\n\r\n"), None);
        assert_eq!(code("HTTP/1.1 404 Not Found\r\n\r\n"), None);
        assert_eq!(code("HTTP/1.1 400 Bad Request\r\n\r\n{}"), None);
        assert_eq!(code("{\"text\": 1}"), None);
    }

    #[tokio::test]
    async fn a_replacement_survives_a_pipe_that_takes_a_few_bytes_at_a_time() {
        let (near, mut far) = tokio::io::duplex(7);
        let reader = tokio::spawn(async move {
            let mut text = String::new();
            far.read_to_string(&mut text).await.map(|_| text)
        });
        let mut stream = ExplainErrors::new(near);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        stream.write_all(b"HTTP/1.1 414 URI Too Long\r\n\r\n").await.unwrap();
        drop(stream.into_inner());
        let text = reader.await.unwrap().unwrap();
        let (_, second) = text.split_once("\r\n\r\n").unwrap();
        let (head, body) = second.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 414 URI Too Long\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(body.contains("\"code\":\"uri_too_long\""), "{body}");
    }
}
