//! Chats that are called by name, and groups that get another id.

use serde_json::{Value, json};
use telegram_sim::bot_api::{Fault, FaultAction};
use telegram_sim::world::{ChatKind, MemberStatus, NewChat};

use crate::common::app::{Bot, TestApp};

fn chat(app: &TestApp, bot: &Bot, kind: ChatKind, username: Option<&str>) -> i64 {
    let members = vec![(app.person(bot), MemberStatus::Creator), (bot.telegram_id, MemberStatus::Administrator)];
    let username = username.map(str::to_owned);
    app.sim.world().lock().add_chat(NewChat { kind, id: None, title: "Chat".into(), username, members })
}

#[tokio::test]
async fn a_name_is_resolved_once_and_keeps_its_place() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let channel = chat(&app, &bot, ChatKind::Channel, Some("News_Of_Today"));
    // Long enough for the others to overtake, if they could.
    app.sim.add_fault(Fault::new(FaultAction::Delay { ms: 300 }).method("getChat"));
    let mut messages = Vec::new();
    for (n, target) in
        [json!("@news_of_today"), json!(channel), json!("@News_Of_Today"), json!(channel)].into_iter().enumerate()
    {
        messages.push(app.send_body(&bot, &json!({ "chat_id": target, "text": format!("{n}") })).await);
    }
    app.until_all(&messages, "sent").await;
    assert_eq!(app.texts(&bot, channel), ["0", "1", "2", "3"]);
    let later = app.send_body(&bot, &json!({ "chat_id": "@news_of_today", "text": "later" })).await;
    let sent = app.until(later, "sent").await;
    assert_eq!((&sent["chat_id"], &sent["chat_name"]), (&json!(channel), &json!("news_of_today")));
    assert_eq!(app.calls("getChat"), 1);
}

#[tokio::test]
async fn a_name_that_nobody_has_fails() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let person = app.person(&bot);
    let nobody = app.send_body(&bot, &json!({ "chat_id": "@nobody_here", "text": "x" })).await;
    let behind = app.send(&bot, person, "behind").await;
    let failed = app.until(nobody, "failed").await;
    assert_eq!((&failed["error_code"], &failed["attempts"]), (&json!("chat_not_found"), &json!(0)));
    assert_eq!(failed["chat_id"], Value::Null);
    app.until(behind, "sent").await;
}

#[tokio::test]
async fn a_name_is_asked_for_again_when_telegram_was_busy() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let channel = chat(&app, &bot, ChatKind::Channel, Some("busy_channel"));
    let busy = FaultAction::Http { status: 502, body: String::new(), taken: false };
    app.sim.add_fault(Fault::new(busy).method("getChat").times(1));
    let message = app.send_body(&bot, &json!({ "chat_id": "@busy_channel", "text": "patience" })).await;
    app.until(message, "sent").await;
    assert_eq!((app.texts(&bot, channel), app.calls("getChat")), (vec!["patience".to_owned()], 2));
}

#[tokio::test]
async fn a_group_that_became_a_supergroup_takes_its_queue_along() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let group = chat(&app, &bot, ChatKind::Group, None);
    app.until(app.send(&bot, group, "in the group").await, "sent").await;
    let supergroup = app.sim.world().lock().migrate_group(group).unwrap();
    // The others queue up behind the one that finds out, while there is much to do elsewhere.
    app.disturb(group, 1, FaultAction::Delay { ms: 100 });
    let mut messages = Vec::new();
    for n in 0..4 {
        messages.push(app.send(&bot, group, &format!("moved {n}")).await);
    }
    let elsewhere = app.person(&bot);
    for n in 0..30 {
        let message = app.send(&bot, elsewhere, &format!("{n}")).await;
        app.until(message, "sent").await;
    }
    app.until_all(&messages, "sent").await;
    assert_eq!(app.texts(&bot, supergroup), ["moved 0", "moved 1", "moved 2", "moved 3"]);
    assert_eq!(app.texts(&bot, group), ["in the group"]);
    let first = app.message(messages[0]).await;
    assert_eq!((&first["chat_id"], &first["attempt_list"][0]["code"]), (&json!(supergroup), &json!("chat_migrated")));
}
