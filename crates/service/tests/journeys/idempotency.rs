//! A request that is repeated with the same `Idempotency-Key` has its effect once.

use futures::future::join_all;
use serde_json::{Value, json};
use telegram_sim::bot_api::{Fault, FaultAction};

use crate::common::app::{BOTS, MESSAGES, TestApp, id_of};
use crate::common::eventually;

#[tokio::test]
async fn the_same_key_twice_is_one_message_and_one_answer() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let body = json!({ "chat_id": app.person(&bot), "text": "once" });
    let first = app.user.post_with_key(&bot.send_path(), "order-17", &body).await.ok(202);
    app.until(id_of(&first), "sent").await;
    let second = app.user.post_with_key(&bot.send_path(), "order-17", &body).await.ok(202);
    assert_eq!(first, second);
    let other = json!({ "chat_id": body["chat_id"], "text": "twice" });
    app.user.post_with_key(&bot.send_path(), "order-17", &other).await.problem(422, "idempotency_key_reused");
    let elsewhere = app.connect_bot().await;
    app.user.post_with_key(&elsewhere.send_path(), "order-17", &body).await.problem(422, "idempotency_key_reused");
    assert_eq!((app.arrived("once"), app.arrived("twice")), (1, 0));
    assert_eq!(app.user.list(MESSAGES).await.len(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_its_user() {
    let app = TestApp::start().await;
    let other = app.user(8);
    for caller in [&app.user, &other] {
        let bot = app.connect_bot_of(caller).await;
        let body = json!({ "chat_id": app.person(&bot), "text": "from each" });
        let id = id_of(&caller.post_with_key(&bot.send_path(), "same", &body).await.ok(202));
        crate::common::eventually("it is sent", async || {
            caller.get(&format!("{MESSAGES}/{id}")).await.ok(200)["status"] == "sent"
        })
        .await;
    }
    assert_eq!(app.arrived("from each"), 2);
}

#[tokio::test]
async fn twenty_at_once_are_one_message() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let body = json!({ "chat_id": app.person(&bot), "text": "once" });
    let path = bot.send_path();
    let answers = join_all((0..20).map(|_| app.user.post_with_key(&path, "k", &body))).await;
    let bodies: Vec<Value> = answers.iter().map(|answer| answer.ok(202)).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    app.until(id_of(&bodies[0]), "sent").await;
    assert_eq!((app.arrived("once"), app.user.list(MESSAGES).await.len()), (1, 1));
}

#[tokio::test]
async fn a_request_that_ran_out_of_time_can_be_repeated_soon() {
    let app = TestApp::start_with(&[("INTEGRATIONS_HTTP__REQUEST_TIMEOUT_SECONDS", "2")]).await;
    let body = json!({ "token": app.new_token() });
    app.sim.add_fault(Fault::new(FaultAction::Delay { ms: 4000 }).method("getMe").times(1));
    app.user.post_with_key(BOTS, "k", &body).await.problem(503, "timeout");
    app.user.post_with_key(BOTS, "k", &body).await.problem(409, "idempotency_in_progress");
    let claimed = "SELECT extract(epoch FROM locked_until - now())::float8 FROM idempotency_keys WHERE key = 'k'";
    let seconds: f64 = sqlx::query_scalar(claimed).fetch_one(&app.pool).await.unwrap();
    assert!(seconds <= 7.0, "the time of a request and five seconds more: {seconds}");
    eventually("it is open again", async || app.user.post_with_key(BOTS, "k", &body).await.status == 201).await;
    assert_eq!(app.user.list(BOTS).await.len(), 1);
}

#[tokio::test]
async fn a_request_that_was_refused_can_be_corrected_under_its_key() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let wrong = json!({ "chat_id": chat, "text": "" });
    app.user.post_with_key(&bot.send_path(), "k", &wrong).await.problem(400, "invalid_body");
    let right = json!({ "chat_id": chat, "text": "better" });
    let accepted = app.user.post_with_key(&bot.send_path(), "k", &right).await.ok(202);
    app.until(id_of(&accepted), "sent").await;
}

#[tokio::test]
async fn connecting_twice_with_one_key_is_one_bot_and_one_answer() {
    let app = TestApp::start().await;
    let (token, other) = (app.new_token(), app.new_token());
    let bad = json!({ "token": "1:bad" });
    app.user.post_with_key(BOTS, "connect", &bad).await.problem(422, "telegram_token_invalid");
    let first = app.user.post_with_key(BOTS, "connect", &json!({ "token": token })).await;
    let second = app.user.post_with_key(BOTS, "connect", &json!({ "token": token })).await;
    assert_eq!((first.ok(201), first.header("location")), (second.ok(201), second.header("location")));
    let reused = app.user.post_with_key(BOTS, "connect", &json!({ "token": other })).await;
    reused.problem(422, "idempotency_key_reused");
    let bots = app.user.list(BOTS).await;
    assert_eq!(bots.len(), 1);
}
