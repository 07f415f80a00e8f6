//! Nothing that comes from outside makes a 5xx or is half stored: it is refused, and told what to change.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use service::Code;
use service::auth::{Access, ROUTES, Scope};
use sqlx::AssertSqlSafe;

use crate::common::app::{BOTS, BROADCASTS, Bot, LOGS, MESSAGES, TestApp, USER};
use crate::common::client::{Answer, Client};
use crate::objects::{Objects, Operation, operations};

/// How many rows each table has, but for the leases and statistics, which workers write when they come to it.
async fn rows(app: &TestApp) -> BTreeMap<String, i64> {
    let tables = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&app.pool).await.unwrap();
    let mut rows = BTreeMap::new();
    for table in tables.into_iter().filter(|table| !["sender_leases", "message_stats"].contains(&&**table)) {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count = sqlx::query_scalar(count).fetch_one(&app.pool).await.unwrap();
        rows.insert(table, count);
    }
    rows
}

/// A refusal: a problem with a known code that is the caller's to solve. Returns its body.
fn refusal(answer: &Answer, context: &str) -> Value {
    let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let code = Code::ALL.iter().find(|code| body["code"] == code.name());
    let code = code.unwrap_or_else(|| panic!("{context}: no known code: {} {}", answer.status, answer.text));
    assert!((400..500).contains(&answer.status), "{context}: {} {}", answer.status, answer.text);
    answer.problem(code.status_number(), code.name())
}

fn api_operations() -> Vec<Operation> {
    let document = serde_json::to_value(service::api::openapi::document()).unwrap();
    let mut all = operations(&document);
    // Webhooks have an authentication of their own: see `webhooks.rs`.
    all.retain(|operation| operation.path.starts_with("/api/") && !operation.path.contains("/webhooks/"));
    all
}

/// Somebody who may call the operation.
fn caller(app: &TestApp, operation: &Operation) -> Client {
    let for_admins = ROUTES.iter().any(|route| {
        (route.path, &route.method) == (&*operation.path, &operation.method)
            && route.access == Access::Scope(Scope::Admin)
    });
    if for_admins { app.caller(USER, &[Scope::Admin]) } else { app.user.clone() }
}

fn takes_json(operation: &Operation) -> bool {
    operation.description["requestBody"]["content"]["application/json"].is_object()
}

