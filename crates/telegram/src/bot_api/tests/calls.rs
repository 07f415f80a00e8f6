//! Calls that send nothing.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::{Bot, BotApi, CallError, ChatRef, SetWebhook};
use super::server::{Reply, Server, answer};
use super::{IMPATIENT, PATIENT, TOKEN, api, assert_no_secret, hello, token};
use crate::media::testing::Shelf;

const ME: &str = r#"{"ok":true,"result":{"id":4242,"is_bot":true,"first_name":"Test","username":"test_bot",
    "can_join_groups":true,"can_read_all_group_messages":false,"supports_inline_queries":false}}"#;
const TRUE: &str = r#"{"ok":true,"result":true,"description":"Webhook was set"}"#;

async fn with_answer(body: &str) -> (BotApi, Server) {
    let server = Server::start(vec![vec![answer(200, body)]]).await;
    (api(&server, PATIENT), server)
}

/// Path and body of the only request, without the token.
fn request(server: &Server) -> (String, String) {
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let (head, body) = requests[0].split_once("\r\n\r\n").expect("a head");
    let path = head.split(' ').nth(1).expect("a path").replace(TOKEN, "T");
    (path, body.to_owned())
}

#[tokio::test]
async fn get_me_describes_the_bot() {
    let (api, server) = with_answer(ME).await;
    let bot = api.get_me(&token()).await.expect("a bot");
    let expected = Bot {
        id: 4242,
        first_name: "Test".to_owned(),
        username: "test_bot".to_owned(),
        can_join_groups: true,
        can_read_all_group_messages: false,
    };
    assert_eq!(bot, expected);
    assert_eq!(request(&server), ("/botT/getMe".to_owned(), "{}".to_owned()));
}

