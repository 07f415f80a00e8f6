//! Nothing that comes from outside makes a 5xx: each is refused with a text that says what to change.

use serde_json::{Value, json};

use crate::support::{Server, problem, raw};

#[tokio::test]
async fn bad_bodies_are_explained() {
    let server = Server::start().await;
    let deep = format!(r#"{{"text": {}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let cases: [(&[u8], &str, &str); 10] = [
        (b"", "", "not valid JSON"),
        (b"{\"text\":", "", "not valid JSON"),
        (b"{\"text\": \"\xc3\x28\"}", "", "not UTF-8"),
        (br#"{"text": "a\u0000b"}"#, "/text", "NUL"),
        (br#"{"text": "\ud800"}"#, "", "not valid JSON"),
        (br#"{"text": "a", "text": "b"}"#, "/text", "twice"),
        (br#"{"txt": "a"}"#, "/txt", "did you mean `text`?"),
        (br#"{"text": 1e999}"#, "", "not valid JSON"),
        (br#"{"text": {"a": 1}}"#, "/text", "must be a string, not an object"),
        (deep.as_bytes(), "/text", "32 levels"),
    ];
    for (body, pointer, message) in cases {
        let request = server.post("/notes").header("content-type", "application/json").body(body.to_vec());
        let answer = problem(request, 400, "invalid_body").await;
        assert!(answer["detail"].as_str().unwrap().contains(message), "{answer}");
        if !pointer.is_empty() {
            assert!(answer["errors"][0]["pointer"].as_str().unwrap().starts_with(pointer), "{answer}");
        }
    }
}

#[tokio::test]
async fn bad_parameters_are_explained() {
    let server = Server::start().await;
    for (query, name) in
        [("limit=0", "limit"), ("limt=1", "limt"), ("limit=%zz", "limit"), ("limit=1&limit=2", "limit")]
    {
        let answer = problem(server.get(&format!("/notes?{query}")), 400, "invalid_parameter").await;
        assert_eq!(answer["errors"][0]["pointer"], name, "{answer}");
    }
    assert_eq!(server.get("/notes?limit=3").send().await.unwrap().text().await.unwrap(), "3");
}

#[tokio::test]
async fn other_content_types_are_explained() {
    let server = Server::start().await;
    let form = server.post("/notes").header("content-type", "application/x-www-form-urlencoded").body("text=a");
    let answer = problem(form, 415, "unsupported_media_type").await;
    assert!(answer["detail"].as_str().unwrap().contains("application/json"));
    let good = server.post("/notes").json(&json!({"text": "ok"})).send().await.unwrap();
    assert_eq!(good.json::<Value>().await.unwrap(), json!({"text": "ok"}));
}

fn body_of(answer: &str) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    assert!(head.contains("x-request-id: "), "{head}");
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn heads_that_are_too_large_are_431() {
    let server = Server::start().await;
    let long = format!("GET /health/live HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n", "x".repeat(300_000));
    let many = format!("GET /health/live HTTP/1.1\r\nhost: a\r\n{}\r\n", "x-many: 1\r\n".repeat(500));
    for request in [long, many] {
        let body = body_of(&raw(server.address, request.as_bytes()).await);
        assert_eq!((&body["status"], &body["code"]), (&431.into(), &"headers_too_large".into()));
    }
}

#[tokio::test]
async fn requests_that_are_not_http_are_400() {
    let server = Server::start().await;
    for request in [
        &b"GET /health/live HTTP/1.1\r\nhost: a\r\nbad header: 1\r\n\r\n"[..],
        b"GET /health/live HTTP/1.1\r\nhost: a\r\nx-nul: a\0b\r\n\r\n",
        b"GET /health/live HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01 this is TLS \r\n\r\n",
        b"POST /notes HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
    ] {
        let answer = raw(server.address, request).await;
        let body = body_of(&answer);
        assert_eq!((&body["status"], &body["code"]), (&400.into(), &"malformed_request".into()), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_harms_nobody() {
    let server = Server::start().await;
    let request = b"POST /notes HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    let answer = raw(server.address, request).await;
    assert_eq!(body_of(&answer)["code"], "malformed_request");
    assert_eq!(server.get("/health/live").send().await.unwrap().status(), 200);
}
