//! The head of a download: what is offered is saved and not shown, whole or in part.

use std::ops::Range;

use axum::response::Response;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, IF_RANGE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::error::{Code, Error};
use crate::files::disposition;

/// Whatever the content is, a browser that shows it after all runs nothing of it.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");

/// What is known of the content.
pub struct Head<'a> {
    name: &'a str,
    media_type: &'a str,
    etag: String,
    size: u64,
}

/// What is answered.
pub enum Answer {
    /// This part of the content, which may be all of it.
    Part(Response<()>, Range<u64>),
    /// The caller has the content.
    NotModified(Response<()>),
    /// There is no such part; the header tells the size.
    NoSuchPart(Error, HeaderValue),
}

impl<'a> Head<'a> {
    /// `hash` changes with the content.
    pub fn new(name: &'a str, media_type: &'a str, hash: &str, size: u64) -> Self {
        Self { name, media_type, etag: format!("\"{hash}\""), size }
    }

    /// Decides what is answered to a request with these headers.
    pub fn answer(&self, asked: &HeaderMap) -> Answer {
        let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
        let is_known = |tags: &str| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == self.etag);
        if text(IF_NONE_MATCH).is_some_and(|tags| tags.trim() == "*" || is_known(tags)) {
            let mut answer = Response::new(());
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            set(answer.headers_mut(), ETAG, &self.etag);
            return Answer::NotModified(answer);
        }
        let range = text(RANGE).filter(|_| text(IF_RANGE).is_none_or(|tag| tag.trim() == self.etag));
        let Some(parsed) = range.and_then(|range| http_range_header::parse_range_header(range).ok()) else {
            // What cannot be read is as if it were not there (RFC 9110).
            return self.part(StatusCode::OK, 0..self.size);
        };
        match parsed.validate(self.size) {
            Ok(ranges) if ranges.len() == 1 => {
                let range = *ranges[0].start()..*ranges[0].end() + 1;
                self.part(StatusCode::PARTIAL_CONTENT, range)
            }
            // Several parts are not worth a format of their own.
            Ok(_) => self.part(StatusCode::OK, 0..self.size),
            Err(_) => {
                let error = Error::new(Code::RangeNotSatisfiable, format!("The file has {} bytes.", self.size));
                let size = HeaderValue::from_str(&format!("bytes */{}", self.size));
                Answer::NoSuchPart(error, size.unwrap_or(HeaderValue::from_static("bytes */*")))
            }
        }
    }

    fn part(&self, status: StatusCode, range: Range<u64>) -> Answer {
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        set(headers, CONTENT_TYPE, self.media_type);
        set(headers, CONTENT_DISPOSITION, &disposition::attachment(self.name));
        set(headers, ETAG, &self.etag);
        headers.insert(CONTENT_LENGTH, (range.end - range.start).into());
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        if status == StatusCode::PARTIAL_CONTENT {
            set(headers, CONTENT_RANGE, &format!("bytes {}-{}/{}", range.start, range.end - 1, self.size));
        }
        Answer::Part(answer, range)
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Names and types were made safe when they were stored.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(HeaderName, &str)]) -> (u16, String) {
        let head = Head::new("a.txt", "text/plain", "abc", 10);
        let asked = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        match head.answer(&asked) {
            Answer::Part(answer, range) => (answer.status().as_u16(), format!("{range:?}")),
            Answer::NotModified(answer) => (answer.status().as_u16(), String::new()),
            Answer::NoSuchPart(error, header) => (error.code.status_number(), header.to_str().unwrap().to_owned()),
        }
    }

    #[test]
    fn the_asked_part_is_answered() {
        for (headers, status, told) in [
            (&[][..], 200, "0..10"),
            (&[(RANGE, "bytes=0-3")], 206, "0..4"),
            (&[(RANGE, "bytes=4-")], 206, "4..10"),
            (&[(RANGE, "bytes=-3")], 206, "7..10"),
            (&[(RANGE, "bytes=9-20")], 206, "9..10"),
            (&[(RANGE, "bytes=10-")], 416, "bytes */10"),
            (&[(RANGE, "bytes=0-1,4-5")], 200, "0..10"),
            (&[(RANGE, "lines=1-2")], 200, "0..10"),
            (&[(RANGE, "bytes=0-3"), (IF_RANGE, "\"abc\"")], 206, "0..4"),
            (&[(RANGE, "bytes=0-3"), (IF_RANGE, "\"other\"")], 200, "0..10"),
            (&[(IF_NONE_MATCH, "\"x\", W/\"abc\"")], 304, ""),
            (&[(IF_NONE_MATCH, "*")], 304, ""),
            (&[(IF_NONE_MATCH, "\"x\"")], 200, "0..10"),
        ] {
            assert_eq!(answer(headers), (status, told.to_owned()), "{headers:?}");
        }
    }
}
