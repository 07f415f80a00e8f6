//! A sender that cannot be opened shows as a dead task until it is connected.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::common::app::TestApp;
use crate::common::eventually;
use crate::people::{Connected, connected_with_friends, start};

const TASKS: &str = "/api/integrations/tasks";

/// The dead tasks of reconnects, as an administrator sees them.
async fn dead(app: &TestApp) -> Vec<Value> {
    app.admin().list(&format!("{TASKS}?name=reconnect")).await
}

async fn until_dead(app: &TestApp) -> Value {
    eventually("there is a dead letter", async || !dead(app).await.is_empty()).await;
    dead(app).await.remove(0)
}

async fn until_none_is_dead(app: &TestApp) {
    eventually("no dead letter is left", async || dead(app).await.is_empty()).await;
}

async fn replay(app: &TestApp, task: &Value) {
    let path = format!("{TASKS}/{}/replay", task["id"].as_str().unwrap());
    assert_eq!(app.admin().post(&path, &json!({})).await.ok(200)["status"], "ready");
}

async fn metric(app: &TestApp, count: u32) {
    let line = format!("integrations_tasks_dead{{task=\"reconnect\"}} {count}");
    let told = async || app.bearer(None).get("/metrics").await.text.lines().any(|found| found == line);
    eventually(&line, told).await;
}

/// Switches the account off and waits until it is not connected any more.
async fn switch_off(app: &TestApp, account: &Connected) {
    app.user.patch(&account.path(), &json!({ "is_active": false })).await.ok(200);
    eventually("it is disconnected", async || {
        app.sim.accounts().authorizations(account.person.id).iter().all(|authorization| !authorization.connected)
    })
    .await;
    let owned = "SELECT EXISTS (SELECT 1 FROM sender_leases WHERE sender_id = $1 AND worker_id IS NOT NULL)";
    eventually("it is given back", async || {
        !sqlx::query_scalar::<_, bool>(owned).bind(account.id).fetch_one(&app.pool).await.unwrap()
    })
    .await;
}

async fn switch_on(app: &TestApp, account: &Connected) {
    app.user.patch(&account.path(), &json!({ "is_active": true })).await.ok(200);
}

/// Puts a key on the stored session that is not in the keyring, as after a restore without it; returns the right one.
async fn lose_the_key(app: &TestApp, account: Uuid) -> Value {
    let right: Value = sqlx::query_scalar("SELECT session_data FROM telegram_sessions WHERE id = $1")
        .bind(account)
        .fetch_one(&app.pool)
        .await
        .unwrap();
    let wrong = json!({ "key": "lost" }).as_object().unwrap().clone();
    let mut sealed = right.as_object().unwrap().clone();
    sealed.extend(wrong);
    put_session(app, account, &Value::Object(sealed)).await;
    right
}

async fn put_session(app: &TestApp, account: Uuid, sealed: &Value) {
    let put = "UPDATE telegram_sessions SET session_data = $2 WHERE id = $1";
    sqlx::query(put).bind(account).bind(sealed).execute(&app.pool).await.unwrap();
}

#[tokio::test]
async fn an_account_whose_session_cannot_be_read_is_dead_and_connected_by_a_replay() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    switch_off(&app, &account).await;
    let right = lose_the_key(&app, account.id).await;
    switch_on(&app, &account).await;
    let message = account.send(&app, friends[0], "waits").await;
    let task = until_dead(&app).await;
    assert_eq!((&task["key"], &task["status"]), (&json!(account.id), &json!("dead")), "{task}");
    assert_eq!((&task["queue"], &task["is_local"]), (&json!("high"), &json!(true)), "{task}");
    let error = task["last_error"].as_str().unwrap();
    assert!(error.contains("`lost`") && error.contains("restore the keyring"), "{error}");
    metric(&app, 1).await;
    app.user.get(TASKS).await.problem(403, "forbidden");

    // Asked for in vain, it is dead again.
    replay(&app, &task).await;
    eventually("it is dead again", async || {
        let rows = dead(&app).await;
        rows.first().is_some_and(|again| again["status"] == "dead" && again["id"] != task["id"])
    })
    .await;
    assert_eq!(app.message(message).await["status"], "queued");

    put_session(&app, account.id, &right).await;
    replay(&app, &until_dead(&app).await).await;
    app.until(message, "sent").await;
    account.until(&app, "active").await;
    until_none_is_dead(&app).await;
    metric(&app, 0).await;
    let audited: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE action = 'task.replay'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(audited, 2);
    assert_eq!(account.person.sessions(&app), 1);
    assert_eq!(app.sim.accounts().counters().auth_key_duplicated, 0);
}

#[tokio::test]
async fn the_letter_goes_when_the_account_is_switched_off_or_another_process_connects_it() {
    let mut app = start().await;
    let (account, _) = connected_with_friends(&app, 1).await;
    switch_off(&app, &account).await;
    let right = lose_the_key(&app, account.id).await;
    switch_on(&app, &account).await;
    until_dead(&app).await;
    app.user.patch(&account.path(), &json!({ "is_active": false })).await.ok(200);
    until_none_is_dead(&app).await;

    switch_on(&app, &account).await;
    until_dead(&app).await;
    app.stop_service().await;
    put_session(&app, account.id, &right).await;
    app.start_service().await;
    account.until(&app, "active").await;
    until_none_is_dead(&app).await;
}

#[tokio::test]
async fn a_replay_does_not_shorten_a_wait_that_telegram_imposed() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    switch_off(&app, &account).await;
    account.refuse(&app, "users.getUsers", 420, "FLOOD_WAIT_5", 1);
    let begun = Instant::now();
    switch_on(&app, &account).await;
    let kept = "SELECT EXISTS (SELECT 1 FROM sender_leases WHERE sender_id = $1 AND connect_after > now())";
    eventually("the wait is kept", async || {
        sqlx::query_scalar::<_, bool>(kept).bind(account.id).fetch_one(&app.pool).await.unwrap()
    })
    .await;
    // As if it had failed long enough before.
    let error = "away".to_owned();
    let letter =
        store::tasks::DeadLocal { name: "reconnect", queue: 0, key: account.id, attempts: 12, max_attempts: 12, error };
    store::tasks::bury(&app.pool, &[&letter]).await.unwrap();
    replay(&app, &until_dead(&app).await).await;
    until_none_is_dead(&app).await;
    // So does whoever changes something.
    app.user.patch(&account.path(), &json!({ "metadata": { "desk": 3 } })).await.ok(200);
    app.user.post(&format!("{}/reconnect", account.path()), &json!({})).await.ok(200);
    let message = account.send(&app, friends[0], "after the wait").await;
    app.until(message, "sent").await;
    assert!(begun.elapsed() >= Duration::from_secs(5), "connected too early: {:?}", begun.elapsed());
}
