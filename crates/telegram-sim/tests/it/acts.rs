//! Editing, deleting, pinning, forwarding and copying.

use reqwest::multipart::Form;
use serde_json::{Value, json};
use telegram_sim::world::{Body, ChatKind, Filter, Member, MemberStatus, Place, Rights};

use crate::client::{Fixture, part, picture};

fn bad(what: &str) -> (u16, String) {
    (400, format!("Bad Request: {what}"))
}

impl Fixture {
    async fn photo(&self, chat: i64) -> Value {
        let form = Form::new()
            .text("chat_id", chat.to_string())
            .text("caption", "before")
            .part("photo", part("a.png", picture(64)));
        self.form_ok("sendPhoto", form).await
    }
}

#[tokio::test]
async fn each_part_of_a_message_is_edited() {
    let f = Fixture::unlimited().await;
    let (photo, text) = (f.photo(f.user).await, f.send("text").await);
    let at = |message: &Value, more: Value| {
        let mut body = json!({ "chat_id": f.user, "message_id": message["message_id"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let caption = json!({ "caption": "<i>after</i>", "parse_mode": "HTML" });
    let edited = f.ok("editMessageCaption", at(&photo, caption.clone())).await;
    assert_eq!((&edited["caption"], &edited["caption_entities"][0]["type"]), (&json!("after"), &json!("italic")));
    assert!(edited["edit_date"].is_number());
    let (_, same) = f.fails("editMessageCaption", at(&photo, caption)).await;
    assert!(same.starts_with("Bad Request: message is not modified: "), "{same}");
    let buttons = json!({ "reply_markup": { "inline_keyboard": [[{ "text": "a", "callback_data": "b" }]] } });
    let edited = f.ok("editMessageReplyMarkup", at(&photo, buttons.clone())).await;
    assert_eq!((&edited["caption"], &edited["reply_markup"]), (&json!("after"), &buttons["reply_markup"]));
    let edited = f.ok("editMessageReplyMarkup", at(&photo, json!({}))).await;
    assert_eq!(edited["reply_markup"], Value::Null);

    let media = json!({ "type": "document", "media": "attach://new", "caption": "a document now" });
    let form = Form::new()
        .text("chat_id", f.user.to_string())
        .text("message_id", photo["message_id"].to_string())
        .text("media", media.to_string())
        .part("new", part("b.txt", "bytes"));
    let edited = f.form_ok("editMessageMedia", form).await;
    assert_eq!((&edited["document"]["file_name"], &edited["photo"]), (&json!("b.txt"), &Value::Null));
    assert_eq!((&edited["caption"], edited["message_id"] == photo["message_id"]), (&json!("a document now"), true));

    for (method, message, more, expected) in [
        ("editMessageText", &photo, json!({ "text": "x" }), "there is no text in the message to edit"),
        ("editMessageCaption", &text, json!({ "caption": "x" }), "there is no caption in the message to edit"),
        ("editMessageCaption", &json!({ "message_id": 999 }), json!({}), "message to edit not found"),
        ("editMessageMedia", &photo, json!({}), "can't parse InputMedia: expected an Object"),
    ] {
        assert_eq!(f.fails(method, at(message, more)).await, bad(expected));
    }
    let foreign = f.sim.world().lock().send(f.user, f.bot_id(), Body::default()).unwrap().id;
    let foreign = at(&json!({ "message_id": foreign }), json!({ "text": "x" }));
    assert_eq!(f.fails("editMessageText", foreign).await, bad("message can't be edited"));
    let state = f.sim.world().lock();
    let counts: Vec<u32> = state.messages().find(&Filter::default()).map(|message| message.edits).collect();
    assert_eq!(counts, [4, 0, 0]);
}

#[tokio::test]
async fn rights_decide_who_edits_deletes_and_pins() {
    let f = Fixture::unlimited().await;
    let none = Rights { post: false, edit: false, delete: false, pin: false, ..Rights::default() };
    let cases = [
        (ChatKind::Channel, none, false, false, false),
        (ChatKind::Channel, Rights { post: true, ..none }, false, false, false),
        (ChatKind::Channel, Rights { edit: true, ..none }, true, false, true),
        (ChatKind::Channel, Rights { delete: true, ..none }, false, true, false),
        (ChatKind::Supergroup, Rights { pin: true, ..none }, false, false, true),
        (ChatKind::Supergroup, Rights { delete: true, ..none }, false, true, false),
    ];
    for (kind, rights, edits, deletes, pins) in cases {
        let chat = f.chat(kind, MemberStatus::Administrator);
        let foreign = {
            let mut world = f.sim.world().lock();
            let member = Member { rights, ..Member::new(MemberStatus::Administrator) };
            world.set_member(chat, f.bot_id(), member, f.user);
            world.send(f.user, chat, Body::default()).unwrap().id
        };
        let body = json!({ "chat_id": chat, "message_id": foreign, "text": "x" });
        let results = [
            ("pinChatMessage", pins, "not enough rights to manage pinned messages in the chat"),
            ("editMessageText", edits, "message can't be edited"),
            ("deleteMessage", deletes, "message can't be deleted"),
        ];
        for (method, may, refusal) in results {
            let (status, answer) = f.call(method, body.clone()).await;
            assert_eq!(status, if may { 200 } else { 400 }, "{kind:?} {rights:?} {method}: {answer}");
            if !may {
                assert_eq!(answer["description"], format!("Bad Request: {refusal}"));
            }
        }
    }
}

#[tokio::test]
async fn pins_are_shown_and_told() {
    let f = Fixture::unlimited().await;
    let group = f.chat(ChatKind::Supergroup, MemberStatus::Administrator);
    let ids: Vec<Value> = {
        let mut ids = Vec::new();
        for text in ["one", "two"] {
            ids.push(f.ok("sendMessage", json!({ "chat_id": group, "text": text })).await["message_id"].clone());
        }
        ids
    };
    for id in &ids {
        f.ok("pinChatMessage", json!({ "chat_id": group, "message_id": id, "disable_notification": true })).await;
    }
    let pinned = async || f.ok("getChat", json!({ "chat_id": group })).await["pinned_message"]["text"].clone();
    assert_eq!(pinned().await, "two");
    let updates = f.ok("getUpdates", json!({})).await;
    assert_eq!(updates[0]["message"]["pinned_message"]["text"], "one", "{updates}");
    f.ok("unpinChatMessage", json!({ "chat_id": group })).await;
    assert_eq!(pinned().await, "one");
    f.ok("unpinAllChatMessages", json!({ "chat_id": group })).await;
    assert_eq!(pinned().await, Value::Null);
    let gone = json!({ "chat_id": group, "message_id": 999 });
    assert_eq!(f.fails("pinChatMessage", gone.clone()).await, bad("message to pin not found"));
    assert_eq!(f.fails("unpinChatMessage", gone).await, bad("message to unpin not found"));
}

#[tokio::test]
async fn messages_are_forwarded_and_copied() {
    let f = Fixture::unlimited().await;
    let channel = f.chat(ChatKind::Channel, MemberStatus::Administrator);
    let post = f.photo(channel).await;
    let body = json!({ "chat_id": f.user, "from_chat_id": channel, "message_id": post["message_id"] });
    let forwarded = f.ok("forwardMessage", body.clone()).await;
    let origin = &forwarded["forward_origin"];
    assert_eq!((&origin["type"], &origin["chat"]["id"]), (&json!("channel"), &json!(channel)));
    assert_eq!((&origin["message_id"], &forwarded["caption"]), (&post["message_id"], &json!("before")));
    let mut with_caption = body.clone();
    with_caption["caption"] = "mine".into();
    let copied = f.ok("copyMessage", with_caption).await;
    assert_eq!(copied.as_object().unwrap().len(), 1, "{copied}");
    let messages = f.sim.world().lock().messages().history(Place::seen_by(f.user, f.bot_id())).next().cloned();
    let copy = messages.unwrap();
    assert_eq!((copy.body.text.as_str(), copy.body.forwarded), ("mine", None));

    let text = f.ok("sendMessage", json!({ "chat_id": channel, "text": "secret", "protect_content": true })).await;
    let both = json!({
        "chat_id": f.user, "from_chat_id": channel, "message_ids": [post["message_id"], text["message_id"], 999],
    });
    assert_eq!(f.ok("forwardMessages", both.clone()).await.as_array().unwrap().len(), 1);
    assert_eq!(f.ok("copyMessages", both).await.as_array().unwrap().len(), 1);
    for (method, id, expected) in [
        ("forwardMessage", &text["message_id"], "the message can't be forwarded"),
        ("copyMessage", &text["message_id"], "the message can't be copied"),
        ("forwardMessage", &json!(999), "message to forward not found"),
        ("copyMessage", &json!(999), "message to copy not found"),
    ] {
        let body = json!({ "chat_id": f.user, "from_chat_id": channel, "message_id": id });
        assert_eq!(f.fails(method, body).await, bad(expected));
    }
}

#[tokio::test]
async fn several_are_deleted_and_what_is_gone_is_skipped() {
    let f = Fixture::unlimited().await;
    let (one, two) = (f.send("one").await, f.send("two").await);
    let ids = json!([one["message_id"], two["message_id"], 999]);
    assert_eq!(f.ok("deleteMessages", json!({ "chat_id": f.user, "message_ids": ids })).await, true);
    assert_eq!(f.sim.world().lock().messages().find(&Filter::default()).count(), 0);
    let none = json!({ "chat_id": f.user, "message_ids": [] });
    assert_eq!(f.fails("deleteMessages", none).await, bad("message identifiers are not specified"));
}
