//! Files: every kind, by upload and by identifier, and what is refused.

use reqwest::multipart::Form;
use serde_json::{Value, json};

use crate::client::{Fixture, part, picture};

#[tokio::test]
async fn every_kind_of_file_is_taken_and_comes_back_byte_for_byte() {
    let f = Fixture::unlimited().await;
    let cases: [(&str, &str, &str, &str, Value); 6] = [
        ("sendPhoto", "photo", "a.png", "image/png", json!({ "width": 32, "height": 16 })),
        ("sendVideo", "video", "b.mp4", "video/mp4", json!({ "width": 640, "height": 360, "duration": 7 })),
        ("sendDocument", "document", "ц.pdf", "application/pdf", json!({ "file_name": "ц.pdf" })),
        ("sendAudio", "audio", "d.mp3", "audio/mpeg", json!({ "duration": 7, "title": "T", "performer": "P" })),
        ("sendVoice", "voice", "e.ogg", "audio/ogg", json!({ "duration": 7 })),
        ("sendAnimation", "animation", "f.gif", "image/gif", json!({ "width": 640, "duration": 7 })),
    ];
    for (method, field, name, mime, expected) in cases {
        let content = [picture(3000), name.as_bytes().to_vec()].concat();
        let form = Form::new()
            .text("chat_id", f.user.to_string())
            .text("caption", "<b>A</b> caption")
            .text("parse_mode", "HTML")
            .text("width", "640")
            .text("height", "360")
            .text("duration", "7")
            .text("title", "T")
            .text("performer", "P")
            .part(field.to_owned(), part(name, content.clone()))
            .part("thumbnail", part("t.png", picture(200)));
        let sent = f.form_ok(method, form).await;
        assert_eq!((&sent["caption"], &sent["text"]), (&json!("A caption"), &Value::Null));
        assert_eq!(sent["caption_entities"], json!([{ "type": "bold", "offset": 0, "length": 1 }]));
        let file = if field == "photo" { &sent[field][0] } else { &sent[field] };
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&file[name], value, "{method} {name}: {sent}");
        }
        assert_eq!(file["file_size"], content.len());
        assert_eq!(f.download(&file["file_id"]).await, content, "{method}");
        if field != "photo" {
            assert_eq!((&file["mime_type"], &file["thumbnail"]["width"]), (&json!(mime), &json!(32)));
        }

        let again = f.ok(method, json!({ "chat_id": f.user, field: file["file_id"], "has_spoiler": true })).await;
        let second = if field == "photo" { &again[field][0] } else { &again[field] };
        assert_eq!(second["file_unique_id"], file["file_unique_id"]);
        let hides = matches!(field, "photo" | "video" | "animation");
        assert_eq!(again["has_media_spoiler"], if hides { json!(true) } else { Value::Null });
        let state = f.sim.world().lock();
        let stored = state.messages().by_uid(state.messages().arrived()).unwrap().body.media.clone().unwrap();
        assert_eq!((stored.kind.name(), stored.size), (field, content.len() as u64));
        assert_eq!(stored.sha256, telegram_sim::world::Content::from(&content[..]).sha256);
    }
}

