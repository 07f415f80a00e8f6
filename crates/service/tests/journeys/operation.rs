//! What operators and browsers see.

use serde_json::{Value, json};
use service::Code;

use crate::common::app::{BOTS, TestApp};

#[tokio::test]
async fn health_tells_life_and_each_dependency() {
    let app = TestApp::start().await;
    let nobody = app.bearer(None);
    assert_eq!(nobody.get("/health/live").await.ok(200)["status"], "ok");
    let ready = nobody.get("/health/ready").await.ok(200);
    assert_eq!(ready["status"], "ok");
    let states: Vec<(&str, &str)> = ready["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dependency| (dependency["name"].as_str().unwrap(), dependency["status"].as_str().unwrap()))
        .collect();
    let names = ["database", "broker", "cache", "keys", "telegram_bot_api", "worker"];
    assert_eq!(states, names.map(|name| (name, "ok")));
}

#[tokio::test]
async fn metrics_have_the_names_of_the_document() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    app.until(app.send(&bot, app.person(&bot), "x").await, "sent").await;
    app.until(app.send(&bot, 1, "x").await, "failed").await;
    let text = app.bearer(None).get("/metrics").await.text;
    for line in [
        "telegram_messages_sent_total{type=\"bot\"} ",
        "telegram_messages_error_total{type=\"bot\"} ",
        "celery_tasks_total{queue=\"mid\"} ",
        "celery_tasks_error_total{queue=\"mid\"} ",
        "api_request_total{endpoint=\"/api/integrations/telegram/bots/{id}/send\"} ",
        "api_request_error_total{endpoint=\"/api/integrations/telegram/bots/{id}/send\"} ",
        "api_request_duration_seconds_bucket{endpoint=\"/api/integrations/telegram/bots\",le=",
        "telegram_sessions_total{type=\"account\"} ",
        "telegram_sessions_active{type=\"account\"} ",
        "telegram_sessions_error{type=\"account\"} ",
        "integrations_delivery_seconds_bucket{le=\"1\"} ",
    ] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
    let without_sessions = text.lines().filter(|line| !line.starts_with("integrations_session_up{"));
    assert!(!without_sessions.collect::<String>().contains(&bot.id.to_string()), "an id is no label");
}

#[tokio::test]
async fn the_documentation_is_complete_and_needs_no_other_host() {
    let app = TestApp::start().await;
    let nobody = app.bearer(None);
    for path in ["/docs/", "/docs/errors", "/docs/swagger-initializer.js", "/docs/swagger-ui.css"] {
        let answer = nobody.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        let outside = ["src=\"http", "href=\"http", "src=\"//", "href=\"//", "@import"];
        assert!(!outside.iter().any(|link| answer.text.contains(link)), "{path} loads something from elsewhere");
    }
    let errors = nobody.get("/docs/errors").await.text;
    for code in Code::ALL {
        assert!(errors.contains(code.name()), "{} is not explained", code.name());
    }
}

#[tokio::test]
async fn a_user_who_asks_too_much_is_slowed_down_alone() {
    let limits = [("INTEGRATIONS_LIMITS__USER_RPS", "1"), ("INTEGRATIONS_LIMITS__USER_BURST", "2")];
    let app = TestApp::start_with(&limits).await;
    let answers = [app.user.get(BOTS).await, app.user.get(BOTS).await, app.user.get(BOTS).await];
    answers[0].ok(200);
    assert_eq!((answers[0].header("ratelimit-limit"), answers[0].header("ratelimit-remaining")), ("2", "1"));
    let refused = answers.iter().find(|answer| answer.status == 429).expect("one of three is too many");
    refused.problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), "1");
    app.user(8).get(BOTS).await.ok(200);
}

#[tokio::test]
async fn pages_of_other_origins_may_call_if_they_are_named() {
    let app = TestApp::start_with(&[("INTEGRATIONS_HTTP__CORS_ORIGINS", "https://app.example.com")]).await;
    for (origin, allowed) in [("https://app.example.com", true), ("https://evil.example", false)] {
        let answer = app.user.send(app.user.request(reqwest::Method::GET, BOTS).header("origin", origin)).await;
        assert_eq!(answer.headers.contains_key("access-control-allow-origin"), allowed, "{origin}");
    }
}

#[tokio::test]
async fn everything_works_below_a_base_path() {
    let app = TestApp::start_with(&[("INTEGRATIONS_HTTP__BASE_PATH", "/integration-service")]).await;
    app.user.get(BOTS).await.problem(404, "not_found");
    let below = format!("/integration-service{BOTS}");
    let token = app.new_token();
    app.user.post(&below, &json!({ "token": token })).await.ok(201);
    assert_eq!(app.user.get(&below).await.ok(200)["items"].as_array().map(Vec::len), Some(1));
    let docs = app.user.get("/integration-service/docs/swagger-initializer.js").await;
    assert!(docs.status == 200 && docs.text.contains("../openapi.json"), "{}", docs.text);
    app.user.get("/integration-service/openapi.json").await.ok(200);
}

#[tokio::test]
async fn the_trace_of_a_request_is_stored_with_its_message() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let body = json!({ "chat_id": app.person(&bot), "text": "traced" });
    let request = app.user.request(reqwest::Method::POST, &bot.send_path()).json(&body);
    let request = request.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let message = crate::common::app::id_of(&app.user.send(request.header("x-request-id", "r-1")).await.ok(202));
    let sent = app.until(message, "sent").await;
    assert_eq!(sent["request_id"], "r-1");
    let trace: Value = sqlx::query_scalar::<_, Option<String>>("SELECT traceparent FROM messages")
        .fetch_one(&app.pool)
        .await
        .unwrap()
        .into();
    assert!(trace.as_str().unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{trace}");
}
