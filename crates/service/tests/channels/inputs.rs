//! Bodies that cannot be.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::common::app::TestApp;
use crate::stage::{CHANNELS, channel, connect, via_bot};

#[tokio::test]
async fn each_is_refused_with_the_place_of_what_is_wrong() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let news = connect(&app, &bot, channel(&app, "News", &[&bot])).await;
    let via = via_bot(&bot);
    let large = json!({ "a": "x".repeat(17 * 1024) });
    let (senders, send) = (format!("{}/senders", news.path()), news.send_path());
    let connecting = |more: serde_json::Value| {
        let mut body = json!({ "via": via, "channel": "@news_of_us" });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    for (method, path, body, pointer) in [
        (Method::POST, CHANNELS, json!({ "channel": "@news_of_us" }), "/via"),
        (Method::POST, CHANNELS, json!({ "via": via }), "/channel"),
        (Method::POST, CHANNELS, connecting(json!({ "via": {} })), "/via"),
        (Method::POST, CHANNELS, connecting(json!({ "via": { "bot_id": bot.id, "account_id": bot.id } })), "/via"),
        (Method::POST, CHANNELS, connecting(json!({ "via": { "bot_id": "x" } })), "/via/bot_id"),
        (Method::POST, CHANNELS, connecting(json!({ "via": { "bot_id": Uuid::now_v7() } })), "/via/bot_id"),
        (Method::POST, CHANNELS, connecting(json!({ "via": { "account_id": bot.id } })), "/via/account_id"),
        (Method::POST, CHANNELS, connecting(json!({ "channel": "news" })), "/channel"),
        (Method::POST, CHANNELS, connecting(json!({ "channel": "https://example.com/news_of_us" })), "/channel"),
        (Method::POST, CHANNELS, connecting(json!({ "channel": "https://t.me/+79161234567" })), "/channel"),
        (Method::POST, CHANNELS, connecting(json!({ "channel": 0 })), "/channel"),
        (Method::POST, CHANNELS, connecting(json!({ "channel": 1_u64 << 52 })), "/channel"),
        (Method::POST, CHANNELS, connecting(json!({ "channel": 1.5 })), "/channel"),
        (Method::POST, CHANNELS, connecting(json!({ "channel": null })), "/channel"),
        (Method::POST, CHANNELS, connecting(json!({ "join": "yes" })), "/join"),
        (Method::POST, CHANNELS, connecting(json!({ "settings": large })), "/settings"),
        (Method::POST, CHANNELS, connecting(json!({ "settings": { "silent": 1 } })), "/settings/silent"),
        (Method::POST, CHANNELS, connecting(json!({ "settings": { "footer": "" } })), "/settings/footer"),
        (
            Method::POST,
            CHANNELS,
            connecting(json!({ "settings": { "preferred_sender_id": Uuid::now_v7() } })),
            "/settings/preferred_sender_id",
        ),
        (Method::PATCH, &news.path(), json!({ "settings": large }), "/settings"),
        (Method::PATCH, &news.path(), json!({ "settings": { "footer": 5 } }), "/settings/footer"),
        (Method::PATCH, &news.path(), json!({ "is_active": "no" }), "/is_active"),
        (Method::PATCH, &news.path(), json!({ "senders": [Uuid::now_v7()] }), "/senders/0"),
        (Method::PATCH, &news.path(), json!({ "senders": [bot.id, bot.id] }), "/senders/1"),
        (Method::POST, &senders, json!({}), ""),
        (Method::POST, &senders, json!({ "account_id": bot.id }), "/account_id"),
        (Method::POST, &send, json!({ "chat_id": 5, "text": "x" }), "/chat_id"),
        (Method::POST, &send, json!({ "text": "" }), "/text"),
        (Method::POST, &send, json!({ "text": "x", "parse_mode": "XML" }), "/parse_mode"),
        (Method::POST, &bot.send_path(), json!({ "text": "x" }), "/chat_id"),
    ] {
        let answer = app.user.send(app.user.request(method, path).json(&body)).await;
        let problem = answer.problem(400, "invalid_body");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
    let nobody = format!("{senders}/{}", Uuid::now_v7());
    app.user.delete(&nobody).await.problem(404, "not_found");
    assert_eq!(app.user.list(CHANNELS).await.len(), 1);
    assert_eq!(app.calls("sendMessage"), 0);
}
