//! The live stream of events.

use std::collections::HashSet;

use futures::future::join_all;
use serde_json::json;

use crate::common::app::{EVENTS, TestApp, id_of};

#[tokio::test]
async fn the_life_of_a_message_is_told_live() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let mut stream = app.events(&app.user, "", None).await;
    let mut of_another = app.events(&app.user(8), "", None).await;
    let message = app.send(&bot, app.person(&bot), "hi").await;
    let mut events = stream.until(|event| event.kind == "message.sent").await;
    // A new stream may begin a moment ago.
    events.retain(|event| event.kind.starts_with("message."));
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["message.queued", "message.sending", "message.sent"]);
    assert!(events.iter().all(|event| event.resource() == message.to_string() && event.data["user_id"] == 7));
    assert_eq!(events[2].data["data"]["status"], "sent");
    assert_eq!(events[2].data["data"]["platform_message_id"], app.message(message).await["platform_message_id"]);
    // The other user's stream begins with its own first event, not with what went by before.
    let own = app.connect_bot_of(&app.user(8)).await;
    assert_eq!(of_another.next().await.resource(), own.id.to_string());
}

#[tokio::test]
async fn an_interrupted_stream_goes_on_without_loss_or_doubles() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let (people, path) = (app.people(&bot, 20), bot.send_path());
    let mut stream = app.events(&app.user, "", None).await;
    let start = app.send(&bot, people[0], "start").await;
    let mut last = stream.until(|event| event.kind == "message.sent").await.pop().unwrap().id;
    let sending = join_all((0..200).map(|n| {
        let body = json!({ "chat_id": people[n % people.len()], "text": format!("{n}") });
        let (app, path) = (&app, &path);
        async move { id_of(&app.user.post(path, &body).await.ok(202)) }
    }));
    let reading = async {
        let (mut seen, mut sent) = (Vec::new(), HashSet::new());
        while sent.len() < 200 {
            // Cut again and again, each time after a few events.
            let mut stream = app.events(&app.user, "", Some(&last)).await;
            for _ in 0..37 {
                let event = stream.next().await;
                if event.kind == "message.sent" {
                    sent.insert(event.resource().to_owned());
                }
                last.clone_from(&event.id);
                seen.push(event);
                if sent.len() == 200 {
                    break;
                }
            }
        }
        seen
    };
    let (ids, seen) = tokio::join!(sending, reading);
    app.until_all(&ids, "sent").await;
    let stored: Vec<String> = sqlx::query_scalar(
        "SELECT id::text FROM events WHERE type LIKE 'message.%' AND resource_id <> $1 ORDER BY xid, id",
    )
    .bind(start)
    .fetch_all(&app.pool)
    .await
    .unwrap();
    let read: Vec<&str> = seen.iter().map(|event| event.data["id"].as_str().unwrap()).collect();
    assert_eq!(read, stored);
    assert_eq!(stored.len(), 600, "queued, sending and sent of each");
}

#[tokio::test]
async fn types_are_filtered_and_the_id_may_stand_in_the_query() {
    let app = TestApp::start().await;
    let mut all = app.events(&app.user, "", None).await;
    let bot = app.connect_bot().await;
    let connected = all.next().await;
    assert_eq!((connected.kind.as_str(), connected.resource()), ("bot.connected", &*bot.id.to_string()));
    app.until(app.send(&bot, app.person(&bot), "hi").await, "sent").await;
    let query = format!("?type=message.sent&last_event_id={}", connected.id);
    assert_eq!(app.events(&app.user, &query, None).await.next().await.kind, "message.sent");
    let mut bots = app.events(&app.user, "?type=bot.", Some(&connected.id)).await;
    app.user.patch(&bot.path(), &json!({ "is_active": false })).await.ok(200);
    assert_eq!(bots.next().await.kind, "bot.updated");
}

#[tokio::test]
async fn an_id_that_is_none_is_refused() {
    let app = TestApp::start().await;
    for bad in ["x", "1", "-1-00000000000000000000000000000000", "1-x", "99999999999999999999-0", "1-0-0"] {
        let request = app.user.request(reqwest::Method::GET, EVENTS).header("Last-Event-ID", bad);
        let problem = app.user.send(request).await.problem(400, "invalid_parameter");
        assert_eq!(problem["errors"][0]["pointer"], "Last-Event-ID");
    }
}

#[tokio::test]
async fn an_administrator_reads_the_events_of_all() {
    let app = TestApp::start().await;
    let mut stream = app.events(&app.admin(), "", None).await;
    let (first, second) = (app.connect_bot().await, app.connect_bot_of(&app.user(8)).await);
    let resources = [stream.next().await, stream.next().await].map(|event| event.resource().to_owned());
    assert_eq!(resources, [first.id.to_string(), second.id.to_string()]);
}

#[tokio::test]
async fn an_open_stream_ends_with_the_service() {
    let app = TestApp::start().await;
    let stream = app.events(&app.user, "", None).await;
    app.stop_service().await;
    stream.end().await;
}