#[tokio::test]
async fn get_chat_takes_an_id_or_a_name() {
    for (chat, body) in [
        (ChatRef::Id(-1007), r#"{"chat_id":-1007}"#),
        (ChatRef::Username("@news".to_owned()), r#"{"chat_id":"@news"}"#),
    ] {
        let (api, server) =
            with_answer(r#"{"ok":true,"result":{"id":-1007,"type":"channel","title":"News","username":"news"}}"#).await;
        let found = api.get_chat(&token(), &chat).await.expect("a chat");
        assert_eq!((found.id, found.kind.as_str(), found.title.as_deref()), (-1007, "channel", Some("News")));
        assert_eq!(request(&server), ("/botT/getChat".to_owned(), body.to_owned()));
    }
}

#[tokio::test]
async fn webhooks_are_read_set_and_taken_away() {
    let info =
        r#"{"ok":true,"result":{"url":"https://a.b/c","has_custom_certificate":false,"pending_update_count":3}}"#;
    let (api, server) = with_answer(info).await;
    let webhook = api.get_webhook_info(&token()).await.expect("a webhook");
    assert_eq!((webhook.url.as_str(), webhook.pending_update_count), ("https://a.b/c", 3));
    assert_eq!(request(&server), ("/botT/getWebhookInfo".to_owned(), "{}".to_owned()));

    let (api, server) = with_answer(TRUE).await;
    let webhook = SetWebhook {
        url: "https://a.b/c".to_owned(),
        secret_token: "AAsecret-header".into(),
        max_connections: 40,
        allowed_updates: &["message"],
        drop_pending_updates: false,
    };
    assert_no_secret(&webhook);
    assert_eq!(api.set_webhook(&token(), &webhook).await, Ok(()));
    let body = r#"{"url":"https://a.b/c","secret_token":"AAsecret-header","max_connections":40,"allowed_updates":["message"],"drop_pending_updates":false}"#;
    assert_eq!(request(&server), ("/botT/setWebhook".to_owned(), body.to_owned()));

    let (api, server) = with_answer(TRUE).await;
    assert_eq!(api.delete_webhook(&token(), true).await, Ok(()));
    assert_eq!(request(&server), ("/botT/deleteWebhook".to_owned(), r#"{"drop_pending_updates":true}"#.to_owned()));

    let (api, server) = with_answer(TRUE).await;
    assert_eq!(api.log_out(&token()).await, Ok(()));
    assert_eq!(request(&server), ("/botT/logOut".to_owned(), "{}".to_owned()));
}

/// The error of `getMe` against a server that replies so.
async fn error(reply: Reply, timeout: Duration) -> CallError {
    let server = Server::start(vec![vec![reply]]).await;
    let error = api(&server, timeout).get_me(&token()).await.expect_err("an error");
    assert_no_secret(&error);
    assert!(!error.to_string().contains("AAsecret"), "{error}");
    error
}

#[tokio::test]
async fn what_may_pass_is_unavailable() {
    for reply in [
        answer(500, r#"{"ok":false,"error_code":500}"#),
        answer(502, "<html>"),
        answer(403, "<html>"),
        answer(200, r#"{"ok":true,"result":{"id":"x"}}"#),
        Reply::Bytes(String::new()),
        Reply::Stall(String::new()),
    ] {
        let error = error(reply.clone(), IMPATIENT).await;
        assert!(error.is_retryable() && error.code() == "telegram_unreachable", "{reply:?}: {error}");
    }
}

#[tokio::test]
async fn refusals_keep_the_words_of_the_server_but_not_the_token() {
    let body = format!(r#"{{"ok":false,"error_code":404,"description":"Not Found: /bot{TOKEN}/getMe"}}"#);
    let error = error(answer(404, &body), PATIENT).await;
    let description = "Not Found: /bot(token)/getMe".to_owned();
    assert_eq!(error, CallError::Refused { code: "not_found", status: 404, description });
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn updates_are_left_as_they_came() {
    let updates = r#"[{"update_id":7,"message":{"text":"\ud800"}}, {"update_id":8}, "odd"]"#;
    let (api, server) = with_answer(&format!(r#"{{"ok":true,"result":{updates}}}"#)).await;
    let hold = Duration::from_secs(30);
    let found = api.get_updates(&token(), Some(7), 100, hold, &["message", "poll"]).await.expect("updates");
    let found: Vec<&str> = found.iter().map(|update| update.get()).collect();
    assert_eq!(found, [r#"{"update_id":7,"message":{"text":"\ud800"}}"#, r#"{"update_id":8}"#, r#""odd""#]);
    let body = r#"{"offset":7,"limit":100,"timeout":30,"allowed_updates":["message","poll"]}"#;
    assert_eq!(request(&server), ("/botT/getUpdates".to_owned(), body.to_owned()));
}

#[tokio::test]
async fn many_long_updates_are_read() {
    let updates = vec![format!(r#"{{"update_id":7,"message":{{"text":"{}"}}}}"#, "x".repeat(50_000)); 100].join(",");
    let (api, server) = with_answer(&format!(r#"{{"ok":true,"result":[{updates}]}}"#)).await;
    let found = api.get_updates(&token(), None, 100, Duration::ZERO, &[]).await.expect("updates");
    assert_eq!(found.len(), 100);
    assert_eq!(request(&server).1, r#"{"limit":100,"timeout":0,"allowed_updates":[]}"#);
}

#[tokio::test]
async fn a_429_says_how_long_to_wait() {
    let body = r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":9}}"#;
    let error = error(answer(429, body), PATIENT).await;
    assert_eq!(error, CallError::Wait { after: Duration::from_secs(9) });
    assert!(error.is_retryable());
}

#[tokio::test]
async fn nothing_prints_a_token() {
    let server = Server::start(vec![]).await;
    let api = api(&server, PATIENT);
    assert_no_secret(&api);
    for wrong in ["AAsecret", "42:AAsecret/../x", "x:AAsecret"] {
        let error = api.get_me(&wrong.into()).await.expect_err("no token");
        assert_eq!(error.code(), "token_revoked");
        assert_no_secret(&error);
        assert!(!error.to_string().contains("AAsecret"), "{error}");
    }
    assert_eq!(server.requests().len(), 0);
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panics with the lock").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_logs_a_token() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let server = Server::start(vec![vec![answer(200, ME)], vec![Reply::Bytes(String::new())]]).await;
    let api = api(&server, PATIENT);
    assert!(api.get_me(&token()).await.is_ok());
    server.connection_closed().await;
    assert!(api.get_me(&token()).await.is_err());
    api.send(&token(), 7, &hello(), &Shelf::default()).await;

    let logged = String::from_utf8(log.0.lock().expect("no test panics with the lock").clone()).expect("UTF-8");
    assert!(logged.contains("127.0.0.1"), "the libraries below log their connections: {logged}");
    assert!(!logged.contains("AAsecret"), "{logged}");
}
