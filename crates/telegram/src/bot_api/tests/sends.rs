//! Ends of a send.

use std::sync::Arc;

use platform::text::MentionedUser;
use platform::{
    Button, Content, Entity, EntityKind, LinkPreview, Message, Options, Outcome, Text, TextContent, Verdict,
};

use super::super::BotApi;
use super::super::http::testing::untrusting;
use super::server::{Reply, Server, answer};
use super::{IMPATIENT, PATIENT, api, assert_no_secret, hello, send, token};
use crate::media::testing::Shelf;

const SENT: &str = r#"{"ok":true,"result":{"message_id":11,"date":1,"chat":{"id":7,"type":"private"},"text":"hello"}}"#;

fn sent() -> Outcome {
    Outcome::Sent { platform_message_ids: vec![11] }
}

/// The words of an unknown outcome.
fn unknown(outcome: Outcome) -> String {
    match outcome {
        Outcome::Unknown { reason } => reason,
        other => panic!("expected an unknown outcome: {other:?}"),
    }
}

fn assert_unreachable(outcome: &Outcome) {
    match outcome {
        Outcome::Refused(refusal) => {
            assert_eq!((refusal.code, &refusal.verdict), ("telegram_unreachable", &Verdict::Retry), "{refusal:?}");
        }
        other => panic!("expected a proof that nothing was sent: {other:?}"),
    }
    assert_no_secret(outcome);
}

#[tokio::test]
async fn a_message_is_sent_with_everything_it_has() {
    let text = Text {
        text: "hi you".to_owned(),
        entities: vec![
            Entity::new(EntityKind::Bold, 0, 2),
            Entity { user: Some(MentionedUser { id: 9 }), ..Entity::new(EntityKind::TextMention, 3, 3) },
        ],
    };
    let link_preview = Some(LinkPreview { is_disabled: Some(true), ..LinkPreview::default() });
    let options = Options {
        reply_to: Some(5),
        topic: None,
        silent: true,
        protected: true,
        buttons: vec![vec![
            Button { text: "a".to_owned(), url: Some("https://a.b".to_owned()), callback_data: None },
            Button { text: "b".to_owned(), url: None, callback_data: Some("data".to_owned()) },
        ]],
    };
    let message = Message { content: Content::Text(TextContent { text, link_preview }), options };
    let server = Server::start(vec![vec![answer(200, SENT)]]).await;
    let outcome = api(&server, PATIENT).send(&token(), -1007, &message, &Shelf::default()).await;
    assert_eq!(outcome, sent());

    let request = server.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("POST /bot4242:AAsecretsecretsecret/sendMessage HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let expected = serde_json::json!({
        "chat_id": -1007,
        "text": "hi you",
        "entities": [
            {"type": "bold", "offset": 0, "length": 2},
            {"type": "text_mention", "offset": 3, "length": 3, "user": {"id": 9}},
        ],
        "reply_parameters": {"message_id": 5},
        "disable_notification": true,
        "protect_content": true,
        "link_preview_options": {"is_disabled": true},
        "reply_markup": {"inline_keyboard": [[
            {"text": "a", "url": "https://a.b"},
            {"text": "b", "callback_data": "data"},
        ]]},
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_plain_message_says_no_more_than_it_must() {
    let (outcome, server) = send(vec![vec![answer(200, SENT)]], PATIENT).await;
    assert_eq!(outcome, sent());
    let request = server.requests().remove(0);
    let body = request.split_once("\r\n\r\n").expect("a head").1;
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body, serde_json::json!({ "chat_id": 7, "text": "hello" }));
}

#[tokio::test]
async fn a_refused_connection_proves_that_nothing_was_sent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let api = BotApi::new(&url, PATIENT).expect("an address");
    assert_unreachable(&api.send(&token(), 7, &hello(), &Shelf::default()).await);
}

#[tokio::test]
async fn a_host_without_address_proves_that_nothing_was_sent() {
    let api = BotApi::new("http://host.invalid", PATIENT).expect("an address");
    assert_unreachable(&api.send(&token(), 7, &hello(), &Shelf::default()).await);
}

#[tokio::test]
async fn a_failed_tls_handshake_proves_that_nothing_was_sent() {
    let server = Server::start(vec![vec![], vec![]]).await;
    let http = untrusting(&server.url.replace("http://", "https://"), PATIENT);
    let api = BotApi { http: Arc::new(http) };
    assert_unreachable(&api.send(&token(), 7, &hello(), &Shelf::default()).await);
}

#[tokio::test]
async fn a_tls_handshake_without_end_proves_that_nothing_was_sent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let api = BotApi { http: Arc::new(untrusting(&url, IMPATIENT)) };
    let outcome = api.send(&token(), 7, &hello(), &Shelf::default()).await;
    assert_unreachable(&outcome);
    drop(listener);
}

