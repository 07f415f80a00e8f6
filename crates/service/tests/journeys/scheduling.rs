//! Messages for later.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::common::app::TestApp;

#[tokio::test]
async fn a_message_goes_out_at_its_time_and_not_before() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let at = Utc::now() + TimeDelta::milliseconds(1500);
    let later = app.send_body(&bot, &json!({ "chat_id": chat, "text": "later", "scheduled_at": at })).await;
    assert_eq!(app.message(later).await["status"], "scheduled");
    let now = app.send(&bot, chat, "now").await;
    app.until_all(&[now, later], "sent").await;
    assert_eq!(app.texts(&bot, chat), ["now", "later"], "what is not due yet holds up nothing");
    assert!(app.arrivals(&bot, chat)[1].arrived_ms >= at.timestamp_millis());
}

#[tokio::test]
async fn messages_for_the_same_time_keep_their_order() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let at = Utc::now() + TimeDelta::seconds(1);
    let mut messages = Vec::new();
    for n in 0..5 {
        let body = json!({ "chat_id": chat, "text": format!("{n}"), "scheduled_at": at });
        messages.push(app.send_body(&bot, &body).await);
    }
    app.until_all(&messages, "sent").await;
    assert_eq!(app.texts(&bot, chat), ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn times_that_make_no_sense_are_refused() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let now = Utc::now();
    let send = async |at: DateTime<Utc>| {
        app.user.post(&bot.send_path(), &json!({ "chat_id": chat, "text": "x", "scheduled_at": at })).await
    };
    for at in [now - TimeDelta::hours(1), now + TimeDelta::days(366)] {
        let problem = send(at).await.problem(400, "invalid_body");
        assert_eq!(problem["errors"][0]["pointer"], "/scheduled_at");
    }
    let just_past = send(now - TimeDelta::seconds(10)).await.ok(202);
    assert_eq!(just_past["status"], "queued", "clocks differ a little");
    app.until(crate::common::app::id_of(&just_past), "sent").await;
    let far = send(now + TimeDelta::days(364)).await.ok(202);
    assert_eq!(far["status"], "scheduled");
    app.change(crate::common::app::id_of(&far), "cancel").await;
}
