//! Telegram takes an account's messages to strangers for spam.

use serde_json::{Value, json};
use telegram_sim::mtproto::faults::{Action, Fault};
use telegram_sim::world::NewUser;
use uuid::Uuid;

use crate::common::app::{LOGS, TestApp};
use crate::people::{Connected, connected_with_friends, start, start_with};

/// Somebody who has never written to the account; gives the id and the name.
fn stranger(app: &TestApp, name: &str) -> (i64, String) {
    let username = Some(name.to_owned());
    (app.sim.world().lock().add_user(NewUser { username, ..NewUser::default() }), format!("@{name}"))
}

async fn send(app: &TestApp, account: &Connected, to: impl Into<Value>, text: &str) -> Uuid {
    account.send_body(app, &json!({ "chat_id": to.into(), "text": text })).await
}

async fn refused(app: &TestApp, message: Uuid) -> Value {
    let failed = app.until(message, "failed").await;
    assert_eq!(failed["error_code"], "peer_flood", "{failed}");
    failed
}

#[tokio::test]
async fn no_more_of_them_are_tried_and_the_others_go_on() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 2).await;
    let mut events = app.events(&app.user, "", None).await;
    let (_, met) = stranger(&app, "met_before");
    app.until(send(&app, &account, met.clone(), "first contact").await, "sent").await;
    assert_eq!(account.now(&app).await["peer_flood_until"], Value::Null);
    let (_, name) = stranger(&app, "one_too_many");
    account.refuse(&app, "messages.sendMessage", 400, "PEER_FLOOD", 1);
    refused(&app, send(&app, &account, name.clone(), "cold").await).await;
    let told = events.until(|event| event.kind == "account.peer_flood").await.pop().unwrap();
    assert_eq!(told.resource(), account.id.to_string());
    let now = account.now(&app).await;
    assert_eq!((&now["status"], &now["peer_flood_until"]), (&json!("active"), &told.data["data"]["until"]));
    let logs = app.user.list(&format!("{LOGS}?status=error")).await;
    assert!(logs.iter().any(|log| log["action"] == "peer_flood" && log["details"]["account_id"] == json!(account.id)));

    // Telegram would take them now; it is not asked.
    let failed = refused(&app, send(&app, &account, name, "cold again").await).await;
    assert!(failed["error_message"].as_str().unwrap().contains("strangers"), "{failed}");
    let (id, other) = stranger(&app, "another_one");
    refused(&app, send(&app, &account, other, "cold too").await).await;
    let warm = [
        send(&app, &account, friends[0], "to who wrote once").await,
        send(&app, &account, met, "to who was written to").await,
        send(&app, &account, account.person.id, "to myself").await,
    ];
    app.until_all(&warm, "sent").await;
    assert_eq!(account.wrote(&app), ["first contact", "to who wrote once", "to who was written to", "to myself"]);
    // Who answers is no stranger any more.
    app.sim.accounts().deliver(id, account.person.id, "who are you?").unwrap();
    events.until(|event| event.kind == "account.message_new" && event.data["data"]["chat_id"] == id).await;
    app.until(send(&app, &account, id, "a friend").await, "sent").await;
}

#[tokio::test]
async fn it_outlives_a_restart() {
    let mut app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let (_, name) = stranger(&app, "somebody_new");
    account.refuse(&app, "messages.sendMessage", 400, "PEER_FLOOD", 1);
    refused(&app, send(&app, &account, name.clone(), "cold").await).await;
    let until = account.now(&app).await["peer_flood_until"].clone();
    app.stop_service().await;
    app.start_service().await;
    refused(&app, send(&app, &account, name, "cold again").await).await;
    app.until(send(&app, &account, friends[0], "warm").await, "sent").await;
    assert_eq!(account.now(&app).await["peer_flood_until"], until);
    assert_eq!(account.wrote(&app), ["warm"]);
}

#[tokio::test]
async fn it_ends() {
    let app = start_with(&[("INTEGRATIONS_TELEGRAM__PEER_FLOOD_SECONDS", "2")]).await;
    let (account, _) = connected_with_friends(&app, 0).await;
    let (_, name) = stranger(&app, "for_a_while");
    account.refuse(&app, "messages.sendMessage", 400, "PEER_FLOOD", 1);
    refused(&app, send(&app, &account, name.clone(), "cold").await).await;
    crate::common::eventually("the time is over", async || account.now(&app).await["peer_flood_until"].is_null()).await;
    app.until(send(&app, &account, name, "again").await, "sent").await;
    assert_eq!(account.wrote(&app), ["again"]);
}

#[tokio::test]
async fn whom_the_account_knows_is_asked_again_when_telegram_was_busy() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let (_, name) = stranger(&app, "not_known");
    account.refuse(&app, "messages.sendMessage", 400, "PEER_FLOOD", 1);
    refused(&app, send(&app, &account, name, "cold").await).await;
    account.refuse(&app, "messages.getDialogs", 420, "FLOOD_WAIT_1", 1);
    app.until(send(&app, &account, friends[0], "warm").await, "sent").await;
    assert_eq!(account.wrote(&app), ["warm"]);
}

#[tokio::test]
async fn what_may_have_arrived_is_repeated_and_not_called_failed() {
    let mut app = start().await;
    let (account, _) = connected_with_friends(&app, 0).await;
    let (_, name) = stranger(&app, "no_answer");
    let lost = Fault::new("messages.sendMessage", Action::TakeThenCut).for_user(account.person.id);
    app.sim.accounts().add_fault(lost.times(1));
    let message = send(&app, &account, name, "taken").await;
    app.until_refused(message).await;
    app.stop_service().await;
    let block = "UPDATE telegram_sessions SET strangers_blocked_until = now() + interval '1 day'";
    sqlx::query(block).execute(&app.pool).await.unwrap();
    app.start_service().await;
    app.until(message, "sent").await;
    assert_eq!(app.arrived("taken"), 1);
}
