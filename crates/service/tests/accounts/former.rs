//! A login finds its account there already: one of two sessions is given up, and Telegram ends it.

use serde_json::json;
use telegram_sim::mtproto::faults::{Action, Fault};

use crate::common::app::TestApp;
use crate::common::eventually;
use crate::people::{
    Connected, Person, account_of, accounts, begin_phone, connect, connected, connected_with_friends, friends_of,
    login_path, login_step, start,
};

/// Waits until the person is signed in once only, and nothing more is to be logged out.
async fn until_one_is_left(app: &TestApp, person: &Person) {
    eventually("one session is left", async || {
        let waiting = "SELECT count(*) FROM telegram_former_sessions";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&app.pool).await.unwrap();
        waiting == 0 && person.sessions(app) == 1
    })
    .await;
}

async fn is_the_only_one_and_works(app: &TestApp, account: &Connected) {
    account.until(app, "active").await;
    assert_eq!(accounts(&app.user).await.len(), 1);
    let friend = account.new_friend(app).await;
    app.until(account.send(app, friend, "still here").await, "sent").await;
    assert_eq!(app.arrived("still here"), 1);
}

/// Telegram does not let the account's session in at the moment, though it lives.
async fn left_outside(app: &mut TestApp, account: &Connected) {
    app.stop_service().await;
    account.refuse(app, "users.getUsers", 500, "NOT_NOW", 1000);
    app.start_service().await;
    account.until(app, "connecting").await;
}

#[tokio::test]
async fn a_session_that_is_not_connected_is_replaced_and_logged_out() {
    let mut app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    left_outside(&mut app, &account).await;
    let waits = account.send(&app, friends[0], "waits").await;
    app.sim.accounts().add_fault(Fault::new("auth.logOut", Action::Cut).times(2));
    let again = connect(&app, &account.person).await;
    assert_eq!(again.id, account.id);
    app.until(waits, "sent").await;
    app.sim.accounts().clear_faults();
    until_one_is_left(&app, &account.person).await;
    is_the_only_one_and_works(&app, &account).await;
}

#[tokio::test]
async fn it_is_logged_out_also_after_a_restart() {
    let mut app = start().await;
    let account = connected(&app).await;
    left_outside(&mut app, &account).await;
    connect(&app, &account.person).await;
    assert_eq!(account.person.sessions(&app), 2, "the former one is not let in yet");
    app.stop_service().await;
    app.sim.accounts().clear_faults();
    // It was taken by a process that is no more.
    let due = "UPDATE telegram_former_sessions SET next_try_at = now()";
    sqlx::query(due).execute(&app.pool).await.unwrap();
    app.start_service().await;
    until_one_is_left(&app, &account.person).await;
    is_the_only_one_and_works(&app, &account).await;
}

#[tokio::test]
async fn a_session_that_is_switched_off_is_replaced_and_logged_out() {
    let app = start().await;
    let account = connected(&app).await;
    app.user.patch(&account.path(), &json!({ "is_active": false })).await.ok(200);
    let again = connect(&app, &account.person).await;
    assert_eq!(again.id, account.id);
    until_one_is_left(&app, &account.person).await;
    is_the_only_one_and_works(&app, &account).await;
}

#[tokio::test]
async fn a_session_that_leaves_is_logged_out_though_its_account_comes_again() {
    let app = start().await;
    let account = connected(&app).await;
    app.sim.accounts().add_fault(Fault::new("auth.logOut", Action::Cut));
    assert_eq!(app.user.delete(&account.path()).await.status, 204);
    let again = connect(&app, &account.person).await;
    app.sim.accounts().clear_faults();
    until_one_is_left(&app, &account.person).await;
    is_the_only_one_and_works(&app, &again).await;
}

#[tokio::test]
async fn the_new_session_of_a_connected_account_is_logged_out_also_when_telegram_does_not_answer_at_first() {
    let app = start().await;
    let person = Person::new(&app.sim);
    friends_of(&app, &person, 1);
    let account = connect(&app, &person).await;
    app.sim.accounts().add_fault(Fault::new("auth.logOut", Action::Cut).times(3));
    let login = begin_phone(&app.user, &person).await;
    let code = json!({ "code": person.code(&app) });
    let done = app.user.post(&format!("{}/code", login_path(&login)), &code).await.ok(202);
    assert_eq!(account_of(&login_step(&app.user, &done, "done").await), account.id);
    until_one_is_left(&app, &person).await;
    is_the_only_one_and_works(&app, &account).await;
}
