//! Each kind of content arrives as it was sent, by both ways.

use serde_json::{Value, json};
use telegram_sim::world::{Media, MediaKind};
use uuid::Uuid;

use crate::stage::{File, Stage, Way, film, gif, picture, report, song, voice};

/// Sends a file as this field, and returns what arrived of it.
async fn send_file(stage: &Stage, way: &Way, field: &str, file: &File, with: Value) -> (Media, Value) {
    let mut medium = with;
    medium["file_id"] = json!(stage.store(file).await);
    let sent = stage
        .sent(way, &json!({ field: medium, "caption": "see <b>this</b> 😀", "parse_mode": "HTML", "silent": true }))
        .await;
    let arrived = stage.last(way);
    assert_eq!(sent["platform_message_id"], arrived.id, "{field} by {}", way.kind);
    assert_eq!((arrived.body.text.as_str(), arrived.body.silent), ("see this 😀", true));
    let entities = json!([{ "type": "bold", "offset": 4, "length": 4 }]);
    assert_eq!(json!(arrived.body.entities), entities, "{field} by {}", way.kind);
    let media = arrived.body.media.clone().expect("a file arrived");
    assert_eq!((&media.sha256, media.size), (&file.sha256(), file.bytes.len() as u64), "{field} by {}", way.kind);
    (media, json!({ "above": arrived.body.caption_above }))
}

#[tokio::test]
async fn pictures_and_films() {
    let stage = Stage::set().await;
    for way in stage.ways() {
        let with = json!({ "spoiler": true, "caption_above": true });
        let (photo, shown) = send_file(&stage, &way, "photo", &picture(), with).await;
        assert_eq!(
            (photo.kind, photo.spoiler, &shown["above"]),
            (MediaKind::Photo, true, &json!(true)),
            "{}",
            way.kind
        );
        let with = json!({ "width": 640, "height": 360, "duration": 9, "spoiler": true });
        let (video, _) = send_file(&stage, &way, "video", &film(), with).await;
        assert_eq!((video.kind, video.width, video.height), (MediaKind::Video, Some(640), Some(360)), "{}", way.kind);
        assert_eq!((video.duration, video.spoiler, video.name.as_str()), (Some(9), true, "film.mp4"), "{}", way.kind);
        let (animation, _) = send_file(&stage, &way, "animation", &gif(), json!({ "spoiler": true })).await;
        assert_eq!((animation.kind, animation.spoiler), (MediaKind::Animation, true), "{}", way.kind);
    }
}

#[tokio::test]
async fn sound_and_other_files() {
    let stage = Stage::set().await;
    for way in stage.ways() {
        let with = json!({ "title": "Song", "performer": "Band", "duration": 200 });
        let (audio, _) = send_file(&stage, &way, "audio", &song(), with).await;
        assert_eq!((audio.kind, audio.duration), (MediaKind::Audio, Some(200)), "{}", way.kind);
        assert_eq!((audio.title.as_deref(), audio.performer.as_deref()), (Some("Song"), Some("Band")), "{}", way.kind);
        let (note, _) = send_file(&stage, &way, "voice", &voice(), json!({ "duration": 3 })).await;
        assert_eq!((note.kind, note.duration), (MediaKind::Voice, Some(3)), "{}", way.kind);
        let with = json!({ "name": "Отчёт \"за\" год.pdf" });
        let (document, _) = send_file(&stage, &way, "document", &report(), with).await;
        assert_eq!(
            (document.kind, document.mime_type.as_str()),
            (MediaKind::Document, "application/pdf"),
            "{}",
            way.kind
        );
        assert!(document.name.starts_with("Отчёт"), "{} by {}", document.name, way.kind);
        // A film as a file stays a file.
        let (document, _) = send_file(&stage, &way, "document", &film(), json!({})).await;
        assert_eq!(document.kind, MediaKind::Document, "{}", way.kind);
    }
}

#[tokio::test]
async fn albums() {
    let stage = Stage::set().await;
    for way in stage.ways() {
        let files = [picture(), film(), picture()];
        let mut items = Vec::new();
        for (index, file) in files.iter().enumerate() {
            let kind = if index == 1 { "video" } else { "photo" };
            items.push(json!({
                "type": kind, "file_id": stage.store(file).await, "caption": format!("<i>{index}</i>"), "parse_mode": "HTML",
            }));
        }
        let sent = stage.sent(&way, &json!({ "album": items })).await;
        let arrived = stage.arrived(&way);
        assert_eq!(arrived.len(), 3, "{}", way.kind);
        let album = arrived[0].body.album;
        for (index, (message, file)) in arrived.iter().zip(&files).enumerate() {
            assert!(album.is_some() && message.body.album == album, "{}", way.kind);
            assert_eq!(message.body.media.as_ref().unwrap().sha256, file.sha256(), "{}", way.kind);
            assert_eq!((message.body.text.as_str(), message.body.entities.len()), (&*index.to_string(), 1));
            let part = &sent["parts"][index];
            assert_eq!(part["platform_message_id"], message.id, "{}", way.kind);
            let bare = stage.chat.unsigned_abs() - 1_000_000_000_000;
            assert_eq!(part["link"], format!("https://t.me/c/{bare}/{}", message.id));
        }
        assert_eq!((&sent["link"], &sent["platform_message_id"]), (&sent["parts"][0]["link"], &json!(arrived[0].id)));
    }
}

