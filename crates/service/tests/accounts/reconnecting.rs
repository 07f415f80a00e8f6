//! The ways back of an account.

use serde_json::json;
use telegram_sim::mtproto::{NewAccount, Revocation};

use crate::common::app::TestApp;
use crate::people::{
    Connected, PASSWORD, Person, account_of, accounts, connect, connected, friends_of, login_path, login_step,
    password, start,
};

async fn reconnect(app: &TestApp, account: &Connected) -> crate::common::client::Answer {
    app.user.post(&format!("{}/reconnect", account.path()), &json!({})).await
}

/// The account's owner ends its session in the list of devices.
async fn revoke(app: &TestApp, account: &Connected) {
    app.sim.accounts().revoke(account.person.id, None, Revocation::Revoked).unwrap();
    app.sim.accounts().cut(None).unwrap();
    let dead = account.until(app, "needs_login").await;
    assert_eq!((&dead["status_reason"], &dead["is_active"]), (&json!("session_revoked"), &json!(false)), "{dead}");
}

#[tokio::test]
async fn an_account_that_lives_is_answered_at_once() {
    let app = start().await;
    let account = connected(&app).await;
    let answer = reconnect(&app, &account).await.ok(200);
    assert_eq!((&answer["id"], &answer["status"]), (&json!(account.id), &json!("active")));
    app.user.patch(&account.path(), &json!({ "is_active": false })).await.ok(200);
    let answer = reconnect(&app, &account).await.ok(200);
    assert_eq!(answer["is_active"], true);
    account.until(&app, "active").await;
    assert_eq!(account.person.sessions(&app), 1);
    assert_eq!(app.sim.accounts().counters().auth_key_duplicated, 0);
}

#[tokio::test]
async fn a_dead_account_is_logged_in_anew_and_keeps_its_row() {
    let app = start().await;
    let person = Person::with(&app.sim, NewAccount { dc: Some(4), ..password() });
    let friend = friends_of(&app, &person, 1)[0];
    let account = connect(&app, &person).await;
    app.user.patch(&account.path(), &json!({ "metadata": { "desk": 3 } })).await.ok(200);
    app.until(account.send(&app, friend, "before").await, "sent").await;
    revoke(&app, &account).await;
    let problem = app.user.patch(&account.path(), &json!({ "is_active": true })).await;
    problem.problem(409, "conflict");
    let login = reconnect(&app, &account).await.ok(202);
    assert_eq!(login["step"]["type"], "qr", "{login}");
    person.scan(&app, &login);
    login_step(&app.user, &login, "password").await;
    let path = format!("{}/password", login_path(&login));
    let done = app.user.post(&path, &json!({ "password": PASSWORD })).await.ok(202);
    assert_eq!(account_of(&done), account.id);
    let now = account.until(&app, "active").await;
    assert_eq!((&now["metadata"], &now["status_reason"]), (&json!({ "desk": 3 }), &json!(null)));
    app.until(account.send(&app, friend, "after").await, "sent").await;
    assert_eq!(account.wrote(&app), ["before", "after"]);
    let history = app.user.list(&format!("/api/integrations/messages?sender_id={}", account.id)).await;
    assert_eq!(history.len(), 2);
    assert_eq!(accounts(&app.user).await.len(), 1);
}

#[tokio::test]
async fn the_login_of_a_reconnect_can_go_by_phone() {
    let app = start().await;
    let account = connected(&app).await;
    revoke(&app, &account).await;
    let body = json!({ "method": "phone", "phone": account.person.phone });
    let login = app.user.post(&format!("{}/reconnect", account.path()), &body).await.ok(202);
    let code = json!({ "code": account.person.code(&app) });
    let done = app.user.post(&format!("{}/code", login_path(&login)), &code).await.ok(202);
    assert_eq!(account_of(&done), account.id);
    account.until(&app, "active").await;
}

#[tokio::test]
async fn connecting_a_dead_account_as_a_new_one_revives_it() {
    let app = start().await;
    let account = connected(&app).await;
    revoke(&app, &account).await;
    let again = connect(&app, &account.person).await;
    assert_eq!(again.id, account.id);
    account.until(&app, "active").await;
}

#[tokio::test]
async fn another_account_cannot_take_the_place() {
    let app = start().await;
    let account = connected(&app).await;
    revoke(&app, &account).await;
    let stranger = Person::new(&app.sim);
    let login = reconnect(&app, &account).await.ok(202);
    stranger.scan(&app, &login);
    let failed = login_step(&app.user, &login, "failed").await;
    assert_eq!(failed["step"]["code"], "account_mismatch");
    assert_eq!(account.now(&app).await["status"], "needs_login");
    assert_eq!(stranger.sessions(&app), 0, "what is not needed is logged out");
    assert_eq!(accounts(&app.user).await.len(), 1);
}
