//! Connect a bot, send a message, see it arrive as it was written.

use serde_json::{Value, json};

use crate::common::TestApp;
use crate::common::app::{BOTS, LOGS, USER};

#[tokio::test]
async fn connect_send_sent() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let message = app.send(&bot, chat, "hi").await;
    let sent = app.until(message, "sent").await;
    assert_eq!(app.arrived("hi"), 1);
    assert_eq!(sent["platform_message_id"], app.arrivals(&bot, chat)[0].id);
    assert_eq!((&sent["chat_id"], &sent["sender_id"]), (&json!(chat), &json!(bot.id)));
    assert_eq!((&sent["attempts"], &sent["attempt_list"][0]["outcome"]), (&json!(1), &json!("sent")));
    assert_eq!((&sent["error_code"], &sent["user_id"]), (&Value::Null, &json!(USER)));
}

#[tokio::test]
async fn a_connected_bot_is_described_and_logged() {
    let app = TestApp::start().await;
    let token = app.new_token();
    let answer = app.user.post(BOTS, &json!({ "token": token, "settings": { "team": "sales" } })).await;
    let bot = answer.ok(201);
    let telegram_id: i64 = token.split(':').next().unwrap().parse().unwrap();
    assert_eq!(answer.header("location"), format!("{BOTS}/{}", bot["id"].as_str().unwrap()));
    assert_eq!((&bot["telegram_bot_id"], &bot["user_id"]), (&json!(telegram_id), &json!(USER)));
    assert_eq!(bot["username"], format!("sim{telegram_id}_bot"));
    assert_eq!((&bot["status"], &bot["is_active"], &bot["webhook"]), (&json!("active"), &json!(true), &Value::Null));
    assert_eq!(bot["settings"], json!({ "team": "sales" }));
    let log = &app.user.list(LOGS).await[0];
    assert_eq!((&log["action"], &log["status"]), (&json!("connect"), &json!("success")));
    assert_eq!(log["details"]["bot_id"], bot["id"]);
    let again = app.user.post(BOTS, &json!({ "token": token })).await.problem(409, "bot_already_connected");
    assert!(again["detail"].as_str().unwrap().contains(bot["id"].as_str().unwrap()));
    let other = app.user(8).post(BOTS, &json!({ "token": token })).await.problem(409, "bot_already_connected");
    assert!(!other["detail"].as_str().unwrap().contains(bot["id"].as_str().unwrap()));
}

#[tokio::test]
async fn a_message_arrives_with_all_that_it_carries() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let first = app.send(&bot, chat, "the question").await;
    let answered = app.until(first, "sent").await["platform_message_id"].clone();
    let body = json!({
        "chat_id": chat,
        "text": "😀 <b>bold</b> and <a href=\"https://example.com/a\">a link</a>",
        "parse_mode": "HTML",
        "reply_to_message_id": answered,
        "silent": true,
        "protected": true,
        "link_preview": { "url": "https://example.com/b", "prefer_small_media": true, "show_above_text": true },
        "buttons": [
            [{ "text": "open", "url": "https://example.com/c" }, { "text": "yes", "callback_data": "answer:1" }],
            [{ "text": "no", "callback_data": "answer:0" }],
        ],
    });
    app.until(app.send_body(&bot, &body).await, "sent").await;
    let arrived = json!(app.arrivals(&bot, chat)[1].body);
    assert_eq!(arrived["text"], "😀 bold and a link");
    let entities = json!([
        { "type": "bold", "offset": 3, "length": 4 },
        { "type": "text_link", "offset": 12, "length": 6, "url": "https://example.com/a" },
    ]);
    assert_eq!(arrived["entities"], entities);
    assert_eq!((&arrived["reply_to"], &arrived["silent"]), (&answered, &json!(true)));
    assert_eq!((&arrived["protected"], &arrived["link_preview"]), (&json!(true), &body["link_preview"]));
    assert_eq!(arrived["buttons"], body["buttons"]);
}

#[tokio::test]
async fn entities_can_be_given_and_markdown_can_be_written() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let entities = json!([{ "type": "pre", "offset": 0, "length": 4, "language": "rust" }]);
    let given = json!({ "chat_id": chat, "text": "code here", "entities": entities });
    app.until(app.send_body(&bot, &given).await, "sent").await;
    let markdown = json!({ "chat_id": chat, "text": "*fat* _thin_ \\.", "parse_mode": "MarkdownV2" });
    app.until(app.send_body(&bot, &markdown).await, "sent").await;
    let bodies: Vec<Value> = app.arrivals(&bot, chat).iter().map(|message| json!(message.body)).collect();
    assert_eq!((&bodies[0]["text"], &bodies[0]["entities"]), (&json!("code here"), &entities));
    assert_eq!(bodies[1]["text"], "fat thin .");
    assert_eq!(bodies[1]["entities"][1], json!({ "type": "italic", "offset": 4, "length": 4 }));
}

#[tokio::test]
async fn a_text_of_4096_characters_arrives_and_one_more_is_refused() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let longest = "ы".repeat(4095) + "😀";
    app.until(app.send(&bot, chat, &longest).await, "sent").await;
    assert_eq!(app.arrived(&longest), 1);
    let body = json!({ "chat_id": chat, "text": longest + "!" });
    let problem = app.user.post(&bot.send_path(), &body).await.problem(400, "invalid_body");
    assert_eq!(problem["errors"][0]["pointer"], "/text");
}
