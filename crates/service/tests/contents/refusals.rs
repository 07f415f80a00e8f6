//! What cannot be sent is refused when it is offered, and the caller is told what to change.

use serde_json::{Value, json};

use crate::kinds::nothing;
use crate::stage::{File, Stage, film, picture, report, song, voice};

#[tokio::test]
async fn bodies_that_say_nothing_or_too_much() {
    let stage = Stage::set().await;
    let (photo, film) = (stage.store(&picture()).await, stage.store(&film()).await);
    let (song, voice) = (stage.store(&song()).await, stage.store(&voice()).await);
    let medium = json!({ "file_id": photo });
    let item = |kind: &str, id| json!({ "type": kind, "file_id": id });
    let poll = |field: &str, value: Value| {
        let mut poll = json!({ "question": "q", "answers": ["a", "b"] });
        poll[field] = value;
        json!({ "poll": poll })
    };
    let forward = |ids: Value| json!({ "forward": { "from_chat_id": stage.chat, "message_ids": ids } });
    for (content, pointer) in [
        (json!({}), ""),
        (json!({ "text": "x", "photo": medium }), "/photo"),
        (
            json!({ "poll": { "question": "q", "answers": ["a", "b"] }, "location": { "latitude": 1, "longitude": 1 } }),
            "/location",
        ),
        (json!({ "text": "x", "caption": "y" }), "/caption"),
        (json!({ "photo": {} }), "/photo"),
        (json!({ "photo": { "file_id": photo, "url": "https://a.example/" } }), "/photo"),
        (json!({ "photo": { "file_id": nothing() } }), "/photo/file_id"),
        (json!({ "photo": { "attach": "x" } }), "/photo/attach"),
        (json!({ "photo": { "file_id": "x" } }), "/photo/file_id"),
        (json!({ "photo": { "file_id": photo, "title": "x" } }), "/photo/title"),
        (json!({ "document": { "file_id": photo, "spoiler": true } }), "/document/spoiler"),
        (json!({ "photo": medium, "caption": "x".repeat(1025) }), "/caption"),
        (json!({ "photo": medium, "caption": "<b>x", "parse_mode": "HTML" }), "/caption"),
        (json!({ "photo": medium, "entities": [{ "type": "bold", "offset": 0, "length": 1 }] }), "/entities"),
        (json!({ "photo": medium, "split": true }), "/split"),
        (json!({ "photo": medium, "link_preview": {} }), "/link_preview"),
        (json!({ "photo": medium, "topic_id": 0 }), "/topic_id"),
        (json!({ "album": [item("photo", photo)] }), "/album"),
        (json!({ "album": vec![item("photo", photo); 11] }), "/album"),
        (json!({ "album": [item("photo", photo), item("audio", song)] }), "/album/1/type"),
        (json!({ "album": [item("photo", photo), item("document", film)] }), "/album/1/type"),
        (json!({ "album": [item("voice", voice), item("voice", voice)] }), "/album/0/type"),
        (json!({ "album": [item("photo", photo), item("photo", nothing())] }), "/album/1/file_id"),
        (json!({ "album": [item("photo", photo), item("video", film)], "caption": "x" }), "/caption"),
        (poll("question", json!("")), "/poll/question"),
        (poll("question", json!("x".repeat(301))), "/poll/question"),
        (poll("answers", json!(["a"])), "/poll/answers"),
        (poll("answers", json!(["a", ""])), "/poll/answers/1"),
        (poll("correct", json!(2)), "/poll/correct"),
        (poll("open_seconds", json!(4)), "/poll/open_seconds"),
        (poll("explanation", json!("why")), "/poll/explanation"),
        (json!({ "location": { "latitude": 91, "longitude": 0 } }), "/location/latitude"),
        (json!({ "location": { "latitude": 0, "longitude": -181 } }), "/location/longitude"),
        (json!({ "location": { "latitude": 0, "longitude": 0, "accuracy": 1501 } }), "/location/accuracy"),
        (forward(json!([])), "/forward/message_ids"),
        (forward(json!([2, 1])), "/forward/message_ids"),
        (forward(json!([1, 1])), "/forward/message_ids"),
        (forward(json!([0])), "/forward/message_ids/0"),
        (json!({ "forward": { "from_chat_id": 0, "message_ids": [1] } }), "/forward/from_chat_id"),
    ] {
        for way in stage.ways() {
            let answer = stage.app.user.post(&way.path, &stage.to_group(&content)).await;
            let problem = answer.problem(400, "invalid_body");
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{content}: {problem}");
        }
    }
    assert!(stage.arrived(&stage.bot).is_empty() && stage.arrived(&stage.account).is_empty());
}