#[tokio::test]
async fn files_are_named_by_attach_and_by_identifier() {
    let f = Fixture::unlimited().await;
    let form = Form::new()
        .text("chat_id", f.user.to_string())
        .text("document", "attach://there")
        .part("there", part("a.txt", "content"));
    let sent = f.form_ok("sendDocument", form).await;
    let id = sent["document"]["file_id"].as_str().unwrap();
    let other = f.sim.add_bot();
    f.sim.world().lock().start_bot(f.user, telegram_sim::bot_api::token_bot_id(&other).unwrap());
    let url = format!("{}/bot{other}/sendDocument", f.sim.bot_api_url());
    let foreign = f.http.post(url).json(&json!({ "chat_id": f.user, "document": id })).send().await.unwrap();
    let foreign: Value = foreign.json().await.unwrap();
    assert_eq!(foreign["description"], "Bad Request: wrong file identifier/HTTP URL specified");

    let cases = [
        ("sendDocument", json!({}), "there is no document in the request"),
        ("sendDocument", json!({ "document": "attach://missing" }), "there is no document in the request"),
        (
            "sendDocument",
            json!({ "document": "no id" }),
            "wrong remote file identifier specified: Wrong character in the string",
        ),
        (
            "sendDocument",
            json!({ "document": "AgAD" }),
            "wrong remote file identifier specified: can't unserialize it. Wrong last symbol",
        ),
        ("sendDocument", json!({ "document": "https://example.com/a" }), "failed to get HTTP URL content"),
        ("sendPhoto", json!({ "photo": id }), "can't use file of type Document as Photo"),
        ("sendDocument", json!({ "document": id, "caption": "x".repeat(1025) }), "message caption is too long"),
        ("getFile", json!({ "file_id": "AgAD" }), "invalid file_id"),
        ("getFile", json!({}), "file_id not specified"),
    ];
    for (method, mut body, expected) in cases {
        body["chat_id"] = f.user.into();
        assert_eq!(f.fails(method, body).await, (400, format!("Bad Request: {expected}")));
    }
    f.ok("sendDocument", json!({ "chat_id": f.user, "document": id, "caption": "я".repeat(1024) })).await;
    // All kinds of documents stand for each other, and the file stays what it was.
    let as_video = f.ok("sendVideo", json!({ "chat_id": f.user, "video": id })).await;
    assert_eq!(as_video["document"]["file_name"], "a.txt");
    let path = format!("{}/file/bot{}/documents/file_1.txt", f.sim.bot_api_url(), f.token);
    let missing = f.http.get(path).send().await.unwrap();
    assert_eq!((missing.status().as_u16(), missing.json::<Value>().await.unwrap()["description"].clone()), {
        (404, json!("Not Found"))
    });
}

#[tokio::test]
async fn what_is_no_photo_is_refused_as_one() {
    let f = Fixture::unlimited().await;
    let wide = [&picture(24)[..16], &9001u32.to_be_bytes(), &16u32.to_be_bytes(), b"\x08\x06\0\0\0"].concat();
    let cases = [
        (b"not a picture".to_vec(), "IMAGE_PROCESS_FAILED".to_owned()),
        (wide, "PHOTO_INVALID_DIMENSIONS".to_owned()),
        (Vec::new(), "file must be non-empty".to_owned()),
        (
            picture((10 << 20) + 1),
            "file of size 10485761 bytes is too big for a photo; the maximum size is 10485760 bytes".to_owned(),
        ),
    ];
    for (content, expected) in cases {
        let form = Form::new().text("chat_id", f.user.to_string()).part("photo", part("a.png", content));
        let (status, answer) = f.form("sendPhoto", form).await;
        assert_eq!((status, &answer["description"]), (400, &json!(format!("Bad Request: {expected}"))));
    }
    assert_eq!(f.sim.world().lock().messages().arrived(), 0);
    assert_eq!(f.sim.world().lock().files().count(), 0);
}

#[tokio::test]
async fn a_large_file_is_hashed_and_only_a_small_one_kept() {
    let f = Fixture::unlimited().await;
    let content = vec![7; (1 << 20) + 1];
    let upload = async |content: Vec<u8>| {
        let form = Form::new().text("chat_id", f.user.to_string()).part("document", part("a.bin", content));
        f.form("sendDocument", form).await
    };
    let (_, sent) = upload(content.clone()).await;
    let file = &sent["result"]["document"];
    let unavailable = (400, "Bad Request: wrong file_id or the file is temporarily unavailable".to_owned());
    assert_eq!(f.fails("getFile", json!({ "file_id": file["file_id"] })).await, unavailable);
    assert_eq!(file["file_size"], content.len());
    f.sim.world().lock().files_mut().set_keep_bytes(content.len());
    let (_, sent) = upload(content.clone()).await;
    assert_eq!(f.download(&sent["result"]["document"]["file_id"]).await, content);

    let (status, refused) = upload(vec![7; 50 << 20]).await;
    assert_eq!((status, &refused["description"]), (413, &json!("Request Entity Too Large")));
    let (status, sent) = upload(vec![7; (50 << 20) - 4096]).await;
    assert_eq!(status, 200, "{sent}");
    let too_big = (400, "Bad Request: file is too big".to_owned());
    assert_eq!(f.fails("getFile", json!({ "file_id": sent["result"]["document"]["file_id"] })).await, too_big);
}
