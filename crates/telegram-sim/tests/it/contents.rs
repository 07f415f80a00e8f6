//! Polls, places, topics, and messages that answer others.

use serde_json::{Value, json};
use telegram_sim::world::{ChatKind, MemberStatus};

use crate::client::Fixture;

#[tokio::test]
async fn a_poll_is_sent_and_a_wrong_one_refused() {
    let f = Fixture::unlimited().await;
    let poll = json!({
        "chat_id": f.user, "question": "Tea?", "options": ["yes", { "text": "no" }], "type": "quiz",
        "correct_option_id": 1, "explanation": "because", "is_anonymous": false,
    });
    let sent = f.ok("sendPoll", poll.clone()).await;
    let shown = &sent["poll"];
    assert_eq!((&shown["question"], &shown["type"]), (&json!("Tea?"), &json!("quiz")));
    assert_eq!((&shown["options"][1]["text"], &shown["correct_option_ids"]), (&json!("no"), &json!([1])));
    assert_eq!((&shown["is_anonymous"], &sent["text"]), (&json!(false), &Value::Null));
    let with = |name: &str, value: Value| {
        let mut poll = poll.clone();
        poll[name] = value;
        poll
    };
    let cases = [
        (with("question", json!("")), "poll question must be non-empty"),
        (with("question", json!("x".repeat(301))), "poll question length must not exceed 300"),
        (with("options", json!([])), "poll must have at least 1 option"),
        (with("options", json!(vec!["one"; 13])), "poll can't have more than 12 options"),
        (with("options", json!(["one", ""])), "poll options must be non-empty"),
        (with("options", json!(["one", "x".repeat(101)])), "poll options length must not exceed 100"),
        (with("options", json!("x")), "can't parse options JSON object"),
        (with("correct_option_id", json!(2)), "wrong correct option ID specified"),
        (with("correct_option_ids", json!([1, 0])), "wrong correct option ID specified"),
        (with("type", json!("vote")), "unsupported poll type specified"),
        (
            with("chat_id", json!(f.chat(ChatKind::Channel, MemberStatus::Administrator))),
            "non-anonymous polls can't be sent to channel chats",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(f.fails("sendPoll", body).await, (400, format!("Bad Request: {expected}")));
    }
}

#[tokio::test]
async fn a_place_is_sent_and_one_off_the_map_refused() {
    let f = Fixture::unlimited().await;
    let place = json!({ "chat_id": f.user, "latitude": 55.75, "longitude": 37.5, "horizontal_accuracy": 10 });
    let sent = f.ok("sendLocation", place).await;
    assert_eq!(sent["location"], json!({ "latitude": 55.75, "longitude": 37.5, "horizontal_accuracy": 10.0 }));
    for (body, expected) in [
        (json!({ "chat_id": f.user, "longitude": 3 }), "latitude is empty"),
        (json!({ "chat_id": f.user, "latitude": 3 }), "longitude is empty"),
        (json!({ "chat_id": f.user, "latitude": 91, "longitude": 3 }), "invalid location specified"),
    ] {
        assert_eq!(f.fails("sendLocation", body).await, (400, format!("Bad Request: {expected}")));
    }
}

#[tokio::test]
async fn a_topic_is_named_by_its_number() {
    let f = Fixture::unlimited().await;
    let forum = f.chat(ChatKind::Supergroup, MemberStatus::Member);
    let text_in = |topic: i32| json!({ "chat_id": forum, "text": "x", "message_thread_id": topic });
    let unknown = (400, "Bad Request: message thread not found".to_owned());
    assert_eq!(f.fails("sendMessage", text_in(5)).await, unknown, "it is no forum yet");
    let topic = {
        let mut world = f.sim.world().lock();
        world.chat_mut(forum).unwrap().is_forum = true;
        world.add_topic(forum, "News", f.user).unwrap()
    };
    let sent = f.ok("sendMessage", text_in(topic)).await;
    assert_eq!((&sent["message_thread_id"], &sent["is_topic_message"]), (&json!(topic), &json!(true)));
    assert_eq!(sent["chat"]["is_forum"], true);
    for unknown_topic in [topic + 50, 1] {
        assert_eq!(f.fails("sendMessage", text_in(unknown_topic)).await, unknown);
    }
    f.sim.world().lock().topic_mut(forum, topic).unwrap().closed = true;
    assert_eq!(f.fails("sendMessage", text_in(topic)).await, (400, "Bad Request: TOPIC_CLOSED".to_owned()));
    let updates = f.ok("getUpdates", json!({})).await;
    assert_eq!(updates[0]["message"]["forum_topic_created"]["name"], "News", "{updates}");
}
