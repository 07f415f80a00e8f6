//! Files come with the request or from an address, are uploaded once, and again when Telegram forgot them.

use serde_json::json;
use telegram_sim::bot_api::{Fault, FaultAction};
use telegram_sim::mtproto::faults::{Action, Fault as AccountFault};

use crate::common::app::id_of;
use crate::stage::{File, Stage, picture, report};

#[tokio::test]
async fn files_come_with_the_request() {
    let stage = Stage::set().await;
    for way in stage.ways() {
        let (first, second) = (picture(), picture());
        let album = json!({ "album": [
            { "type": "photo", "attach": "a", "caption": "first" }, { "type": "photo", "attach": "b" },
        ] });
        let accepted = stage.send_form(&way, &album, &[("b", &second), ("a", &first)]).await.ok(202);
        stage.app.until(id_of(&accepted), "sent").await;
        let arrived: Vec<String> =
            stage.arrived(&way).iter().map(|message| message.body.media.clone().unwrap().sha256).collect();
        assert_eq!(arrived, [first.sha256(), second.sha256()], "{}", way.kind);
    }
}

#[tokio::test]
async fn a_form_that_is_repeated_with_its_key_sends_once() {
    let stage = Stage::set().await;
    let file = report();
    let send = async |file: &File| {
        let message =
            reqwest::multipart::Part::text(stage.to_group(&json!({ "document": { "attach": "file" } })).to_string());
        let part = reqwest::multipart::Part::bytes(file.bytes.clone()).file_name(file.name);
        let form = reqwest::multipart::Form::new().part("message", message).part("file", part);
        let request = stage.app.user.request(reqwest::Method::POST, &stage.bot.path).header("Idempotency-Key", "k");
        stage.app.user.send(request.multipart(form)).await
    };
    let first = send(&file).await.ok(202);
    assert_eq!(send(&file).await.ok(202)["id"], first["id"]);
    send(&report()).await.problem(422, "idempotency_key_reused");
    stage.app.until(id_of(&first), "sent").await;
    assert_eq!(stage.arrived(&stage.bot).len(), 1);
}

#[tokio::test]
async fn what_was_uploaded_once_is_named_afterwards() {
    let stage = Stage::set().await;
    let file = report();
    let id = stage.store(&file).await;
    for way in stage.ways() {
        for _ in 0..3 {
            stage.sent(&way, &json!({ "document": { "file_id": id } })).await;
        }
        let arrived = stage.arrived(&way);
        assert!(arrived.iter().all(|message| message.body.media.as_ref().unwrap().sha256 == file.sha256()));
        let numbers: Vec<i64> = arrived.iter().map(|message| message.body.media.as_ref().unwrap().file_id).collect();
        assert!(numbers.iter().all(|number| *number == numbers[0]), "{numbers:?} by {}", way.kind);
        // Another name is another look, which only an upload can give.
        stage.sent(&way, &json!({ "document": { "file_id": id, "name": "other.pdf" } })).await;
        assert_eq!(stage.last(&way).body.media.as_ref().unwrap().name, "other.pdf", "{}", way.kind);
    }
    assert_eq!(stage.calls_of_account("upload.saveFilePart"), 2);
}

#[tokio::test]
async fn what_telegram_forgot_is_uploaded_anew_within_the_attempt() {
    let stage = Stage::set().await;
    let (file, other) = (picture(), picture());
    let (id, other_id) = (stage.store(&file).await, stage.store(&other).await);
    let single = json!({ "photo": { "file_id": id } });
    let album = json!({ "album": [{ "type": "photo", "file_id": id }, { "type": "photo", "file_id": other_id }] });
    for way in stage.ways() {
        for content in [&single, &album] {
            stage.sent(&way, content).await;
            stage.app.sim.world().lock().files_mut().expire_references();
            if way.kind == "bot" {
                let description = "Bad Request: wrong file identifier/HTTP URL specified".to_owned();
                let error = FaultAction::Error { error_code: 400, description, parameters: None };
                stage.app.sim.add_fault(Fault::new(error).chat(stage.chat).times(1));
            }
            let sent = stage.sent(&way, content).await;
            assert_eq!(sent["attempts"], 1, "{}", way.kind);
            assert_eq!(stage.last(&way).body.media.as_ref().unwrap().size, file.bytes.len() as u64, "{}", way.kind);
        }
    }
}

