//! Telegram wants an account to be left alone for a while.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::common::app::{LOGS, TestApp};
use crate::people::{Connected, connected_with_friends, start};

/// Until when the account is limited.
async fn limited_until(app: &TestApp, account: &Connected) -> DateTime<Utc> {
    account.until(app, "limited").await["status_until"].as_str().unwrap().parse().unwrap()
}

/// Lets the account's next message be refused with a flood wait.
async fn limit(app: &TestApp, account: &Connected, friend: i64, seconds: u32) -> uuid::Uuid {
    account.refuse(app, "messages.sendMessage", 420, &format!("FLOOD_WAIT_{seconds}"), 1);
    let message = account.send(app, friend, "refused").await;
    app.until_refused(message).await;
    message
}

async fn cancel(app: &TestApp, message: uuid::Uuid) {
    app.user.post(&format!("/api/integrations/messages/{message}/cancel"), &json!({})).await.ok(200);
}

#[tokio::test]
async fn it_ends_also_when_nothing_is_sent() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let mut events = app.events(&app.user, "", None).await;
    let message = limit(&app, &account, friends[0], 2).await;
    cancel(&app, message).await;
    let until = limited_until(&app, &account).await;
    // The one before is of the login.
    events.until(|event| event.kind == "account.limited").await;
    events.until(|event| event.kind == "account.active").await;
    assert!(Utc::now() >= until, "it ended before its time");
    let now = account.now(&app).await;
    assert_eq!(
        (&now["status"], &now["status_until"], &now["status_reason"]),
        (&json!("active"), &Value::Null, &Value::Null)
    );
    let logs = app.user.list(LOGS).await;
    let ended = logs.iter().position(|log| log["action"] == "active").unwrap();
    let began = logs.iter().position(|log| log["action"] == "limited").unwrap();
    assert!(ended < began, "the newest stands first: {logs:?}");
}

#[tokio::test]
async fn it_outlives_a_restart_and_a_lost_connection() {
    let mut app = start().await;
    let (account, friends) = connected_with_friends(&app, 2).await;
    let first = limit(&app, &account, friends[0], 6).await;
    let until = limited_until(&app, &account).await;
    app.stop_service().await;
    app.start_service().await;
    // Another chat waits too, though nobody told the new process: it has read so.
    let second = account.send(&app, friends[1], "second").await;
    app.sim.accounts().cut(Some(account.person.id)).unwrap();
    app.until_all(&[first, second], "sent").await;
    assert!(Utc::now() >= until, "sent before its time");
    assert_eq!(app.message(second).await["attempts"], 1, "Telegram was not asked in vain");
    account.until(&app, "active").await;
}

#[tokio::test]
async fn it_ends_also_when_its_time_passes_while_the_service_is_stopped() {
    let mut app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let message = limit(&app, &account, friends[0], 1).await;
    cancel(&app, message).await;
    let until = limited_until(&app, &account).await;
    app.stop_service().await;
    while Utc::now() <= until {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    app.start_service().await;
    let now = account.until(&app, "active").await;
    assert_eq!(now["status_until"], Value::Null);
}

#[tokio::test]
async fn one_while_a_name_is_asked_for_is_shown_and_holds_the_account() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    app.sim.world().lock().add_user(telegram_sim::world::NewUser {
        username: Some("asked_for".to_owned()),
        ..telegram_sim::world::NewUser::default()
    });
    account.refuse(&app, "contacts.resolveUsername", 420, "FLOOD_WAIT_3", 1);
    let named = account.send_body(&app, &json!({ "chat_id": "@asked_for", "text": "by name" })).await;
    let until = limited_until(&app, &account).await;
    assert_eq!(account.now(&app).await["status_reason"], "flood_wait");
    let other = account.send(&app, friends[0], "by number").await;
    app.until_all(&[named, other], "sent").await;
    assert!(Utc::now() >= until, "sent before its time");
    assert_eq!(account.wrote(&app), ["by name", "by number"]);
    account.until(&app, "active").await;
}