/// The names of the fields of an operation's body.
fn fields(operation: &Operation) -> Vec<String> {
    let document = serde_json::to_value(service::api::openapi::document()).unwrap();
    let mut schema = &operation.description["requestBody"]["content"]["application/json"]["schema"];
    if let Some(reference) = schema["$ref"].as_str() {
        schema = document.pointer(&reference[1..]).unwrap();
    }
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn bodies_that_are_no_json_of_the_right_shape() {
    let app = TestApp::start().await;
    let objects = Objects::make(&app).await;
    let before = rows(&app).await;
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let json = Some("application/json");
    let mut tried = 0;
    for operation in api_operations().iter().filter(|operation| takes_json(operation)) {
        let path = objects.path(&operation.path);
        let caller = caller(&app, operation);
        let send = async |kind: Option<&str>, body: &[u8]| {
            let mut request = caller.request(operation.method.clone(), &path).body(body.to_vec());
            if let Some(kind) = kind {
                request = request.header("content-type", kind);
            }
            caller.send(request).await
        };
        for kind in [
            None,
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
            Some("application/json; charset=koi8-r"),
        ] {
            send(kind, b"{}").await.problem(415, "unsupported_media_type");
        }
        for body in [
            &b""[..],
            b"{",
            b"null",
            b"[]",
            b"[{}]",
            b"\"text\"",
            b"{\"a\": \"\xc3\x28\"}",
            b"{\"a\": \"x\\u0000\"}",
            b"{\"a\\u0000\": 1}",
            b"{\"a\": 1, \"a\": 2}",
            b"{\"a\": \"\\ud800\"}",
            b"{\"a\": 1e999}",
            b"{} {}",
            deep.as_bytes(),
        ] {
            let answer = send(json, body).await;
            let context =
                format!("{} {path} {}", operation.method, String::from_utf8_lossy(&body[..body.len().min(40)]));
            assert_eq!(refusal(&answer, &context)["code"], "invalid_body", "{context}");
        }
        let limit = if path == BROADCASTS { 16 << 20 } else { 1 << 20 };
        send(json, &vec![b' '; limit + 1]).await.problem(413, "payload_too_large");
        let unknown = send(json, b"{\"nonsense\": 1}").await.problem(400, "invalid_body");
        assert_eq!(unknown["errors"][0]["pointer"], "/nonsense", "{path}");
        for field in fields(operation) {
            let wrong = json!({ &field: [[[]]] }).to_string();
            let problem = send(json, wrong.as_bytes()).await.problem(400, "invalid_body");
            let pointer = problem["errors"][0]["pointer"].as_str().unwrap();
            assert!(pointer == format!("/{field}") || pointer.starts_with(&format!("/{field}/")), "{path}: {problem}");
            tried += 1;
        }
    }
    assert!(tried > 15, "the document has bodies with fields");
    assert_eq!(rows(&app).await, before);
}

#[tokio::test]
async fn ids_that_are_none() {
    let app = TestApp::start().await;
    app.user.get(BOTS).await.ok(200);
    let before = rows(&app).await;
    for operation in api_operations().iter().filter(|operation| operation.path.contains("{id}")) {
        for id in ["x", "%00", "%FF", "%zz", "0198c5e0-7c1a-7b6e-9c7f-2f1d3c4b5a6", &"1".repeat(2000)] {
            let (path, caller) = (operation.path.replace("{id}", id), caller(&app, operation));
            let request = caller.request(operation.method.clone(), &path).json(&json!({}));
            let problem = caller.send(request).await.problem(400, "invalid_parameter");
            assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{path}: {problem}");
        }
    }
    assert_eq!(rows(&app).await, before);
}

#[tokio::test]
async fn parameters_that_are_unknown_or_wrong() {
    let app = TestApp::start().await;
    let objects = Objects::make(&app).await;
    let before = rows(&app).await;
    let mut tried = 0;
    for operation in api_operations() {
        let (path, caller) = (objects.path(&operation.path), caller(&app, &operation));
        let refuse = async |query: String, name: &str| {
            let request = caller.request(operation.method.clone(), &format!("{path}?{query}")).json(&json!({}));
            let problem = caller.send(request).await.problem(400, "invalid_parameter");
            assert_eq!(problem["errors"][0]["pointer"], name, "{path}?{query}: {problem}");
        };
        refuse("nonsense=1".into(), "nonsense").await;
        let parameters = operation.description["parameters"].as_array().cloned().unwrap_or_default();
        for parameter in parameters.iter().filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            for value in ["%00", "%zz", "%", "%FF"] {
                refuse(format!("{name}={value}"), name).await;
            }
            refuse(format!("{name}=1&{name}=1"), name).await;
            for value in wrong_values(&parameter["schema"]) {
                refuse(format!("{name}={value}"), name).await;
            }
            tried += 1;
        }
    }
    assert!(tried > 15, "the document has parameters");
    for (list, query, name) in [
        (MESSAGES, "limit=0", "limit"),
        (MESSAGES, "limit=201", "limit"),
        (BOTS, "cursor=!!!", "cursor"),
        (LOGS, "cursor=AAAA", "cursor"),
        (MESSAGES, "cursor=", "cursor"),
        (MESSAGES, "status=sent,gone", "status"),
        (BOTS, "settings=[]", "settings"),
        (LOGS, "details=%7B", "details"),
    ] {
        let problem = app.user.get(&format!("{list}?{query}")).await.problem(400, "invalid_parameter");
        assert_eq!(problem["errors"][0]["pointer"], name, "{problem}");
    }
    assert_eq!(rows(&app).await, before);
}