#[tokio::test]
async fn who_could_do_it_is_named() {
    let stage = Stage::set().await;
    let buttons = json!([[{ "text": "Go", "url": "https://a.example/" }]]);
    let body = stage.to_group(&json!({ "text": "x", "buttons": buttons }));
    let problem = stage.app.user.post(&stage.account.path, &body).await.problem(422, "unsupported_by_sender");
    assert!(problem["detail"].as_str().unwrap().contains("a bot can"), "{problem}");
    let large = File { bytes: [&b"%PDF-1.4\n"[..], &vec![0; 51 * 1024 * 1024]].concat(), ..report() };
    let large = stage.to_group(&json!({ "document": { "file_id": stage.store(&large).await } }));
    let problem = stage.app.user.post(&stage.bot.path, &large).await.problem(422, "unsupported_by_sender");
    assert!(problem["detail"].as_str().unwrap().contains("an account can"), "{problem}");
    assert_eq!(problem["errors"][0]["pointer"], "/document");
}

#[tokio::test]
async fn files_that_are_something_else() {
    let stage = Stage::set().await;
    let text = File { name: "a.txt", media_type: "text/plain", bytes: b"just words".to_vec() };
    let large = File { bytes: [picture().bytes, vec![0; 10 * 1024 * 1024]].concat(), ..picture() };
    for (field, file) in
        [("photo", &text), ("photo", &film()), ("video", &picture()), ("voice", &text), ("photo", &large)]
    {
        let body = stage.to_group(&json!({ field: { "file_id": stage.store(file).await } }));
        for way in stage.ways() {
            let problem = stage.app.user.post(&way.path, &body).await.problem(422, "media_unfit");
            assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
        }
    }
}

#[tokio::test]
async fn forms_that_do_not_fit_together() {
    let stage = Stage::set().await;
    let content = json!({ "document": { "attach": "file" } });
    let file = report();
    let answer = stage.send_form(&stage.bot, &content, &[("other", &file)]).await;
    assert_eq!(answer.problem(400, "invalid_body")["errors"][0]["pointer"], "/document/attach");
    let answer = stage.send_form(&stage.bot, &content, &[("file", &file), ("other", &file)]).await;
    assert!(answer.problem(400, "invalid_body")["detail"].as_str().unwrap().contains("`other`"));
    let answer = stage.send_form(&stage.bot, &content, &[("file", &file), ("file", &file)]).await;
    answer.problem(400, "invalid_body");
    let form = reqwest::multipart::Form::new().text("file", "x");
    let request = stage.app.user.request(reqwest::Method::POST, &stage.bot.path).multipart(form);
    assert!(
        stage.app.user.send(request).await.problem(400, "invalid_body")["detail"].as_str().unwrap().contains("message")
    );
    let form = reqwest::multipart::Form::new().text("message", "{");
    let request = stage.app.user.request(reqwest::Method::POST, &stage.bot.path).multipart(form);
    stage.app.user.send(request).await.problem(400, "invalid_body");
    let broken = stage.app.user.request(reqwest::Method::POST, &stage.bot.path);
    let broken = broken.header("content-type", "multipart/form-data").body("x");
    stage.app.user.send(broken).await.problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn files_of_somebody_else() {
    let stage = Stage::set().await;
    let id = stage.store(&picture()).await;
    let other = stage.app.user(8);
    let bot = stage.app.connect_bot_of(&other).await;
    let body = json!({ "chat_id": stage.chat, "photo": { "file_id": id } });
    let problem = other.post(&bot.send_path(), &body).await.problem(400, "invalid_body");
    assert_eq!(problem["errors"][0]["pointer"], "/photo/file_id");
}

#[tokio::test]
async fn addresses_that_are_not_fetched() {
    let stage = Stage::set().await;
    for (url, code) in [("http://127.0.0.1/a.png", "url_refused"), ("ftp://a.example/", "url_refused")] {
        let body = stage.to_group(&json!({ "photo": { "url": url } }));
        let problem = stage.app.user.post(&stage.bot.path, &body).await.problem(422, code);
        assert_eq!(problem["errors"][0]["pointer"], "/photo/url");
    }
}
