//! Looking after bots: settings, off and on, webhooks, disconnecting.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::app::{BOTS, LOGS, MESSAGES, TestApp, too_many_requests};

#[tokio::test]
async fn settings_are_merged_and_found() {
    let app = TestApp::start().await;
    let (bot, other) = (app.connect_bot().await, app.connect_bot().await);
    app.user.patch(&bot.path(), &json!({ "settings": { "team": "sales", "limits": { "day": 5 } } })).await.ok(200);
    let patch = json!({ "settings": { "team": null, "limits": { "night": 1 }, "tags": ["a"] } });
    let merged = app.user.patch(&bot.path(), &patch).await.ok(200);
    assert_eq!(merged["settings"], json!({ "limits": { "day": 5, "night": 1 }, "tags": ["a"] }));
    assert_eq!(app.user.get(&bot.path()).await.ok(200)["settings"], merged["settings"]);
    assert!(merged["updated_at"].as_str() > merged["created_at"].as_str());
    let found = app.user.list(&format!("{BOTS}?settings=%7B%22limits%22:%7B%22night%22:1%7D%7D")).await;
    assert_eq!((found.len(), &found[0]["id"]), (1, &json!(bot.id)));
    app.user
        .patch(&other.path(), &json!({ "settings": { "big": "x".repeat(17_000) } }))
        .await
        .problem(400, "invalid_body");
    assert_eq!(app.user.get(&other.path()).await.ok(200)["settings"], json!({}));
}

#[tokio::test]
async fn a_bot_that_is_off_keeps_what_waits() {
    let app = TestApp::start().await;
    let (bot, other) = (app.connect_bot().await, app.connect_bot().await);
    let chat = app.person(&bot);
    let storm = app.disturb(chat, u32::MAX, too_many_requests(1));
    let waiting = app.send(&bot, chat, "waits").await;
    app.until_refused(waiting).await;
    let off = app.user.patch(&bot.path(), &json!({ "is_active": false })).await.ok(200);
    assert_eq!((&off["status"], &off["is_active"]), (&json!("off"), &json!(false)));
    let refused = app.user.post(&bot.send_path(), &json!({ "chat_id": chat, "text": "x" })).await;
    refused.problem(409, "sender_inactive");
    app.until_given_back(&bot).await;
    app.sim.api().faults().remove(storm);
    // The wait of the chat passes while the bot is off.
    let later = chrono::Utc::now() + chrono::TimeDelta::milliseconds(1200);
    let body = json!({ "chat_id": app.person(&other), "text": "later", "scheduled_at": later });
    app.until(app.send_body(&other, &body).await, "sent").await;
    assert_eq!((&app.message(waiting).await["status"], app.arrived("waits")), (&json!("queued"), 0));
    let on = app.user.patch(&bot.path(), &json!({ "is_active": true })).await.ok(200);
    assert_eq!(on["status"], "active");
    app.until(waiting, "sent").await;
}

#[tokio::test]
async fn disconnecting_cancels_what_waits_and_keeps_the_history() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let sent = app.send(&bot, chat, "sent").await;
    app.until(sent, "sent").await;
    app.disturb(chat, u32::MAX, too_many_requests(600));
    let queued = app.send(&bot, chat, "queued").await;
    app.until_refused(queued).await;
    let tomorrow = chrono::Utc::now() + chrono::TimeDelta::days(1);
    let body = json!({ "chat_id": chat, "text": "scheduled", "scheduled_at": tomorrow });
    let scheduled = app.send_body(&bot, &body).await;
    assert_eq!(app.user.delete(&bot.path()).await.ok(204), Value::Null);
    for message in [queued, scheduled] {
        let cancelled = app.message(message).await;
        assert_eq!((&cancelled["status"], &cancelled["error_code"]), (&json!("cancelled"), &json!("sender_deleted")));
        let resend = app.user.post(&format!("{MESSAGES}/{message}/resend"), &json!({})).await;
        resend.problem(409, "conflict");
    }
    app.user.get(&bot.path()).await.problem(404, "not_found");
    app.user.delete(&bot.path()).await.problem(404, "not_found");
    app.user.post(&bot.send_path(), &json!({ "chat_id": chat, "text": "x" })).await.problem(404, "not_found");
    assert_eq!(app.message(sent).await["status"], "sent");
    let logs = app.user.list(&format!("{LOGS}?action=disconnect")).await;
    assert_eq!(logs.len(), 1);
    let again = app.user.post(BOTS, &json!({ "token": bot.token })).await.ok(201);
    assert_ne!(again["id"], json!(bot.id));
}

#[tokio::test]
async fn a_webhook_set_elsewhere_stays_unless_it_is_to_be_taken_over() {
    let app = TestApp::start().await;
    let hook = json!({ "url": "https://other.example/hook" });
    for (take_over, removed, url) in [(false, false, "https://other.example/hook"), (true, true, "")] {
        let token = app.new_token();
        app.telegram(&token, "setWebhook", &hook).await;
        let connected = app.user.post(BOTS, &json!({ "token": token, "take_over": take_over })).await.ok(201);
        assert_eq!(connected["webhook"], json!({ "host": "other.example", "removed": removed }));
        assert_eq!(app.telegram(&token, "getWebhookInfo", &json!({})).await["url"], url);
    }
}

#[tokio::test]
async fn every_change_of_a_bot_is_audited() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let off = app.user.request(reqwest::Method::PATCH, &bot.path()).json(&json!({ "is_active": false }));
    app.user.send(off.header("x-request-id", "audit-me")).await.ok(200);
    app.user.delete(&bot.path()).await.ok(204);
    let entries: Vec<Value> =
        sqlx::query_scalar("SELECT to_jsonb(a) FROM audit_log AS a WHERE resource_id = $1 ORDER BY id")
            .bind(bot.id.to_string())
            .fetch_all(&app.pool)
            .await
            .unwrap();
    let actions: Vec<&str> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["bot.connect", "bot.update", "bot.disconnect"]);
    let update = &entries[1];
    assert_eq!((&update["user_id"], &update["request_id"]), (&json!(7), &json!("audit-me")));
    assert_eq!((&update["address"], &update["result"]), (&json!("127.0.0.1"), &json!("ok")));
    assert_eq!((&update["before"]["status"], &update["after"]["status"]), (&json!("active"), &json!("off")));
}

#[tokio::test]
async fn what_does_not_exist_is_404() {
    let app = TestApp::start().await;
    let path = format!("{BOTS}/{}", Uuid::now_v7());
    app.user.get(&path).await.problem(404, "not_found");
    app.user.patch(&path, &json!({})).await.problem(404, "not_found");
    app.user.delete(&path).await.problem(404, "not_found");
    app.user.post(&format!("{path}/token"), &json!({ "token": "1:2" })).await.problem(404, "not_found");
    app.user.post(&format!("{path}/send"), &json!({ "nonsense": 1 })).await.problem(404, "not_found");
}
