//! `getUpdates`, webhooks and callback queries.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use telegram_sim::world::{Body, ChatKind, MemberStatus, NewChat};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::client::Fixture;

fn write(f: &Fixture, text: &str) {
    let body = Body { text: text.to_owned(), ..Body::default() };
    f.sim.world().lock().send(f.user, f.bot_id(), body).unwrap();
}

fn texts(updates: &Value) -> Vec<&str> {
    updates.as_array().unwrap().iter().map(|update| update["message"]["text"].as_str().unwrap()).collect()
}

/// Waits until the request has reached the simulator.
async fn until_in_flight(f: &Fixture, count: u64) {
    while f.sim.api().counters().get().in_flight != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn updates_stay_until_they_are_confirmed() {
    let f = Fixture::new().await;
    for text in ["one", "two", "three"] {
        write(&f, text);
    }
    let updates = f.ok("getUpdates", json!({ "limit": 2 })).await;
    assert_eq!(texts(&updates), ["one", "two"]);
    let second = updates[1]["update_id"].as_i64().unwrap();
    assert_eq!(texts(&f.ok("getUpdates", json!({ "offset": second })).await), ["two", "three"]);
    assert_eq!(texts(&f.ok("getUpdates", json!({ "offset": -1 })).await), ["three"]);
    assert_eq!(f.ok("getUpdates", json!({ "offset": second + 2 })).await, json!([]));
}

#[tokio::test]
async fn a_long_poll_ends_when_something_arrives() {
    let f = Fixture::new().await;
    let poll = f.ok("getUpdates", json!({ "timeout": 50 }));
    let arrival = async {
        until_in_flight(&f, 1).await;
        write(&f, "at last");
    };
    let (updates, ()) = tokio::join!(poll, arrival);
    assert_eq!(texts(&updates), ["at last"]);
}

#[tokio::test]
async fn a_second_poll_ends_the_first() {
    let f = Fixture::new().await;
    let first = f.fails("getUpdates", json!({ "timeout": 50 }));
    let second = async {
        until_in_flight(&f, 1).await;
        f.ok("getUpdates", json!({})).await
    };
    let (ended, updates) = tokio::join!(first, second);
    let conflict = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
    assert_eq!(ended, (409, conflict.to_owned()));
    assert_eq!(updates, json!([]));
}

#[tokio::test]
async fn only_allowed_kinds_are_queued() {
    let f = Fixture::new().await;
    f.ok("getUpdates", json!({ "allowed_updates": ["callback_query"] })).await;
    write(&f, "unheard");
    assert_eq!(f.ok("getUpdates", json!({ "allowed_updates": [] })).await, json!([]));
    write(&f, "heard");
    assert_eq!(texts(&f.ok("getUpdates", json!({})).await), ["heard"]);
}

#[tokio::test]
async fn a_webhook_is_repeated_until_it_is_taken() {
    let f = Fixture::new().await;
    let (posts, mut posted) = mpsc::unbounded_channel();
    let attempts = AtomicUsize::new(0);
    let handler = async move |headers: HeaderMap, body: String| {
        posts.send((headers, serde_json::from_str::<Value>(&body).unwrap())).unwrap();
        if attempts.fetch_add(1, Ordering::Relaxed) == 0 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    };
    let handler = std::sync::Arc::new(handler);
    let route = post(move |headers: HeaderMap, body: String| async move { handler(headers, body).await });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().route("/hook", route)).into_future());

    write(&f, "waiting");
    let set = json!({ "url": url, "secret_token": "s3cret_-", "max_connections": 7 });
    assert_eq!(f.call("setWebhook", set.clone()).await.1["description"], "Webhook was set");
    let (headers, first) = posted.recv().await.unwrap();
    assert_eq!(headers["x-telegram-bot-api-secret-token"], "s3cret_-");
    assert_eq!(first["message"]["text"], "waiting");
    let (_, again) = posted.recv().await.unwrap();
    assert_eq!(again, first);
    write(&f, "next");
    let (_, next) = posted.recv().await.unwrap();
    assert_eq!(next["update_id"].as_i64().unwrap(), first["update_id"].as_i64().unwrap() + 1);

    let info = f.ok("getWebhookInfo", json!({})).await;
    assert_eq!((&info["url"], &info["max_connections"]), (&json!(url), &json!(7)));
    assert_eq!(info["last_error_message"], "Wrong response from the webhook: 500 Internal Server Error");
    let conflict = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the \
                    webhook first";
    assert_eq!(f.fails("getUpdates", json!({})).await, (409, conflict.to_owned()));
    assert_eq!(f.call("setWebhook", set).await.1["description"], "Webhook is already set");
    assert_eq!(f.call("deleteWebhook", json!({})).await.1["description"], "Webhook was deleted");
    assert_eq!(f.call("deleteWebhook", json!({})).await.1["description"], "Webhook is already deleted");
    f.ok("getUpdates", json!({})).await;
}

