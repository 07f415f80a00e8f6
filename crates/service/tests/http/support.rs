//! A server with a few routes, on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::routing::{get, post};
use reqwest::{Method, RequestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service::Error;
use service::auth::rate::Rate;
use service::auth::{Access, Gate, Identity, Route, Scope, TokenOptions, UserLimiter, Verifier, mint};
use service::http::{Client, HttpOptions, Json, Limit, Path, Query, ServerOptions, TraceContext, layers, serve};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const fn route(method: Method, path: &'static str, access: Access) -> Route {
    Route { method, path, access }
}

const ROUTES: &[Route] = &[
    route(Method::GET, "/health/live", Access::Public),
    route(Method::GET, "/origin", Access::Public),
    route(Method::GET, "/trace", Access::Public),
    route(Method::GET, "/panic", Access::Public),
    route(Method::GET, "/wait", Access::Public),
    route(Method::POST, "/notes", Access::Public),
    route(Method::GET, "/notes", Access::Public),
    route(Method::POST, "/private/{id}", Access::Scope(Scope::MessagesSend)),
];

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    limit: Limit,
}

/// Lets the handler of `/wait` go on.
#[derive(Clone, Default)]
pub struct Waiting {
    pub entered: Arc<Notify>,
    pub leave: Arc<Notify>,
}

fn routes(waiting: Waiting) -> Router {
    let wait = move || async move {
        waiting.entered.notify_one();
        waiting.leave.notified().await;
        "done"
    };
    Router::new()
        .route("/health/live", get(|| async { "alive" }))
        .route("/origin", get(|Extension(client): Extension<Client>| async move { format!("{client:?}") }))
        .route("/trace", get(|Extension(trace): Extension<TraceContext>| async move { trace.traceparent() }))
        .route("/panic", get(panics))
        .route("/wait", get(wait))
        .route("/notes", post(|note: Json<Note>| async { note }).get(list))
        .route("/private/{id}", post(private))
}

async fn panics() -> Result<(), Error> {
    panic!("the text of the panic")
}

async fn list(Query(list): Query<List>) -> String {
    list.limit.get().to_string()
}

async fn private(Path(id): Path<Uuid>, identity: Identity, Json(note): Json<Note>) -> String {
    format!("{id} {} {}", identity.user_id, note.text)
}

fn token_options() -> TokenOptions {
    TokenOptions { secret: Some("0123456789abcdef0123456789abcdef".into()), ..TokenOptions::default() }
}

/// A token of user 7.
pub fn token(scope: Scope) -> String {
    mint(&token_options(), 7, [scope].into_iter().collect(), Duration::from_mins(5)).unwrap()
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    pub waiting: Waiting,
    pub shutdown: CancellationToken,
    pub task: JoinHandle<()>,
    client: reqwest::Client,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(HttpOptions::default(), ServerOptions::default()).await
    }

    pub async fn start_with(http: HttpOptions, server: ServerOptions) -> Self {
        let verifier = Verifier::new(&token_options()).unwrap();
        let gate =
            Gate { routes: ROUTES, verifier, limiter: Rate::new(1000, 2000).map(|rate| UserLimiter::new(rate, None)) };
        let waiting = Waiting::default();
        let router = layers(routes(waiting.clone()), &http, Arc::new(gate)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listener, router, server, shutdown.clone()));
        Self { address, waiting, shutdown, task, client: reqwest::Client::new() }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }
}

/// Sends a request and expects a problem of this status and code. Returns its body.
pub async fn problem(request: RequestBuilder, status: u16, code: &str) -> Value {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let (actual, id) = (response.status().as_u16(), response.headers()["x-request-id"].to_str().unwrap().to_owned());
    let body: Value = response.json().await.unwrap();
    assert_eq!((actual, body["code"].as_str().unwrap()), (status, code), "{body}");
    assert_eq!(body["status"], status);
    assert_eq!(body["type"], format!("/docs/errors#{code}"));
    assert_eq!(body["request_id"], id);
    body
}

/// Sends bytes over a connection of its own and reads all that comes back.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