/// Values that do not fit the schema of a parameter, as far as it says anything.
fn wrong_values(schema: &Value) -> &'static [&'static str] {
    let text = schema.to_string();
    match () {
        () if text.contains("\"integer\"") => &["", "x", "1.5", "99999999999999999999", "0x10"],
        () if text.contains("\"uuid\"") => &["", "x"],
        () if text.contains("\"date-time\"") => &["", "yesterday", "2030-01-31", "2030-13-01T00:00:00Z"],
        () if text.contains("\"date\"") => &["", "yesterday", "2030-13-01", "2030-01-31T00:00:00Z"],
        () if text.contains("\"$ref\"") || text.contains("\"enum\"") => &["", "nonsense"],
        () => &[],
    }
}

async fn a_bot_and_its_person(app: &TestApp) -> (Bot, i64) {
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    (bot, chat)
}

#[tokio::test]
async fn messages_that_telegram_would_not_take() {
    let app = TestApp::start().await;
    let (bot, chat) = a_bot_and_its_person(&app).await;
    let before = rows(&app).await;
    let button = json!({ "text": "a", "callback_data": "b" });
    let bold = |offset: i64, length: i64| json!([{ "type": "bold", "offset": offset, "length": length }]);
    for (field, value, pointer) in [
        ("text", json!(""), "/text"),
        ("text", json!(" \n\u{2800}"), "/text"),
        ("text", json!("x".repeat(4097)), "/text"),
        ("chat_id", json!(0), "/chat_id"),
        ("chat_id", json!(1_u64 << 52), "/chat_id"),
        ("chat_id", json!(1.5), "/chat_id"),
        ("chat_id", json!("news"), "/chat_id"),
        ("chat_id", json!("@a b"), "/chat_id"),
        ("chat_id", json!(format!("@{}", "a".repeat(33))), "/chat_id"),
        ("chat_id", json!(null), "/chat_id"),
        ("parse_mode", json!("XML"), "/parse_mode"),
        ("entities", bold(0, 100), "/entities/0"),
        ("entities", bold(0, 0), "/entities/0"),
        ("entities", bold(-1, 1), "/entities/0/offset"),
        ("entities", json!([{ "type": "blink", "offset": 0, "length": 1 }]), "/entities/0/type"),
        ("entities", json!([{ "type": "text_link", "offset": 0, "length": 1 }]), "/entities/0"),
        ("entities", json!([{ "type": "bold", "offset": 0, "length": 1, "colour": "red" }]), "/entities/0/colour"),
        ("entities", json!(vec![bold(0, 1)[0].clone(); 101]), "/entities"),
        ("reply_to_message_id", json!(0), "/reply_to_message_id"),
        ("reply_to_message_id", json!(1_u64 << 31), "/reply_to_message_id"),
        ("silent", json!("yes"), "/silent"),
        ("protected", json!(1), "/protected"),
        ("link_preview", json!({ "url": "javascript:x" }), "/link_preview/url"),
        ("link_preview", json!({ "colour": "red" }), "/link_preview/colour"),
        ("buttons", json!([[]]), "/buttons/0"),
        ("buttons", json!([vec![button.clone(); 9]]), "/buttons/0"),
        ("buttons", json!(vec![vec![button.clone(); 8]; 13]), "/buttons"),
        ("buttons", json!([[{ "text": "a" }]]), "/buttons/0/0"),
        ("buttons", json!([[{ "text": "a", "url": "https://a.b", "callback_data": "c" }]]), "/buttons/0/0"),
        ("buttons", json!([[{ "text": "", "callback_data": "c" }]]), "/buttons/0/0/text"),
        ("buttons", json!([[{ "text": "x".repeat(65), "callback_data": "c" }]]), "/buttons/0/0/text"),
        ("buttons", json!([[{ "text": "a", "callback_data": "я".repeat(33) }]]), "/buttons/0/0/callback_data"),
        ("buttons", json!([[{ "text": "a", "url": "ftp://a.b" }]]), "/buttons/0/0/url"),
        ("priority", json!("urgent"), "/priority"),
        ("priority", json!(0), "/priority"),
        ("scheduled_at", json!("tomorrow"), "/scheduled_at"),
        ("scheduled_at", json!(4_102_444_800_u64), "/scheduled_at"),
        ("scheduled_at", json!("2100-01-01T00:00:00Z"), "/scheduled_at"),
    ] {
        let mut body = json!({ "chat_id": chat, "text": "text" });
        body[field] = value;
        let problem = app.user.post(&bot.send_path(), &body).await.problem(400, "invalid_body");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
    for body in [
        json!({ "chat_id": chat }),
        json!({ "text": "x" }),
        json!({ "chat_id": chat, "text": "x", "parse_mode": "HTML", "entities": bold(0, 1) }),
        json!({ "chat_id": chat, "text": "<b>x", "parse_mode": "HTML" }),
        json!({ "chat_id": chat, "text": "a.b", "parse_mode": "MarkdownV2" }),
    ] {
        app.user.post(&bot.send_path(), &body).await.problem(400, "invalid_body");
    }
    assert_eq!((rows(&app).await, app.calls("sendMessage")), (before, 0));
}

#[tokio::test]
async fn bots_that_cannot_be() {
    let app = TestApp::start().await;
    let (bot, _) = a_bot_and_its_person(&app).await;
    let before = rows(&app).await;
    let token = app.new_token();
    let large = json!({ "a": "x".repeat(17 * 1024) });
    for (method, path, body, pointer) in [
        (Method::POST, BOTS, json!({}), "/token"),
        (Method::POST, BOTS, json!({ "token": 5 }), "/token"),
        (Method::POST, BOTS, json!({ "token": token, "settings": large }), "/settings"),
        (Method::POST, BOTS, json!({ "token": token, "settings": null }), "/settings"),
        (Method::POST, BOTS, json!({ "token": token, "take_over": "yes" }), "/take_over"),
        (Method::PATCH, &bot.path(), json!({ "settings": large }), "/settings"),
        (Method::PATCH, &bot.path(), json!({ "is_active": "no" }), "/is_active"),
        (Method::POST, &format!("{}/token", bot.path()), json!({}), "/token"),
    ] {
        let answer = app.user.send(app.user.request(method, path).json(&body)).await;
        let problem = answer.problem(400, "invalid_body");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        assert!(!answer.text.contains(&token), "what was sent is not repeated");
    }
    assert_eq!(rows(&app).await, before);
}

#[tokio::test]
async fn headers_that_are_too_long_or_wrong() {
    let app = TestApp::start().await;
    let (bot, chat) = a_bot_and_its_person(&app).await;
    let before = rows(&app).await;
    let request = || app.user.request(Method::POST, &bot.send_path()).json(&json!({ "chat_id": chat, "text": "x" }));
    for key in [String::new(), "two words".into(), "x".repeat(256), "ключ".into()] {
        let answer = app.user.send(request().header("Idempotency-Key", key.as_bytes())).await;
        assert_eq!(answer.problem(400, "invalid_parameter")["errors"][0]["pointer"], "Idempotency-Key");
    }
    let twice = request().header("Idempotency-Key", "a").header("Idempotency-Key", "b");
    app.user.send(twice).await.problem(400, "invalid_parameter");
    app.user.send(request().header("x-long", "x".repeat(20_000))).await.problem(431, "headers_too_large");
    let many = (0..200).fold(request(), |request, n| request.header(format!("x-{n}"), "x"));
    app.user.send(many).await.problem(431, "headers_too_large");
    app.user.send(request().header("content-encoding", "gzip")).await.problem(415, "unsupported_media_type");
    let two_tokens = request().header("authorization", "Bearer x");
    app.user.send(two_tokens).await.problem(401, "unauthorized");
    assert_eq!(rows(&app).await, before);
}
