//! The Bot API stand-in: knows every token, takes every message, and notes when it came.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::Result;
use crate::ledger::Ledger;

/// A running stand-in; ends with the process.
#[derive(Clone)]
pub struct Telegram {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    ledger: RwLock<Arc<Ledger>>,
    next_message: AtomicI64,
    takes: Duration,
}

impl Telegram {
    /// Listens; a sendMessage takes as long as given.
    pub async fn start(address: SocketAddr, takes: Duration) -> Result<Self> {
        let listener =
            TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
        let address = listener.local_addr()?;
        let ledger = RwLock::new(Arc::new(Ledger::new(0, 0)));
        let shared = Arc::new(Shared { ledger, next_message: AtomicI64::new(1), takes });
        tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared })
    }

    /// From now on, arrivals go into this ledger.
    pub fn note_in(&self, ledger: Arc<Ledger>) {
        *self.shared.ledger.write().unwrap_or_else(PoisonError::into_inner) = ledger;
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Without it answers wait for an acknowledgement; with it, the worst that a failure costs is a slow answer.
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(shared.clone(), request));
            // The other side closes when it likes.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

#[derive(Deserialize)]
struct SendMessage<'a> {
    chat_id: i64,
    #[serde(borrow)]
    text: std::borrow::Cow<'a, str>,
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(respond(StatusCode::BAD_REQUEST, refusal(400, "Bad Request: the body ended early"))),
    };
    let at = Instant::now();
    let Some((token, method)) = path.strip_prefix("/bot").and_then(|rest| rest.split_once('/')) else {
        return Ok(respond(StatusCode::NOT_FOUND, refusal(404, "Not Found")));
    };
    let bot = token.split(':').next().and_then(|id| id.parse::<i64>().ok()).unwrap_or(1);
    Ok(match method {
        "sendMessage" => send_message(&shared, bot, &body, at).await,
        "getMe" => respond(StatusCode::OK, me(bot)),
        "getWebhookInfo" => {
            let info = r#"{"ok":true,"result":{"url":"","has_custom_certificate":false,"pending_update_count":0}}"#;
            respond(StatusCode::OK, info.to_owned())
        }
        _ => respond(StatusCode::NOT_FOUND, refusal(404, "Not Found: method not found")),
    })
}

async fn send_message(shared: &Shared, bot: i64, body: &[u8], at: Instant) -> Response<Full<Bytes>> {
    let Ok(message) = serde_json::from_slice::<SendMessage>(body) else {
        return respond(StatusCode::BAD_REQUEST, refusal(400, "Bad Request: message text is empty"));
    };
    shared.ledger.read().unwrap_or_else(PoisonError::into_inner).arrived(&message.text, at);
    if !shared.takes.is_zero() {
        tokio::time::sleep(shared.takes).await;
    }
    let id = shared.next_message.fetch_add(1, Relaxed);
    let date = chrono::Utc::now().timestamp();
    let (chat, text) = (message.chat_id, serde_json::Value::from(message.text));
    respond(
        StatusCode::OK,
        format!(
            r#"{{"ok":true,"result":{{"message_id":{id},"from":{{"id":{bot},"is_bot":true,"first_name":"Bot","username":"bench_{bot}_bot"}},"chat":{{"id":{chat},"first_name":"A","type":"private"}},"date":{date},"text":{text}}}}}"#
        ),
    )
}

fn me(bot: i64) -> String {
    format!(
        r#"{{"ok":true,"result":{{"id":{bot},"is_bot":true,"first_name":"Bot {bot}","username":"bench_{bot}_bot","can_join_groups":true,"can_read_all_group_messages":false,"supports_inline_queries":false}}}}"#
    )
}

fn refusal(code: u16, description: &str) -> String {
    format!(r#"{{"ok":false,"error_code":{code},"description":"{description}"}}"#)
}

fn respond(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Connection, Endpoint};

    #[tokio::test]
    async fn it_answers_as_the_bot_api_and_notes_what_came() {
        let telegram = Telegram::start(([127, 0, 0, 1], 0).into(), Duration::ZERO).await.unwrap();
        let ledger = Arc::new(Ledger::new(1, 1));
        telegram.note_in(ledger.clone());
        let endpoint = Endpoint::new(telegram.address, "unused").unwrap();
        let mut connection = Connection::new(telegram.address);
        let body = serde_json::json!({ "chat_id": 5, "text": ledger.text(0) }).to_string();
        for (path, status, part) in [
            ("/bot7:a/getMe", 200, r#""id":7,"is_bot":true"#),
            ("/bot7:a/getWebhookInfo", 200, r#""url":"""#),
            ("/bot7:a/sendMessage", 200, r#""message_id":1"#),
            ("/bot7:a/other", 404, r#""ok":false"#),
            ("/", 404, r#""ok":false"#),
        ] {
            let (got, answer) = connection.send(endpoint.request(path, Some(body.clone())).unwrap()).await.unwrap();
            assert_eq!(got, status, "{path}");
            assert!(std::str::from_utf8(&answer).unwrap().contains(part), "{path}: {answer:?}");
            serde_json::from_slice::<serde_json::Value>(&answer).unwrap();
        }
        assert_eq!(ledger.arrived_so_far(), 1);
    }
}
