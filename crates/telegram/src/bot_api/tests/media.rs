//! Files on their way.

use tokio::io::AsyncReadExt as _;

use platform::{Content, FileRef, Media, Message, Options, Outcome, Text, Verdict};

use super::super::BotApi;
use super::server::{Reply, Server, answer};
use super::{PATIENT, api, token};
use crate::media::testing::Shelf;

const SENT: &str = r#"{"ok":true,"result":{"message_id":11,"photo":[{"file_id":"small"},{"file_id":"large"}]}}"#;
const STALE: &str =
    r#"{"ok":false,"error_code":400,"description":"Bad Request: wrong file identifier/HTTP URL specified"}"#;

fn photo(file: FileRef) -> Message {
    let media = Media {
        file,
        caption: Text::plain("look"),
        caption_above: false,
        spoiler: false,
        width: None,
        height: None,
        duration: None,
        title: None,
        performer: None,
    };
    Message { content: Content::Photo(media), options: Options::default() }
}

fn sent() -> Outcome {
    Outcome::Sent { platform_message_ids: vec![11] }
}

fn verdict(outcome: &Outcome) -> (&'static str, Verdict) {
    match outcome {
        Outcome::Refused(refusal) => (refusal.code, refusal.verdict.clone()),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_file_is_uploaded_once_and_named_afterwards() {
    let shelf = Shelf::default();
    let message = photo(shelf.put("a.png", "image/png", b"bytes of a picture"));
    let server = Server::start(vec![vec![answer(200, SENT), answer(200, SENT)]]).await;
    let api = api(&server, PATIENT);
    for _ in 0..2 {
        assert_eq!(api.send(&token(), 7, &message, &shelf).await, sent());
        // Lets the connection return to the pool.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let requests = server.requests();
    assert!(requests[0].contains("multipart/form-data") && requests[0].contains("bytes of a picture"));
    assert!(requests[1].contains("application/json") && requests[1].contains("\"photo\":\"large\""), "{}", requests[1]);
}

#[tokio::test]
async fn a_file_that_the_server_forgot_is_uploaded_anew_at_once() {
    let shelf = Shelf::default();
    let message = photo(shelf.put("a.png", "image/png", b"bytes"));
    let replies = vec![answer(200, SENT), answer(400, STALE), answer(200, SENT), answer(400, STALE)];
    let server = Server::start(vec![replies]).await;
    let api = api(&server, PATIENT);
    for expected in [1, 3] {
        assert_eq!(api.send(&token(), 7, &message, &shelf).await, sent());
        assert_eq!((server.requests().len(), shelf.known()), (expected, 1));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let other = photo(shelf.put("b.png", "image/png", b"others"));
    let outcome = api.send(&token(), 7, &other, &shelf).await;
    assert_eq!(verdict(&outcome), ("file_reference_expired", Verdict::Fail), "it was uploaded just now");
}

#[tokio::test]
async fn an_upload_that_breaks_off_proves_that_nothing_was_sent() {
    let shelf = Shelf::default();
    // More than fits into the buffers on the way.
    let message = photo(shelf.put("a.png", "image/png", &vec![7; 32 * 1024 * 1024]));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.read_exact(&mut vec![0; 100_000]).await.expect("the beginning of the form");
    });
    let outcome = BotApi::new(&url, PATIENT).expect("an address").send(&token(), 7, &message, &shelf).await;
    assert_eq!(verdict(&outcome), ("telegram_unreachable", Verdict::Retry));
    server.await.expect("it does not panic");
}

#[tokio::test]
async fn an_upload_that_was_whole_and_not_answered_is_unknown() {
    let shelf = Shelf::default();
    let message = photo(shelf.put("a.png", "image/png", b"bytes"));
    let server = Server::start(vec![vec![Reply::Bytes(String::new())]]).await;
    let outcome = api(&server, PATIENT).send(&token(), 7, &message, &shelf).await;
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_file_that_is_gone_fails_and_one_of_another_size_is_tried_again() {
    let shelf = Shelf::default();
    let file = shelf.put("a.png", "image/png", b"bytes");
    let server = Server::start(vec![vec![], vec![]]).await;
    let gone = photo(FileRef { id: uuid::Uuid::new_v4(), ..file.clone() });
    let outcome = api(&server, PATIENT).send(&token(), 7, &gone, &shelf).await;
    assert_eq!(verdict(&outcome), ("file_missing", Verdict::Fail));
    let larger = photo(FileRef { size_bytes: 100, ..file });
    let outcome = api(&server, PATIENT).send(&token(), 7, &larger, &shelf).await;
    assert_eq!(verdict(&outcome), ("telegram_unreachable", Verdict::Retry));
}