#[tokio::test]
async fn albums_of_documents() {
    let stage = Stage::set().await;
    for way in stage.ways() {
        let (first, second) = (report(), report());
        let items = json!([
            { "type": "document", "file_id": stage.store(&first).await },
            { "type": "document", "file_id": stage.store(&second).await },
        ]);
        stage.sent(&way, &json!({ "album": items })).await;
        let sums: Vec<String> =
            stage.arrived(&way).iter().map(|message| message.body.media.clone().unwrap().sha256).collect();
        assert_eq!(sums, [first.sha256(), second.sha256()], "{}", way.kind);
    }
}

#[tokio::test]
async fn polls_and_places() {
    let stage = Stage::set().await;
    for way in stage.ways() {
        let poll = json!({ "question": "Lunch?", "answers": ["yes", "no"], "public": true, "multiple": true });
        stage.sent(&way, &json!({ "poll": poll })).await;
        let arrived = stage.last(&way).body.poll.clone().unwrap();
        assert_eq!((arrived.question.as_str(), &arrived.options), ("Lunch?", &vec!["yes".to_owned(), "no".to_owned()]));
        assert!(!arrived.anonymous && arrived.multiple && !arrived.quiz, "{}", way.kind);
        let quiz = json!({
            "question": "2 + 2?", "answers": ["3", "4"], "correct": 1, "explanation": "Count.", "open_seconds": 60,
        });
        stage.sent(&way, &json!({ "poll": quiz })).await;
        let arrived = stage.last(&way).body.poll.clone().unwrap();
        assert!(arrived.quiz && arrived.anonymous && arrived.correct == [1], "{arrived:?} by {}", way.kind);
        assert_eq!((arrived.explanation.as_deref(), arrived.open_period), (Some("Count."), Some(60)), "{}", way.kind);
        stage.sent(&way, &json!({ "location": { "latitude": 59.93, "longitude": 30.31, "accuracy": 20 } })).await;
        let place = stage.last(&way).body.location.unwrap();
        assert!((place.latitude - 59.93).abs() < 1e-6 && (place.longitude - 30.31).abs() < 1e-6, "{place:?}");
        assert_eq!(place.accuracy, Some(20.0), "{}", way.kind);
    }
}

#[tokio::test]
async fn forwards_and_copies() {
    let stage = Stage::set().await;
    for way in stage.ways() {
        let mut ids = Vec::new();
        for text in ["one", "two"] {
            ids.push(stage.sent(&way, &json!({ "text": text })).await["platform_message_id"].clone());
        }
        let forward = |ids: &[Value], as_copy: bool| json!({ "forward": { "from_chat_id": stage.chat, "message_ids": ids, "as_copy": as_copy } });
        let before = stage.arrived(&way).len();
        let sent = stage.sent(&way, &forward(&ids, false)).await;
        let arrived = stage.arrived(&way);
        let texts: Vec<&str> = arrived[before..].iter().map(|message| message.body.text.as_str()).collect();
        assert_eq!(texts, ["one", "two"], "{}", way.kind);
        assert!(arrived[before..].iter().all(|message| message.body.forwarded.is_some()), "{}", way.kind);
        assert_eq!(sent["parts"].as_array().unwrap().len(), 2);
        stage.sent(&way, &forward(&ids[..1], true)).await;
        let copy = stage.last(&way);
        assert_eq!((copy.body.text.as_str(), copy.body.forwarded), ("one", None), "{}", way.kind);
        stage.sent(&way, &forward(&ids, true)).await;
        assert_eq!(stage.last(&way).body.text, "two");
        stage.sent(&way, &forward(&ids[1..], false)).await;
        assert!(stage.last(&way).body.forwarded.is_some());
    }
}

#[tokio::test]
async fn topics_and_replies() {
    let stage = Stage::set().await;
    let topic = {
        let mut world = stage.app.sim.world().lock();
        world.change_chat(stage.chat, |chat| chat.is_forum = true);
        world.add_topic(stage.chat, "News", stage.account.user).unwrap()
    };
    for way in stage.ways() {
        let first = stage.sent(&way, &json!({ "text": "in the topic", "topic_id": topic })).await;
        assert_eq!(stage.last(&way).body.thread, Some(topic), "{}", way.kind);
        let body = json!({
            "photo": { "file_id": stage.store(&picture()).await }, "topic_id": topic, "protected": true,
            "reply_to_message_id": first["platform_message_id"],
        });
        stage.sent(&way, &body).await;
        let arrived = stage.last(&way);
        assert_eq!(arrived.body.thread, Some(topic), "{}", way.kind);
        assert_eq!(json!(arrived.body.reply_to), first["platform_message_id"], "{}", way.kind);
        assert!(arrived.body.protected, "{}", way.kind);
        let lost = stage.send(&way, &json!({ "text": "nowhere", "topic_id": 999_999 })).await;
        let failed = stage.app.until(lost, "failed").await;
        assert!(failed["error_code"].as_str().unwrap().starts_with("topic_"), "{failed} by {}", way.kind);
    }
}

#[tokio::test]
async fn buttons_below_a_picture() {
    let stage = Stage::set().await;
    let buttons = json!([[{ "text": "Go", "url": "https://a.example/" }]]);
    let photo = json!({ "file_id": stage.store(&picture()).await });
    stage.sent(&stage.bot, &json!({ "photo": photo, "buttons": buttons })).await;
    assert_eq!(json!(stage.last(&stage.bot).body.buttons), buttons);
}

/// The id of a file that nobody has.
pub fn nothing() -> Uuid {
    Uuid::now_v7()
}
