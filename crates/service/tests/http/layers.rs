use std::time::Duration;

use reqwest::Method;
use service::auth::Scope;
use service::http::{BodyLimits, HttpOptions, ServerOptions};
use uuid::Uuid;

use crate::support::{Server, problem, token};

async fn start(http: HttpOptions) -> Server {
    Server::start_with(http, ServerOptions::default()).await
}

#[tokio::test]
async fn the_id_of_a_request_is_taken_or_made_and_always_answered() {
    let server = Server::start().await;
    let response = server.get("/health/live").header("x-request-id", "order-17").send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "order-17");
    let response = server.get("/health/live").header("x-request-id", "order 17").send().await.unwrap();
    assert!(Uuid::parse_str(response.headers()["x-request-id"].to_str().unwrap()).is_ok());
    let body = problem(server.get("/nowhere").header("x-request-id", "abc"), 404, "not_found").await;
    assert_eq!((&body["request_id"], &body["instance"]), (&"abc".into(), &"/nowhere".into()));
}

#[tokio::test]
async fn every_response_has_the_headers_of_security() {
    let server = Server::start().await;
    for path in ["/health/live", "/nowhere", "/panic"] {
        let response = server.get(path).send().await.unwrap();
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(response.headers()[name], value, "{path}");
        }
    }
}

#[tokio::test]
async fn a_trace_is_continued() {
    let server = Server::start().await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let onward = server.get("/trace").header("traceparent", parent).send().await.unwrap().text().await.unwrap();
    assert!(onward.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && onward.ends_with("-01"), "{onward}");
    assert!(!onward.contains("b7ad6b7169203331"));
}

#[tokio::test]
async fn a_panic_is_500_and_its_text_stays_inside() {
    let server = Server::start().await;
    let body = problem(server.get("/panic"), 500, "internal").await;
    assert!(!body.to_string().contains("the text of the panic"));
    assert_eq!(server.get("/health/live").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_503() {
    let server = start(HttpOptions { request_time: Duration::from_millis(20), ..HttpOptions::default() }).await;
    problem(server.get("/wait"), 503, "timeout").await;
}

#[tokio::test]
async fn over_the_limit_requests_are_shed_but_probes_pass() {
    let server = start(HttpOptions { concurrency: 1, ..HttpOptions::default() }).await;
    let first = tokio::spawn(server.get("/wait").send());
    server.waiting.entered.notified().await;
    let response = server.get("/trace").send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "1");
    problem(server.get("/trace"), 503, "overloaded").await;
    assert_eq!(server.get("/health/live").send().await.unwrap().status(), 200);
    server.waiting.leave.notify_one();
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(server.get("/trace").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn pages_of_configured_origins_may_call() {
    let origin = "https://console.example.com";
    let server = start(HttpOptions { cors_origins: vec![origin.into()], ..HttpOptions::default() }).await;
    let preflight = server
        .request(Method::OPTIONS, "/private/1")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,idempotency-key")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 200);
    assert_eq!(preflight.headers()["access-control-allow-origin"], origin);
    assert!(preflight.headers()["access-control-allow-headers"].to_str().unwrap().contains("idempotency-key"));
    let refused = server.post("/private/1").header("origin", origin).send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["access-control-allow-origin"]),
        (401, &origin.parse().unwrap())
    );
    let foreign = server.get("/trace").header("origin", "https://evil.example").send().await.unwrap();
    assert!(!foreign.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn everything_can_be_mounted_under_a_base_path() {
    let server = start(HttpOptions { base_path: "/integration-service/".into(), ..HttpOptions::default() }).await;
    assert_eq!(server.get("/integration-service/health/live").send().await.unwrap().status(), 200);
    problem(server.get("/health/live"), 404, "not_found").await;
    problem(server.get("/integration-service/nowhere"), 404, "not_found").await;
    problem(server.post(&format!("/integration-service/private/{}", Uuid::nil())), 401, "unauthorized").await;
}

#[tokio::test]
async fn a_trusted_proxy_tells_the_origin() {
    let trusted = HttpOptions { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..HttpOptions::default() };
    for (options, expected) in [(trusted, "198.51.100.7"), (HttpOptions::default(), "127.0.0.1")] {
        let server = start(options).await;
        let request =
            server.get("/origin").header("x-forwarded-for", "198.51.100.7").header("x-forwarded-proto", "https");
        let origin = request.send().await.unwrap().text().await.unwrap();
        assert!(origin.contains(expected), "{origin}");
    }
}

#[tokio::test]
async fn who_comes_before_what() {
    let server = Server::start().await;
    let path = format!("/private/{}", Uuid::nil());
    let send = |scope| server.post(&path).bearer_auth(token(scope));
    problem(server.post(&path).body("{"), 401, "unauthorized").await;
    problem(send(Scope::IntegrationsRead).body("{"), 403, "forbidden").await;
    problem(server.post("/private/x").bearer_auth(token(Scope::MessagesSend)).body("{"), 400, "invalid_parameter")
        .await;
    problem(send(Scope::MessagesSend).body("{"), 415, "unsupported_media_type").await;
    let response = send(Scope::MessagesSend).json(&serde_json::json!({"text": "hi"})).send().await.unwrap();
    assert_eq!(response.headers()["ratelimit-limit"], "2000");
    assert_eq!(response.text().await.unwrap(), format!("{} 7 hi", Uuid::nil()));
}

#[tokio::test]
async fn head_is_get_without_a_body_and_other_methods_are_405() {
    let server = Server::start().await;
    for (path, status) in [("/health/live", 200), ("/nowhere", 404)] {
        let response = server.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.bytes().await.unwrap(), "");
    }
    let response = server.request(Method::DELETE, "/notes").send().await.unwrap();
    assert_eq!(response.headers()["allow"], "POST, GET, HEAD");
    problem(server.request(Method::DELETE, "/notes"), 405, "method_not_allowed").await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_even_when_the_client_sends_it_all() {
    let body = BodyLimits { bytes: 1000, ..BodyLimits::default() };
    let server = start(HttpOptions { body, ..HttpOptions::default() }).await;
    let request = server.post("/notes").header("content-type", "application/json").body(vec![b' '; 900_000]);
    problem(request, 413, "payload_too_large").await;
}

#[tokio::test]
async fn metrics_are_counted_by_pattern() {
    let metrics = service::metrics::Metrics::install().unwrap();
    let server = Server::start().await;
    let secret_path = format!("/private/{}", Uuid::new_v4());
    server.post(&secret_path).send().await.unwrap();
    server.get("/panic").send().await.unwrap();
    server.get("/some/where").send().await.unwrap();
    let text = metrics.render();
    for line in [
        "api_request_total{endpoint=\"/private/{id}\"} 1",
        "api_request_error_total{endpoint=\"/private/{id}\"} 0",
        "api_request_error_total{endpoint=\"/panic\"} 1",
        "api_request_total{endpoint=\"other\"} 1",
        "integrations_api_responses_total{endpoint=\"/private/{id}\",method=\"POST\",status=\"401\"} 1",
        "api_request_duration_seconds_count{endpoint=\"/panic\"} 1",
    ] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
    assert!(!text.contains(&secret_path) && !text.contains("/some/where"));
}