#[tokio::test]
async fn webhooks_are_checked() {
    let f = Fixture::new().await;
    let url = "http://127.0.0.1:1/x";
    let cases = [
        (json!({ "url": "ftp://x.y" }), "bad webhook: An HTTPS URL must be provided for webhook"),
        (json!({ "url": url, "secret_token": "no spaces" }), "secret token contains unallowed characters"),
        (json!({ "url": url, "secret_token": "x".repeat(257) }), "secret token is too long"),
    ];
    for (body, expected) in cases {
        assert_eq!(f.fails("setWebhook", body).await, (400, format!("Bad Request: {expected}")));
    }
    assert_eq!(f.ok("getWebhookInfo", json!({})).await["url"], "");
}

#[tokio::test]
async fn a_pressed_button_is_told_and_answered_once() {
    let f = Fixture::new().await;
    let keyboard = json!({ "inline_keyboard": [[{ "text": "Yes", "callback_data": "y" }]] });
    f.ok("sendMessage", json!({ "chat_id": f.user, "text": "Well?", "reply_markup": keyboard })).await;
    assert!(!f.sim.api().press(f.user, 1, "n"));
    assert!(f.sim.api().press(f.user, 1, "y"));
    let updates = f.ok("getUpdates", json!({})).await;
    let query = &updates[0]["callback_query"];
    assert_eq!((&query["data"], &query["message"]["text"]), (&json!("y"), &json!("Well?")));
    let answer = json!({ "callback_query_id": query["id"], "text": "Thanks" });
    assert_eq!(f.ok("answerCallbackQuery", answer.clone()).await, true);
    assert_eq!(f.fails("answerCallbackQuery", answer).await.0, 400);
}

#[tokio::test]
async fn a_group_that_becomes_a_supergroup_is_told_in_both() {
    let f = Fixture::new().await;
    let members = vec![(f.user, MemberStatus::Creator), (f.bot_id(), MemberStatus::Member)];
    let new = NewChat { kind: ChatKind::Group, id: None, title: "Club".to_owned(), username: None, members };
    let group = f.sim.world().lock().add_chat(new);
    let supergroup = f.sim.world().lock().migrate_group(group).unwrap();
    let updates = f.ok("getUpdates", json!({})).await;
    let told = |n: usize| &updates[n]["message"];
    assert_eq!((&told(0)["chat"]["id"], &told(0)["migrate_to_chat_id"]), (&json!(group), &json!(supergroup)));
    assert_eq!((&told(1)["chat"]["id"], &told(1)["migrate_from_chat_id"]), (&json!(supergroup), &json!(group)));
    assert_eq!(told(0)["from"]["id"], f.user);
}

#[tokio::test]
async fn the_standing_of_others_is_told_to_administrators_who_ask_for_it() {
    let f = Fixture::new().await;
    let members = vec![(f.user, MemberStatus::Creator), (f.bot_id(), MemberStatus::Administrator)];
    let new = NewChat { kind: ChatKind::Supergroup, id: None, title: "Club".to_owned(), username: None, members };
    let chat = f.sim.world().lock().add_chat(new);
    let other = f.sim.add_user_of(&f.token);
    let member = telegram_sim::world::Member::new;
    f.sim.world().lock().set_member(chat, other, member(MemberStatus::Member), other);
    assert_eq!(f.ok("getUpdates", json!({ "allowed_updates": ["chat_member"] })).await, json!([]));
    f.sim.world().lock().set_member(chat, other, member(MemberStatus::Kicked), f.user);
    let updates = f.ok("getUpdates", json!({})).await;
    let change = &updates[0]["chat_member"];
    assert_eq!(
        (&change["new_chat_member"]["user"]["id"], &change["new_chat_member"]["status"]),
        (&json!(other), &json!("kicked"))
    );
    assert_eq!((&change["from"]["id"], &change["old_chat_member"]["status"]), (&json!(f.user), &json!("member")));
}

#[tokio::test]
async fn anything_can_be_told_by_hand() {
    let f = Fixture::new().await;
    let url = format!("{}/bots/{}/updates", f.sim.control_url(), f.bot_id());
    let body = json!({ "kind": "poll_answer", "content": { "poll_id": "1" } });
    assert_eq!(f.http.post(&url).json(&body).send().await.unwrap().status(), 200);
    assert_eq!(f.ok("getUpdates", json!({})).await[0]["poll_answer"], json!({ "poll_id": "1" }));
}

#[tokio::test]
async fn membership_and_channel_posts_are_told() {
    let f = Fixture::new().await;
    let channel = f.sim.world().lock().add_chat(NewChat {
        kind: ChatKind::Channel,
        id: None,
        title: "News".to_owned(),
        username: None,
        members: vec![(f.user, MemberStatus::Creator)],
    });
    let admin = telegram_sim::world::Member::new(MemberStatus::Administrator);
    assert!(f.sim.world().lock().set_member(channel, f.bot_id(), admin, f.user));
    f.sim.world().lock().send(f.user, channel, Body { text: "extra".to_owned(), ..Body::default() }).unwrap();
    let updates = f.ok("getUpdates", json!({})).await;
    let change = &updates[0]["my_chat_member"];
    assert_eq!(change["old_chat_member"]["status"], "left");
    assert_eq!(change["new_chat_member"]["status"], "administrator");
    assert_eq!(updates[1]["channel_post"]["text"], "extra");
}
