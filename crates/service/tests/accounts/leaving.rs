//! An account is disconnected.

use std::time::Duration;

use serde_json::json;
use telegram_sim::mtproto::Revocation;
use telegram_sim::mtproto::faults::{Action, Fault};

use crate::common::PATIENCE;
use crate::common::app::{LOGS, TestApp};
use crate::common::eventually;
use crate::people::{Connected, Person, accounts, connect, connected, friends_of, start};

async fn until_erased(app: &TestApp) {
    eventually("the session is erased", async || {
        let count = "SELECT count(*) FROM telegram_sessions";
        sqlx::query_scalar::<_, i64>(count).fetch_one(&app.pool).await.unwrap() == 0
    })
    .await;
}

async fn disconnect(app: &TestApp, account: &Connected) {
    assert_eq!(app.user.delete(&account.path()).await.status, 204);
    app.user.get(&account.path()).await.problem(404, "not_found");
    app.user.delete(&account.path()).await.problem(404, "not_found");
    assert!(accounts(&app.user).await.is_empty());
}

#[tokio::test]
async fn it_is_logged_out_at_telegram_and_what_waited_is_cancelled() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let friend = friends_of(&app, &person, 1)[0];
    let account = connect(&app, &person).await;
    account.refuse(&app, "messages.sendMessage", 420, "FLOOD_WAIT_600", 1);
    let message = account.send(&app, friend, "never").await;
    app.until_refused(message).await;
    disconnect(&app, &account).await;
    let cancelled = app.until(message, "cancelled").await;
    assert_eq!(cancelled["error_code"], "sender_deleted");
    until_erased(&app).await;
    assert_eq!(person.sessions(&app), 0);
    let logs = app.user.list(LOGS).await;
    assert!(logs.iter().any(|log| log["action"] == "disconnect" && log["status"] == "success"), "{logs:?}");
}

#[tokio::test]
async fn what_may_have_arrived_is_not_called_cancelled() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let friend = friends_of(&app, &person, 1)[0];
    let account = connect(&app, &person).await;
    // Taken without an answer; the repeat has to wait, and never comes.
    app.sim.accounts().add_fault(Fault::new("messages.sendMessage", Action::TakeThenCut).times(1));
    account.refuse(&app, "messages.sendMessage", 420, "FLOOD_WAIT_600", 1);
    let message = account.send(&app, friend, "it came").await;
    app.until_refused(message).await;
    disconnect(&app, &account).await;
    let unknown = app.until(message, "unknown").await;
    assert_eq!(unknown["error_code"], "sender_deleted");
    assert_eq!(app.arrived("it came"), 1);
    until_erased(&app).await;
}

#[tokio::test]
async fn it_is_logged_out_also_when_telegram_does_not_answer_at_first() {
    let app = start().await;
    let account = connected(&app).await;
    app.sim.accounts().add_fault(Fault::new("auth.logOut", Action::Cut).times(2));
    disconnect(&app, &account).await;
    until_erased(&app).await;
    assert_eq!(account.person.sessions(&app), 0);
    assert_eq!(app.sim.accounts().counters().auth_key_duplicated, 0);
}

#[tokio::test]
async fn it_is_logged_out_also_when_the_line_is_silent_at_first() {
    let app = start().await;
    let account = connected(&app).await;
    app.sim.accounts().silence(Some(account.person.id), true).unwrap();
    app.sim.accounts().add_fault(Fault::new("auth.logOut", Action::Silence).times(1));
    let before = app.sim.accounts().counters().connections_accepted;
    disconnect(&app, &account).await;
    // The time limit of a call is long, so this needs more patience than the others.
    let rows = async || {
        let count = "SELECT count(*) FROM telegram_sessions WHERE delete_requested_at IS NOT NULL";
        sqlx::query_scalar::<_, i64>(count).fetch_one(&app.pool).await.unwrap()
    };
    let erased = async {
        while rows().await == 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(3 * PATIENCE, erased).await.expect("the session is erased in the end");
    assert!(app.sim.accounts().counters().connections_accepted >= before + 2, "it was tried again");
    assert_eq!(account.person.sessions(&app), 0);
    assert_eq!(app.sim.accounts().counters().auth_key_duplicated, 0);
}

#[tokio::test]
async fn it_is_logged_out_also_after_a_restart() {
    let mut app = start().await;
    let account = connected(&app).await;
    app.sim.accounts().add_fault(Fault::new("auth.logOut", Action::Cut));
    disconnect(&app, &account).await;
    app.stop_service().await;
    assert_eq!(account.person.sessions(&app), 1);
    app.sim.accounts().clear_faults();
    app.start_service().await;
    until_erased(&app).await;
    assert_eq!(account.person.sessions(&app), 0);
}

#[tokio::test]
async fn a_session_that_telegram_has_ended_already_is_erased() {
    let app = start().await;
    let account = connected(&app).await;
    app.sim.accounts().revoke(account.person.id, None, Revocation::Revoked).unwrap();
    disconnect(&app, &account).await;
    until_erased(&app).await;
}

#[tokio::test]
async fn who_left_can_come_again() {
    let app = start().await;
    let account = connected(&app).await;
    app.sim.accounts().add_fault(Fault::new("auth.logOut", Action::Cut));
    disconnect(&app, &account).await;
    // The old session still leaves when the person connects anew.
    let again = connect(&app, &account.person).await;
    app.sim.accounts().clear_faults();
    assert_eq!(again.now(&app).await["status"], "active");
    assert_eq!(accounts(&app.user).await.len(), 1);
    let friend = again.new_friend(&app).await;
    app.until(again.send(&app, friend, "back").await, "sent").await;
    assert_eq!(json!(accounts(&app.user).await[0]["id"]), json!(again.id));
}
