//! Fetches an address that a user gave.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyDataStream, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;
use url::{Position, Url};

use super::connect::ConnectError;
use super::{Egress, Refused};

/// How often a server may send us elsewhere.
const REDIRECTS: usize = 3;
/// How we call ourselves.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("integrations/", env!("CARGO_PKG_VERSION")));

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Where it was found in the end.
    pub url: Url,
    /// What the server says that it is.
    pub content_type: Option<String>,
    /// What the server calls it: the header as it is.
    pub content_disposition: Option<String>,
    /// Its length, if the server tells.
    pub length: Option<u64>,
    body: Incoming,
}

/// Why nothing was fetched. The texts are for whoever gave the address.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// The address is not used.
    #[error("The address is refused: {0}.")]
    Refused(Refused),
    /// There is no answer that could be used.
    #[error("The address cannot be fetched: {0}.")]
    Unusable(String),
    /// There was no answer in time.
    #[error("The server did not answer in time.")]
    TimedOut,
}

impl Egress {
    /// Asks for an address and follows redirects; each server may take `time` to answer.
    pub async fn get(&self, address: &str, time: Duration) -> Result<Found, GetError> {
        let mut url = self.check(address).map_err(GetError::Refused)?;
        for _ in 0..=REDIRECTS {
            let answer = tokio::time::timeout(time, self.ask(&url)).await.map_err(|_| GetError::TimedOut)??;
            if !is_redirect(answer.status()) {
                return accept(url, answer);
            }
            let place = text(answer.headers(), LOCATION).ok_or_else(|| unusable("it is redirected to nowhere"))?;
            url = url.join(&place).map_err(|_| GetError::Refused(Refused::Syntax))?;
            self.check_parsed(&url).map_err(GetError::Refused)?;
        }
        Err(GetError::Refused(Refused::Redirects))
    }

    async fn ask(&self, url: &Url) -> Result<Response<Incoming>, GetError> {
        let uri: Uri = url[..Position::AfterQuery].parse().map_err(|_| GetError::Refused(Refused::Syntax))?;
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        // What is small when it is sent stays small.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        self.client().request(request).await.map_err(|error| reason(&error))
    }
}

impl Found {
    /// The content as it comes.
    pub fn into_reader(self) -> impl AsyncRead + Send + Unpin {
        StreamReader::new(BodyDataStream::new(self.body).map_err(io::Error::other))
    }
}

fn accept(url: Url, answer: Response<Incoming>) -> Result<Found, GetError> {
    let status = answer.status();
    if status != StatusCode::OK {
        return Err(unusable(format!("the server answers with the status {}", status.as_u16())));
    }
    let headers = answer.headers();
    if text(headers, CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(unusable("the server sends it compressed, though it was asked not to"));
    }
    Ok(Found {
        url,
        content_type: text(headers, CONTENT_TYPE),
        content_disposition: text(headers, CONTENT_DISPOSITION),
        length: text(headers, CONTENT_LENGTH).and_then(|length| length.parse().ok()),
        body: answer.into_body(),
    })
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    // File names are often sent as UTF-8, which headers may hold but not promise.
    headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).map(str::to_owned)
}

fn unusable(reason: impl Into<String>) -> GetError {
    GetError::Unusable(reason.into())
}

/// What went wrong, as far as it may be told: nothing that a server of ours said.
fn reason(error: &legacy::Error) -> GetError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<ConnectError>() {
            Some(ConnectError::Refused(why)) => return GetError::Refused(*why),
            Some(ConnectError::TimedOut) => return GetError::TimedOut,
            Some(error) => return unusable(error.to_string()),
            None => cause = error.source(),
        }
    }
    tracing::debug!(cause = crate::telemetry::with_causes(error), "an address could not be fetched");
    unusable(if error.is_connect() {
        "there is no trustworthy connection to the server"
    } else {
        "the server broke off"
    })
}