#[tokio::test]
async fn an_album_whose_answer_was_lost_is_repeated_and_not_doubled() {
    let stage = Stage::set().await;
    let items = json!([
        { "type": "photo", "file_id": stage.store(&picture()).await },
        { "type": "photo", "file_id": stage.store(&picture()).await },
    ]);
    for (action, arrived) in [(Action::TakeThenCut, 2), (Action::Cut, 4)] {
        stage.app.sim.accounts().add_fault(AccountFault::new("messages.sendMultiMedia", action).times(1));
        let sent = stage.sent(&stage.account, &json!({ "album": items })).await;
        assert_eq!(sent["attempts"], 2);
        assert_eq!(stage.arrived(&stage.account).len(), arrived);
    }
}

#[tokio::test]
async fn a_part_of_an_upload_whose_answer_was_lost_is_sent_again() {
    let stage = Stage::set().await;
    // Three parts.
    let file = File { bytes: [&b"%PDF-1.4\n"[..], &vec![9; 1_200_000]].concat(), ..report() };
    let id = stage.store(&file).await;
    stage.app.sim.accounts().add_fault(AccountFault::new("upload.saveFilePart", Action::Cut).times(1));
    let sent = stage.sent(&stage.account, &json!({ "document": { "file_id": id } })).await;
    assert_eq!(sent["attempts"], 1);
    let media = stage.last(&stage.account).body.media.clone().unwrap();
    assert_eq!((media.sha256, media.size), (file.sha256(), file.bytes.len() as u64));
}

#[tokio::test]
async fn a_large_file_goes_in_parts() {
    let stage = Stage::set().await;
    let file = File { bytes: [&b"%PDF-1.4\n"[..], &vec![3; 12 * 1024 * 1024]].concat(), ..report() };
    let id = stage.store(&file).await;
    for way in stage.ways() {
        stage.sent(&way, &json!({ "document": { "file_id": id } })).await;
        let media = stage.last(&way).body.media.clone().unwrap();
        assert_eq!((media.sha256, media.size), (file.sha256(), file.bytes.len() as u64), "{}", way.kind);
    }
    assert_eq!(stage.calls_of_account("upload.saveBigFilePart"), 25);
}

#[tokio::test]
async fn files_come_from_an_address() {
    let stage = Stage::set_with(&[("INTEGRATIONS_EGRESS__ALLOW", "127.0.0.0/8")]).await;
    let file = picture();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a/picture.png", listener.local_addr().unwrap());
    let bytes = file.bytes.clone();
    let site = axum::Router::new()
        .route("/a/picture.png", axum::routing::get(move || async move { ([("content-type", "image/png")], bytes) }));
    let server = tokio::spawn(async move { axum::serve(listener, site).await });
    for way in stage.ways() {
        let body = stage.to_group(&json!({ "photo": { "url": url } }));
        let first = stage.app.user.post_with_key(&way.path, way.kind, &body).await.ok(202);
        stage.app.until(id_of(&first), "sent").await;
        assert_eq!(stage.last(&way).body.media.as_ref().unwrap().sha256, file.sha256(), "{}", way.kind);
    }
    server.abort();
    // Repeated, the request gets its answer also when the address is gone.
    let body = stage.to_group(&json!({ "photo": { "url": url } }));
    stage.app.user.post_with_key(&stage.bot.path, stage.bot.kind, &body).await.ok(202);
    stage.app.user.post(&stage.bot.path, &body).await.problem(422, "url_unreachable");
}
