//! Chats by the control API, and what it shows of messages.

use reqwest::Method;
use reqwest::multipart::Form;
use serde_json::{Value, json};
use telegram_sim::world::{ChatKind, MemberStatus};

use crate::client::{Fixture, part, picture};

#[tokio::test]
async fn a_chat_is_changed_from_outside() {
    let f = Fixture::unlimited().await;
    let chat = f.chat(ChatKind::Supergroup, MemberStatus::Member);
    let path = format!("/chats/{chat}");
    let wishes = json!({
        "title": "Renamed", "about": "About", "username": "renamed_team", "slow_mode": 5, "is_forum": true,
        "protected": true, "permissions": { "photos": false },
    });
    assert_eq!(f.control(Method::PATCH, &path, wishes).await.0, 200);
    let topic = f.set(&format!("{path}/topics"), json!({ "title": "News" })).await;
    let closed = f.control(Method::PATCH, &format!("{path}/topics/{}", topic["id"]), json!({ "closed": true })).await;
    assert_eq!(closed.0, 200);
    let link = f.set(&format!("{path}/invite"), json!({})).await;
    let send = json!({ "chat_id": "@renamed_team", "text": "x", "message_thread_id": topic["id"] });
    assert_eq!(f.fails("sendMessage", send.clone()).await, (400, "Bad Request: TOPIC_CLOSED".to_owned()));
    assert_eq!(f.control(Method::DELETE, &format!("{path}/topics/{}", topic["id"]), Value::Null).await.0, 200);
    assert_eq!(f.fails("sendMessage", send).await, (400, "Bad Request: message thread not found".to_owned()));

    let bot = f.bot_id();
    let standing = json!({ "status": "restricted", "permissions": {
        "messages": true, "photos": false, "videos": false, "documents": false, "audios": false, "voices": false,
        "polls": false, "other": false,
    } });
    assert_eq!(f.control(Method::PUT, &format!("{path}/members/{bot}"), standing).await.0, 200);
    let own = f.ok("getChatMember", json!({ "chat_id": chat, "user_id": bot })).await;
    assert_eq!((&own["can_send_messages"], &own["can_send_polls"]), (&json!(true), &json!(false)));

    let chats = f.read("/chats").await;
    let shown = chats.as_array().unwrap().iter().find(|shown| shown["id"] == chat).unwrap();
    for (name, value) in [("title", "Renamed"), ("username", "renamed_team"), ("about", "About")] {
        assert_eq!(shown[name], value);
    }
    assert_eq!((&shown["slow_mode"], &shown["invite_link"]), (&json!(5), &link["link"]));
    let set = f.http.put(format!("{}{path}/photo", f.sim.control_url()));
    let photo: Value = set.body(picture(100)).send().await.unwrap().json().await.unwrap();
    let bytes = f.http.get(format!("{}/files/{}", f.sim.control_url(), photo["file_id"])).send().await.unwrap();
    assert_eq!(bytes.bytes().await.unwrap(), picture(100));
    assert_eq!(f.control(Method::DELETE, &path, Value::Null).await.0, 200);
    assert_eq!(f.control(Method::DELETE, &path, Value::Null).await.0, 404);
    let (status, refusal) = f.control(Method::PATCH, "/chats/-5", json!({})).await;
    assert_eq!((status, &refusal["error"]), (404, &json!("there is no chat -5")));
}

#[tokio::test]
async fn messages_show_what_they_carry() {
    let f = Fixture::unlimited().await;
    let form = Form::new()
        .text("chat_id", f.user.to_string())
        .text("caption", "a caption")
        .text("has_spoiler", "true")
        .part("photo", part("a.png", picture(100)));
    let photo = f.form_ok("sendPhoto", form).await;
    f.ok("sendPoll", json!({ "chat_id": f.user, "question": "Tea?", "options": ["yes", "no"] })).await;
    f.ok("sendLocation", json!({ "chat_id": f.user, "latitude": 1, "longitude": 2 })).await;
    f.ok("pinChatMessage", json!({ "chat_id": f.user, "message_id": photo["message_id"] })).await;
    let list = f.read("/messages").await;
    let [file, poll, place] = &list["messages"].as_array().unwrap()[..] else { panic!("three expected: {list}") };
    let media = &file["media"];
    assert_eq!((&media["kind"], &media["name"], &media["size"]), (&json!("photo"), &json!("a.png"), &json!(100)));
    assert_eq!((&media["width"], &media["spoiler"]), (&json!(32), &json!(true)));
    assert_eq!(media["sha256"], telegram_sim::world::Content::from(&picture(100)[..]).sha256);
    assert_eq!((&file["text"], &file["pinned"], &file["edits"]), (&json!("a caption"), &json!(true), &json!(0)));
    assert_eq!(poll["poll"]["options"], json!(["yes", "no"]));
    assert_eq!(place["location"]["longitude"], 2.0);
    let all = f.read("/messages?service=true").await;
    assert_eq!(all["messages"][3]["service"], json!({ "pinned": photo["message_id"] }));
    let key = format!("{}_{}", f.user, f.bot_id());
    let page = f.read(&format!("/page/chats/{key}")).await;
    assert_eq!((&page["messages"][0]["preview"], page["messages"].as_array().unwrap().len()), (&json!(true), 4));

    let uid = &file["uid"];
    let edit = json!({ "text": "other words" });
    assert_eq!(f.control(Method::PATCH, &format!("/messages/{uid}"), edit).await.1["edits"], 1);
    assert_eq!(f.control(Method::DELETE, &format!("/messages/{uid}"), Value::Null).await.0, 200);
    assert_eq!(f.control(Method::DELETE, &format!("/messages/{uid}"), Value::Null).await.0, 404);
    let settings = f.control(Method::PATCH, "/settings", json!({ "keep_file_bytes": 7 })).await.1;
    assert_eq!(settings["keep_file_bytes"], 7);
    assert_eq!(f.set("/files/expire", json!({})).await["ok"], true);
}