#[tokio::test]
async fn a_connection_closed_at_once_is_never_a_success() {
    // Whether the close is seen before the request is written is up to the kernel; both are told truthfully.
    let (outcome, server) = send(vec![vec![]], PATIENT).await;
    match outcome {
        Outcome::Unknown { .. } => {}
        other => assert_unreachable(&other),
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_request_that_was_read_and_not_answered_is_unknown() {
    let (outcome, server) = send(vec![vec![Reply::Bytes(String::new())]], PATIENT).await;
    assert!(unknown(outcome).contains("broke before"));
    assert_eq!(server.requests().len(), 1, "the client repeats nothing");
}

#[tokio::test]
async fn silence_is_unknown() {
    let (outcome, server) = send(vec![vec![Reply::Stall(String::new())]], IMPATIENT).await;
    assert!(unknown(outcome).contains("no answer within 0.3 s"));
    assert_eq!(server.requests().len(), 1, "the client repeats nothing");
}

#[tokio::test]
async fn half_an_answer_is_unknown() {
    let half = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", SENT.len(), &SENT[..30]);
    let (outcome, _server) = send(vec![vec![Reply::Bytes(half.clone())]], PATIENT).await;
    assert!(unknown(outcome).contains("broke within the answer"));
    let (outcome, _server) = send(vec![vec![Reply::Stall(half)]], IMPATIENT).await;
    assert!(unknown(outcome).contains("no answer within"));
    let (outcome, _server) = send(vec![vec![Reply::Bytes("HTTP/1.1 200".to_owned())]], PATIENT).await;
    assert!(unknown(outcome).contains("broke before"));
}

#[tokio::test]
async fn an_answer_that_proves_nothing_is_unknown() {
    let long = format!(r#"{{"ok":false,"error_code":400,"description":"{}"}}"#, "x".repeat(1024 * 1024));
    for (reply, words) in [
        (answer(500, r#"{"ok":false,"error_code":500,"description":"Internal Server Error"}"#), "status 500"),
        (answer(502, "<html>Bad Gateway</html>"), "status 502"),
        (answer(403, "<html>Forbidden</html>"), "not one of a Bot API server"),
        (answer(200, "<html>Welcome</html>"), "not one of a Bot API server"),
        (answer(200, r#"{"ok":true,"result":{}}"#), "makes no sense"),
        (answer(200, r#"{"ok":false,"error_code":400}"#), "makes no sense"),
        (answer(302, ""), "not one of a Bot API server"),
        (answer(400, &long), "too long"),
        (Reply::Bytes("SSH-2.0-OpenSSH\r\n".to_owned()), "broke before"),
    ] {
        let (outcome, _server) = send(vec![vec![reply]], PATIENT).await;
        let reason = unknown(outcome);
        assert!(reason.contains(words), "{words}: {reason}");
    }
}

#[tokio::test]
async fn refusals_carry_their_decision() {
    for (status, body, code, verdict) in [
        (401, r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#, "token_revoked", Verdict::SenderDead),
        (
            403,
            r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#,
            "blocked_by_user",
            Verdict::Fail,
        ),
        (
            400,
            r#"{"ok":false,"error_code":400,"description":"Moved","parameters":{"migrate_to_chat_id":-1001}}"#,
            "chat_migrated",
            Verdict::Migrated { chat_id: -1001 },
        ),
    ] {
        let (outcome, _server) = send(vec![vec![answer(status, body)]], PATIENT).await;
        match outcome {
            Outcome::Refused(refusal) => assert_eq!((refusal.code, refusal.verdict), (code, verdict)),
            other => panic!("expected a refusal: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_string_that_is_no_token_is_not_sent_anywhere() {
    let server = Server::start(vec![]).await;
    let outcome = api(&server, PATIENT).send(&"../AAsecret".into(), 7, &hello(), &Shelf::default()).await;
    assert_no_secret(&outcome);
    match outcome {
        Outcome::Refused(refusal) => {
            assert_eq!((refusal.code, refusal.verdict), ("token_revoked", Verdict::SenderDead));
        }
        other => panic!("expected a refusal: {other:?}"),
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::start(vec![vec![answer(200, SENT), answer(200, SENT)]]).await;
    let api = api(&server, PATIENT);
    for _ in 0..2 {
        assert_eq!(api.clone().send(&token(), 7, &hello(), &Shelf::default()).await, sent());
        // Lets the connection return to the pool.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closed_harms_nobody() {
    let server = Server::start(vec![vec![answer(200, SENT)], vec![answer(200, SENT)]]).await;
    let api = api(&server, PATIENT);
    assert_eq!(api.send(&token(), 7, &hello(), &Shelf::default()).await, sent());
    server.connection_closed().await;
    assert_eq!(api.send(&token(), 7, &hello(), &Shelf::default()).await, sent());
    assert_eq!(server.requests().len(), 2);
}
