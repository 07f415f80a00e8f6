//! `sendMediaGroup`.

use reqwest::multipart::Form;
use serde_json::{Value, json};
use telegram_sim::world::{ChatKind, MemberStatus, Permissions};

use crate::client::{Fixture, part, picture};

impl Fixture {
    async fn album(&self, chat: i64, media: &Value) -> (u16, Value) {
        let form = Form::new()
            .text("chat_id", chat.to_string())
            .text("media", media.to_string())
            .part("one", part("1.png", picture(100)))
            .part("two", part("2.mp4", "a video"))
            .part("three", part("3.txt", "a document"));
        self.form("sendMediaGroup", form).await
    }
}

#[tokio::test]
async fn an_album_arrives_together() {
    let f = Fixture::new().await;
    let media = json!([
        { "type": "photo", "media": "attach://one", "caption": "*A*", "parse_mode": "MarkdownV2", "has_spoiler": true,
          "show_caption_above_media": true },
        { "type": "video", "media": "attach://two", "width": 4, "height": 3, "duration": 2, "supports_streaming": true },
        { "type": "photo", "media": "attach://one", "caption": "plain",
          "caption_entities": [{ "type": "italic", "offset": 0, "length": 2 }] },
    ]);
    let (status, answer) = f.album(f.user, &media).await;
    assert_eq!(status, 200, "{answer}");
    let sent = answer["result"].as_array().unwrap();
    assert_eq!(sent.len(), 3);
    assert!(sent[0]["media_group_id"].is_string());
    assert!(sent.iter().all(|message| message["media_group_id"] == sent[0]["media_group_id"]));
    assert_eq!((&sent[0]["caption"], &sent[0]["caption_entities"][0]["type"]), (&json!("A"), &json!("bold")));
    assert_eq!((&sent[0]["has_media_spoiler"], &sent[0]["show_caption_above_media"]), (&json!(true), &json!(true)));
    assert_eq!(sent[1]["video"]["duration"], 2);
    assert_eq!(sent[2]["caption_entities"], json!([{ "type": "italic", "offset": 0, "length": 2 }]));
    assert_eq!(f.download(&sent[2]["photo"][0]["file_id"]).await, picture(100));
    // An album counts as one message.
    let again: Vec<Value> = sent.iter().map(|message| message["photo"][0]["file_id"].clone()).collect();
    let by_id = json!([{ "type": "photo", "media": again[0] }, { "type": "photo", "media": again[2] }]);
    for _ in 0..4 {
        assert_eq!(f.album(f.user, &by_id).await.0, 200);
    }
    let one = f.album(f.user, &json!([{ "type": "photo", "media": again[0] }])).await;
    assert_eq!(one.0, 429, "{one:?}");
}

#[tokio::test]
async fn what_cannot_be_an_album_is_refused_whole() {
    let f = Fixture::unlimited().await;
    let photo = json!({ "type": "photo", "media": "attach://one" });
    let document = json!({ "type": "document", "media": "attach://three" });
    let parse = "can't parse InputMedia: ";
    let cases = [
        (json!([]), "there are no messages to send".to_owned()),
        (json!({}), "expected an Array of InputMedia".to_owned()),
        (Value::from(vec![photo.clone(); 11]), "too many messages to send as an album".to_owned()),
        (json!([photo, document]), "document can't be mixed with other media types".to_owned()),
        (
            json!([{ "type": "audio", "media": "attach://two" }, photo]),
            "audio can't be mixed with other media types".to_owned(),
        ),
        (
            json!([photo, { "type": "animation", "media": "attach://two" }]),
            format!("{parse}type \"animation\" can't be used in sendMediaGroup"),
        ),
        (json!([photo, { "type": "sticker", "media": "x" }]), format!("{parse}type \"sticker\" is unsupported")),
        (json!([photo, { "type": "photo", "media": "attach://none" }]), format!("{parse}media not found")),
        (json!([photo, { "type": "photo" }]), format!("{parse}Can't find field \"media\"")),
        (json!([photo, 5]), format!("{parse}expected an Object")),
        (
            json!([photo, { "type": "photo", "media": "attach://three" }]),
            "failed to send message #2 with the error message \"IMAGE_PROCESS_FAILED\"".to_owned(),
        ),
    ];
    for (media, expected) in cases {
        let (status, answer) = f.album(f.user, &media).await;
        assert_eq!((status, &answer["description"]), (400, &json!(format!("Bad Request: {expected}"))), "{media}");
    }
    assert_eq!(f.sim.world().lock().messages().arrived(), 0);
    let (status, answer) = f.album(f.user, &json!([document, document])).await;
    assert_eq!((status, answer["result"].as_array().map(Vec::len)), (200, Some(2)));
    // One alone is no album.
    let (_, answer) = f.album(f.user, &json!([photo])).await;
    assert_eq!(answer["result"][0]["media_group_id"], Value::Null, "{answer}");
    let group = f.chat(ChatKind::Supergroup, MemberStatus::Member);
    f.sim.world().lock().chat_mut(group).unwrap().permissions = Permissions { videos: false, ..Permissions::default() };
    let (_, answer) = f.album(group, &json!([photo, { "type": "video", "media": "attach://two" }])).await;
    assert_eq!(answer["description"], "Bad Request: not enough rights to send videos to the chat");
}
