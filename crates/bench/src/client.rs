//! One HTTP/1.1 connection that is kept and made again when it breaks.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Result;

/// Where requests go, and as whom.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Address of the API.
    pub address: SocketAddr,
    /// The bearer token.
    pub authorization: HeaderValue,
}

impl Endpoint {
    /// An API at an address, called with a token.
    pub fn new(address: SocketAddr, token: &str) -> Result<Self> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.trim()))?;
        authorization.set_sensitive(true);
        Ok(Self { address, authorization })
    }

    /// A POST with a JSON body, or a GET without one.
    pub fn request(&self, path: &str, body: Option<String>) -> Result<Request<Full<Bytes>>> {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let builder = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(AUTHORIZATION, self.authorization.clone());
        let builder = if body.is_some() { builder.header(CONTENT_TYPE, "application/json") } else { builder };
        Ok(builder.body(Full::from(body.unwrap_or_default()))?)
    }
}

/// A connection to an API.
pub struct Connection {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// Prepares a connection; it is made at the first request.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, sender: None }
    }

    /// Makes the connection now.
    pub async fn open(&mut self) -> Result<()> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        self.sender = Some(sender);
        Ok(())
    }

    /// Sends a request and reads the whole answer: its status and its body.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<(u16, Bytes)> {
        let usable = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.open().await?;
        }
        let Some(sender) = &mut self.sender else { return Err("no connection".into()) };
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}
