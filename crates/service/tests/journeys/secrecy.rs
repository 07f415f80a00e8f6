//! No credential is stored, logged or answered in the clear. Every test of this crate looks for that at its end; here the ways
//! on which one could slip out are walked on purpose.

use serde_json::json;
use telegram_sim::bot_api::{Fault, FaultAction};

use crate::common::app::{BOTS, TestApp, too_many_requests};
use crate::common::{aftermath, log};

#[tokio::test]
async fn failures_tell_no_tokens() {
    let mut app = TestApp::start().await;
    let (bot, other) = (app.connect_bot().await, app.connect_bot().await);
    let chat = app.person(&bot);
    // Tokens that are refused: unknown, of another bot, in the wrong place, in a body that cannot be read.
    let unknown = app.secret(format!("123456789:{}", "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789".split_at(35).0));
    app.user.post(BOTS, &json!({ "token": unknown })).await.problem(422, "telegram_token_invalid");
    app.user
        .post(&format!("{}/token", bot.path()), &json!({ "token": other.token }))
        .await
        .problem(422, "bot_mismatch");
    app.user.post(BOTS, &json!({ "token": bot.token })).await.problem(409, "bot_already_connected");
    app.user.post(BOTS, &json!({ "token": [bot.token] })).await.problem(400, "invalid_body");
    app.user.post(BOTS, &json!({ "token": bot.token, "settings": bot.token })).await.problem(400, "invalid_body");
    app.user.post_with_key(BOTS, "k", &json!({ "token": bot.token })).await.problem(409, "bot_already_connected");
    let broken = app.user.request(reqwest::Method::POST, BOTS).header("content-type", "application/json");
    app.user.send(broken.body(format!("{{\"token\": \"{}\"", bot.token))).await.problem(400, "invalid_body");
    // Answers of Telegram, and of what stands before it, that repeat the token.
    let echo = |error_code| FaultAction::Error {
        error_code,
        description: format!("error at /bot{}/sendMessage", bot.token),
        parameters: None,
    };
    for (fault, end) in [
        (echo(400), "failed"),
        (FaultAction::Http { status: 502, body: format!("/bot{}/", bot.token), taken: false }, "unknown"),
        (FaultAction::CutAfter, "unknown"),
        (too_many_requests(0), "sent"),
    ] {
        app.disturb(chat, 1, fault);
        app.until(app.send(&bot, chat, "x").await, end).await;
    }
    let get_chat = Fault::new(echo(400)).method("getChat").times(1);
    app.sim.add_fault(get_chat);
    let named = app.send_body(&bot, &json!({ "chat_id": "@somewhere", "text": "x" })).await;
    app.until(named, "failed").await;
    // Telegram away, then the token revoked and replaced.
    app.without_telegram(async |app: &TestApp| {
        let message = app.send(&bot, chat, "away").await;
        app.until_refused(message).await;
    })
    .await;
    let renewed = app.sim.world().lock().revoke_token(bot.telegram_id, true).unwrap();
    let renewed = app.secret(renewed);
    let last = app.send(&bot, chat, "with the next token").await;
    app.until_given_back(&bot).await;
    app.user.post_with_key(&format!("{}/token", bot.path()), "r", &json!({ "token": renewed })).await.ok(200);
    app.until(last, "sent").await;
    app.user.delete(&other.path()).await.ok(204);
    let (dump, log) = (app.dump(), log::so_far());
    assert!(dump.contains(&format!("sim{}_bot", bot.telegram_id)), "the dump holds the rows");
    assert!(log.contains("\"log.level\":\"debug\"") && log.contains("integrations::access"), "the log holds it all");
}

#[test]
#[should_panic(expected = "a credential stands in the log, after: token=123:")]
fn a_token_in_the_log_would_be_found() {
    let secret = format!("123:{}", "s".repeat(35));
    aftermath::search(&[("log", &format!("token={secret}"))], &[secret]);
}

#[test]
#[should_panic(expected = "a credential stands in the database")]
fn a_token_in_hexadecimal_digits_would_be_found() {
    let secret = format!("123:{}", "s".repeat(35));
    aftermath::search(&[("database", &format!("\\x{}", hex::encode(&secret)))], &[secret]);
}
