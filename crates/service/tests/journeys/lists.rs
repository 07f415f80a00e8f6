//! Lists: pages, filters, and whose rows they show.

use std::collections::HashSet;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::common::app::{BOTS, LOGS, MESSAGES, TestApp, id_of};

fn ids(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_have_no_gaps_and_no_doubles_while_more_comes_in() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let (people, path) = (app.people(&bot, 10), bot.send_path());
    let send = |n: usize| {
        let body = json!({ "chat_id": people[n % 10], "text": format!("{n}") });
        let (app, path) = (&app, &path);
        async move { id_of(&app.user.post(path, &body).await.ok(202)) }
    };
    let first: Vec<_> = join_all((0..125).map(send)).await;
    let start = app.user.get(&format!("{MESSAGES}?limit=50")).await.ok(200);
    let cursor = start["next_cursor"].as_str().unwrap();
    let second: Vec<_> = join_all((125..150).map(send)).await;
    let rest = app.user.pages(&format!("{MESSAGES}?limit=50&cursor={cursor}")).await;
    assert_eq!(rest.iter().map(Vec::len).collect::<Vec<_>>(), [50, 25]);
    let shown: Vec<String> = ids(&[start["items"].as_array().unwrap().clone(), rest.concat()].concat());
    let mut expected: Vec<String> = first.iter().map(ToString::to_string).collect();
    expected.sort();
    expected.reverse();
    assert_eq!(shown, expected, "newest first, without what came later");
    assert_eq!(app.user.list(&format!("{MESSAGES}?limit=200")).await.len(), 150);
    assert_eq!(app.user.pages(MESSAGES).await.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 50]);
    app.until_all(&first, "sent").await;
    app.until_all(&second, "sent").await;
}

#[tokio::test]
async fn messages_are_filtered() {
    let app = TestApp::start().await;
    let (bot, other) = (app.connect_bot().await, app.connect_bot().await);
    let chat = app.person(&bot);
    let before = chrono::Utc::now();
    let sent = app.send(&bot, chat, "sent").await;
    let failed = app.send(&other, 1, "failed").await;
    app.until(sent, "sent").await;
    app.until(failed, "failed").await;
    let at = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let (from, after) = (at(before - chrono::TimeDelta::seconds(5)), at(before + chrono::TimeDelta::hours(1)));
    for (query, expected) in [
        ("status=sent".to_owned(), vec![sent]),
        ("status=failed,unknown".to_owned(), vec![failed]),
        ("status=sent,failed".to_owned(), vec![failed, sent]),
        ("status=queued".to_owned(), vec![]),
        (format!("sender_id={}", bot.id), vec![sent]),
        (format!("chat_id={chat}"), vec![sent]),
        (format!("chat_id={chat}&status=failed"), vec![]),
        (format!("from={from}&to={after}"), vec![failed, sent]),
        (format!("from={after}"), vec![]),
        (format!("to={from}"), vec![]),
    ] {
        let found = ids(&app.user.list(&format!("{MESSAGES}?{query}")).await);
        assert_eq!(found, expected.iter().map(ToString::to_string).collect::<Vec<_>>(), "{query}");
    }
    app.user.get(&format!("{MESSAGES}?status=gone")).await.problem(400, "invalid_parameter");
}

#[tokio::test]
async fn bots_are_filtered_and_paged() {
    let app = TestApp::start().await;
    let mut bots = Vec::new();
    for _ in 0..5 {
        bots.push(app.connect_bot().await);
    }
    app.user.patch(&bots[1].path(), &json!({ "is_active": false })).await.ok(200);
    let pages = app.user.pages(&format!("{BOTS}?limit=2")).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    let expected: Vec<String> = bots.iter().rev().map(|bot| bot.id.to_string()).collect();
    assert_eq!(ids(&pages.concat()), expected);
    assert_eq!(ids(&app.user.list(&format!("{BOTS}?status=off")).await), [bots[1].id.to_string()]);
    let name = format!("SIM{}_bot", bots[3].telegram_id);
    assert_eq!(ids(&app.user.list(&format!("{BOTS}?username={name}")).await), [bots[3].id.to_string()]);
    app.user.get(&format!("{BOTS}?settings=[1]")).await.problem(400, "invalid_parameter");
}

#[tokio::test]
async fn logs_are_filtered_and_paged() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 3);
    for chat in &chats {
        app.until(app.send(&bot, *chat, "x").await, "sent").await;
    }
    let failed = app.send(&bot, 1, "x").await;
    app.until(failed, "failed").await;
    let count = async |query: &str| app.user.list(&format!("{LOGS}?{query}")).await.len();
    assert_eq!(count("").await, 5);
    assert_eq!((count("action=send").await, count("action=connect").await), (4, 1));
    assert_eq!((count("status=error").await, count("status=success&action=send").await), (1, 3));
    assert_eq!(
        (count("integration_type=telegram_bot").await, count("integration_type=telegram_account").await),
        (5, 0)
    );
    assert_eq!(count(&format!("details=%7B%22message_id%22:%22{failed}%22%7D")).await, 1);
    assert_eq!((count("from=2100-01-01T00:00:00Z").await, count("to=2100-01-01T00:00:00Z").await), (0, 5));
    app.user.get(&format!("{LOGS}?status=fine")).await.problem(400, "invalid_parameter");
    let pages = app.user.pages(&format!("{LOGS}?limit=2")).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(ids(&pages.concat()).into_iter().collect::<HashSet<_>>().len(), 5);
}

#[tokio::test]
async fn rows_of_others_are_not_there_and_an_administrator_sees_all() {
    let app = TestApp::start().await;
    let (other, admin) = (app.user(8), app.admin());
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let message = app.send(&bot, chat, "mine").await;
    app.until(message, "sent").await;
    let body = json!({ "chat_id": chat, "text": "x" });
    let message_path = format!("{MESSAGES}/{message}");
    for path in [&bot.path(), &message_path] {
        other.get(path).await.problem(404, "not_found");
        admin.get(path).await.ok(200);
    }
    other.patch(&bot.path(), &json!({ "is_active": false })).await.problem(404, "not_found");
    other.delete(&bot.path()).await.problem(404, "not_found");
    other.post(&bot.send_path(), &body).await.problem(404, "not_found");
    other.post(&format!("{}/token", bot.path()), &json!({ "token": bot.token })).await.problem(404, "not_found");
    other.post(&format!("{message_path}/cancel"), &json!({})).await.problem(404, "not_found");
    for list in [BOTS, MESSAGES, LOGS] {
        assert!(other.list(list).await.is_empty(), "{list}");
        assert!(!admin.list(list).await.is_empty(), "{list}");
    }
    let by_admin = admin.post(&bot.send_path(), &body).await.ok(202);
    let sent = app.until(id_of(&by_admin), "sent").await;
    assert_eq!(sent["user_id"], 7, "a message belongs to the owner of its sender");
}
