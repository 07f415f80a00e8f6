//! Files from addresses that users give: fetched, and never from where users may not look.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::app::{TestApp, id_of};
use crate::common::client::Answer;

const FETCH: &str = "/api/integrations/files/fetch";
/// Loopback as a network that the operator allows.
const OPEN: (&str, &str) = ("INTEGRATIONS_EGRESS__ALLOW", "127.0.0.0/8");

/// A server that counts who asks it.
struct Site {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Site {
    async fn start(router: Router) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let router = router.layer(axum::middleware::map_request(move |request: axum::extract::Request| {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(request)
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn fetch(app: &TestApp, url: &str) -> Answer {
    app.user.post(FETCH, &json!({ "url": url })).await
}

fn with(headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let response = headers.iter().fold(Response::builder(), |response, (name, value)| response.header(*name, *value));
    response.body(body.into()).unwrap()
}

fn redirect(to: &str) -> Response {
    (StatusCode::FOUND, [("location", to.to_owned())]).into_response()
}

#[tokio::test]
async fn a_file_is_fetched_with_its_name_and_type() {
    let app = TestApp::start_with(&[OPEN]).await;
    let router = Router::new()
        .route("/a/%D1%8F.txt", get(|| async { with(&[("content-type", "text/plain; charset=utf-8")], "hello") }))
        .route("/named", get(|| async { with(&[("content-disposition", "attachment; filename=\"../n.csv\"")], "a,b") }))
        .route("/once", get(|| async { redirect("/twice?x=1#y") }))
        .route("/twice", get(|| async { redirect("/named") }));
    let site = Site::start(router).await;
    let file = fetch(&app, &site.url("/a/%D1%8F.txt?token=secret#part")).await.ok(201);
    assert_eq!(
        (&file["name"], &file["media_type"], &file["size_bytes"]),
        (&json!("я.txt"), &json!("text/plain"), &json!(5))
    );
    let content = app.user.get(&format!("/api/integrations/files/{}/content", id_of(&file))).await;
    assert_eq!(content.text, "hello");
    assert_eq!(fetch(&app, &site.url("/once")).await.ok(201)["name"], "n.csv");
    let body = json!({ "url": site.url("/named"), "name": "mine.csv" });
    assert_eq!(app.user.post(FETCH, &body).await.ok(200)["name"], "mine.csv");
}

#[tokio::test]
async fn where_users_may_not_look_nobody_is_asked() {
    let app = TestApp::start().await;
    let site = Site::start(Router::new().route("/", get(|| async { "an inner secret" }))).await;
    let port = site.address.port();
    for url in [
        site.url("/"),
        format!("http://localhost:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        "http://localhost/".into(),
        "http://169.254.169.254/latest/meta-data/".into(),
        "http://10.0.0.1/".into(),
        "http://[::1]/".into(),
        "ftp://example.com/".into(),
        "file:///etc/passwd".into(),
        "http://user:w0rd@example.com/".into(),
        "http://example.com:25/".into(),
        "nonsense".into(),
    ] {
        let answer = fetch(&app, &url).await;
        answer.problem(422, "url_refused");
        assert!(!answer.text.contains("127.0.0.1") && !answer.text.contains("w0rd"), "{}", answer.text);
    }
    assert_eq!(site.asked(), 0);
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM files").fetch_one(&app.pool).await.unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn each_redirect_is_judged_anew_and_there_are_few() {
    // One loopback address is allowed, the others are not.
    let app = TestApp::start_with(&[("INTEGRATIONS_EGRESS__ALLOW", "127.0.0.1/32")]).await;
    let inner = TcpListener::bind("127.0.0.2:0").unwrap();
    inner.set_nonblocking(true).unwrap();
    let inner_url = format!("http://{}/", inner.local_addr().unwrap());
    let to_inner = inner_url.clone();
    let router = Router::new()
        .route("/inside", get(move || async move { redirect(&to_inner) }))
        .route("/metadata", get(|| async { redirect("http://169.254.169.254/") }))
        .route("/file", get(|| async { redirect("file:///etc/passwd") }))
        .route("/user", get(|| async { redirect("http://a:b@127.0.0.1/") }))
        .route("/loop", get(|| async { redirect("/loop") }))
        .route("/nowhere", get(|| async { StatusCode::FOUND }))
        .route("/1", get(|| async { redirect("/2") }))
        .route("/2", get(|| async { redirect("/3") }))
        .route("/3", get(|| async { redirect("/4") }))
        .route("/4", get(|| async { "here" }));
    let site = Site::start(router).await;
    for path in ["/inside", "/metadata", "/file", "/user"] {
        fetch(&app, &site.url(path)).await.problem(422, "url_refused");
    }
    fetch(&app, &inner_url).await.problem(422, "url_refused");
    assert_eq!(inner.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody came");
    let before = site.asked();
    fetch(&app, &site.url("/loop")).await.problem(422, "url_refused");
    assert_eq!(site.asked() - before, 4, "three redirects are followed");
    fetch(&app, &site.url("/nowhere")).await.problem(422, "url_unreachable");
    fetch(&app, &site.url("/1")).await.ok(201);
}

#[tokio::test]
async fn what_cannot_be_fetched_says_why() {
    let settings = [
        OPEN,
        ("INTEGRATIONS_FILES__MAX_BYTES", "1000"),
        ("INTEGRATIONS_FILES__STALL_SECONDS", "1"),
        ("INTEGRATIONS_FILES__TRANSFER_SECONDS", "3"),
    ];
    let app = TestApp::start_with(&settings).await;
    let drip = || {
        let piece = |()| async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            Some((Ok::<_, std::io::Error>("x"), ()))
        };
        Body::from_stream(futures::stream::unfold((), piece))
    };
    let stops = || {
        let first = futures::stream::once(async { Ok::<_, std::io::Error>("x") });
        Body::from_stream(futures::StreamExt::chain(first, futures::stream::pending()))
    };
    let breaks = || {
        let pieces = [Ok("x"), Err(std::io::Error::other("gone"))];
        Body::from_stream(futures::stream::iter(pieces))
    };
    let endless = || Body::from_stream(futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b'x'; 100])));
    let router = Router::new()
        .route("/missing", get(|| async { (StatusCode::NOT_FOUND, "an inner page") }))
        .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/empty", get(|| async { "" }))
        .route("/large", get(|| async { "x".repeat(1001) }))
        .route("/endless", get(move || async move { with(&[], endless()) }))
        .route("/zip", get(|| async { with(&[("content-encoding", "gzip")], "x") }))
        .route("/picture", get(|| async { with(&[("content-type", "image/png")], "<html>Log in</html>") }))
        .route("/silent", get(|| async { std::future::pending::<&str>().await }))
        .route("/stops", get(move || async move { with(&[], stops()) }))
        .route("/drip", get(move || async move { with(&[], drip()) }))
        .route("/breaks", get(move || async move { with(&[], breaks()) }));
    let site = Site::start(router).await;
    for (path, status, code) in [
        ("/missing", 422, "url_unreachable"),
        ("/broken", 422, "url_unreachable"),
        ("/empty", 400, "invalid_body"),
        ("/large", 413, "file_too_large"),
        ("/endless", 413, "file_too_large"),
        ("/zip", 422, "url_unreachable"),
        ("/picture", 422, "file_type_mismatch"),
        ("/silent", 422, "fetch_timed_out"),
        ("/stops", 422, "fetch_timed_out"),
        ("/drip", 422, "fetch_timed_out"),
        ("/breaks", 422, "url_unreachable"),
    ] {
        let answer = fetch(&app, &site.url(path)).await;
        answer.problem(status, code);
        assert!(!answer.text.contains("inner"), "{}", answer.text);
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fetch(&app, &format!("http://{closed}/")).await.problem(422, "url_unreachable");
    fetch(&app, &format!("https://{}/", site.address)).await.problem(422, "url_unreachable");
    fetch(&app, "http://no-such-host.invalid/").await.problem(422, "url_unreachable");
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM files").fetch_one(&app.pool).await.unwrap();
    assert_eq!(rows, 0);
    let body: Value = json!({ "name": "x" });
    app.user.post(FETCH, &body).await.problem(400, "invalid_body");
    app.user.send(app.user.request(Method::GET, FETCH)).await.problem(405, "method_not_allowed");
}
