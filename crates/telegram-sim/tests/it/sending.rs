//! `getMe` and `sendMessage` as they work.

use reqwest::multipart::Form;
use serde_json::{Value, json};
use telegram_sim::world::{ChatKind, MemberStatus, NewChat};

use crate::client::Fixture;

#[tokio::test]
async fn get_me_by_get_and_post_in_any_case() {
    let f = Fixture::new().await;
    let me = f.ok("getMe", json!({})).await;
    assert_eq!(me["id"], f.bot_id());
    assert_eq!(me["is_bot"], true);
    assert_eq!(me["username"], format!("sim{}_bot", f.bot_id()));
    let by_get: Value = f.http.get(f.url("GETME")).send().await.unwrap().json().await.unwrap();
    assert_eq!(by_get["result"], me);
}

#[tokio::test]
async fn parameters_come_in_every_form() {
    let f = Fixture::new().await;
    let user = f.user.to_string();
    let fields = [("chat_id", user.as_str()), ("text", "héllo & more"), ("disable_notification", "true")];
    let url = f.url("sendMessage");
    let form = Form::new().text("chat_id", user.clone()).text("text", "héllo & more").text("disable_notification", "1");
    let json = json!({ "chat_id": f.user, "text": "héllo & more", "disable_notification": true });
    let encoded = "disable_notification=True&chat_id=".to_owned() + &user + "&text=h%C3%A9llo+%26+more";
    let form_type = ("content-type", "application/x-www-form-urlencoded");
    let requests = [
        f.http.get(reqwest::Url::parse_with_params(&url, &fields).unwrap()),
        f.http.post(&url).header(form_type.0, form_type.1).body(encoded),
        f.http.post(&url).multipart(form),
        f.http.post(&url).json(&json),
        f.http.post(reqwest::Url::parse_with_params(&url, &fields[..1]).unwrap()).json(&json),
    ];
    let count = requests.len();
    for request in requests {
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["result"]["text"], "héllo & more", "{answer}");
    }
    assert_eq!(f.sim.arrived("héllo & more"), count);
    let state = f.sim.world().lock();
    assert!(state.messages().find(&telegram_sim::world::Filter::default()).all(|message| message.body.silent));
}

#[tokio::test]
async fn a_message_comes_back_as_it_was_taken() {
    let f = Fixture::new().await;
    let first = f.send("first").await;
    let sent = f
        .ok(
            "sendMessage",
            json!({
                "chat_id": f.user, "text": "<b>Hi</b> <a href=\"https://example.com/x\">you</a>", "parse_mode": "HTML",
                "reply_parameters": { "message_id": first["message_id"] }, "protect_content": true,
                "link_preview_options": { "is_disabled": true },
                "reply_markup": { "inline_keyboard": [[
                    { "text": "Open", "url": "https://example.com" }, { "text": "Yes", "callback_data": "y" },
                ]] },
            }),
        )
        .await;
    assert_eq!(sent["text"], "Hi you");
    let entities = json!([
        { "type": "bold", "offset": 0, "length": 2 },
        { "type": "text_link", "offset": 3, "length": 3, "url": "https://example.com/x" },
    ]);
    assert_eq!(sent["entities"], entities);
    assert_eq!(sent["reply_to_message"]["text"], "first");
    assert_eq!(sent["has_protected_content"], true);
    assert_eq!(sent["link_preview_options"], json!({ "is_disabled": true }));
    assert_eq!(sent["reply_markup"]["inline_keyboard"][0][1], json!({ "text": "Yes", "callback_data": "y" }));
    assert_eq!((&sent["chat"]["id"], &sent["chat"]["type"]), (&json!(f.user), &json!("private")));
    assert_eq!(sent["from"]["id"], f.bot_id());
}

#[tokio::test]
async fn every_parse_mode_and_supplied_entities_agree() {
    let f = Fixture::new().await;
    let expected = json!([{ "type": "bold", "offset": 3, "length": 4 }]);
    let bodies = [
        json!({ "text": "😀 <b>bold</b>", "parse_mode": "HTML" }),
        json!({ "text": "😀 *bold*", "parse_mode": "MarkdownV2" }),
        json!({ "text": "😀 *bold*", "parse_mode": "Markdown" }),
        json!({ "text": "😀 bold", "entities": [{ "type": "bold", "offset": 3, "length": 4 }] }),
    ];
    for mut body in bodies {
        body["chat_id"] = f.user.into();
        let sent = f.ok("sendMessage", body).await;
        assert_eq!((&sent["text"], &sent["entities"]), (&json!("😀 bold"), &expected));
    }
}

#[tokio::test]
async fn a_channel_is_reached_by_name_and_shows_itself_as_sender() {
    let f = Fixture::new().await;
    let channel = f.sim.world().lock().add_chat(NewChat {
        kind: ChatKind::Channel,
        id: None,
        title: "News".to_owned(),
        username: Some("TheNews".to_owned()),
        members: vec![(f.user, MemberStatus::Creator), (f.bot_id(), MemberStatus::Administrator)],
    });
    let sent = f.ok("sendMessage", json!({ "chat_id": "@thenews", "text": "extra" })).await;
    assert_eq!((&sent["sender_chat"]["id"], &sent["chat"]["id"]), (&json!(channel), &json!(channel)));
    assert_eq!((&sent["from"], &sent["message_id"]), (&Value::Null, &json!(1)));
    let chat = f.ok("getChat", json!({ "chat_id": channel })).await;
    assert_eq!((&chat["title"], &chat["username"]), (&json!("News"), &json!("TheNews")));
    let member = f.ok("getChatMember", json!({ "chat_id": channel, "user_id": f.bot_id() })).await;
    assert_eq!((&member["status"], &member["can_post_messages"]), (&json!("administrator"), &json!(true)));
    assert_eq!(f.ok("getChatMemberCount", json!({ "chat_id": channel })).await, 2);
}

#[tokio::test]
async fn a_message_is_edited_and_deleted() {
    let f = Fixture::new().await;
    let sent = f.send("before").await;
    let at = |text: &str| json!({ "chat_id": f.user, "message_id": sent["message_id"], "text": text });
    let edited = f.ok("editMessageText", at("after")).await;
    assert_eq!(edited["text"], "after");
    assert!(edited["edit_date"].is_number());
    let (status, description) = f.fails("editMessageText", at("after")).await;
    assert_eq!(status, 400);
    assert!(description.starts_with("Bad Request: message is not modified: "), "{description}");
    assert_eq!(f.ok("deleteMessage", at("")).await, true);
    let gone = (400, "Bad Request: message to delete not found".to_owned());
    assert_eq!(f.fails("deleteMessage", at("")).await, gone);
    let gone = (400, "Bad Request: message to edit not found".to_owned());
    assert_eq!(f.fails("editMessageText", at("again")).await, gone);
}
