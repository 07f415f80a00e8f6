//! What Telegram can say against an account or its message, and what follows.

use std::time::Duration;

use serde_json::{Value, json};
use telegram_sim::mtproto::Revocation;
use telegram_sim::mtproto::faults::{Action, Fault};
use telegram_sim::world::{ChatKind, Member, MemberStatus, NewChat};

use crate::common::PATIENCE;
use crate::common::app::{LOGS, TestApp};
use crate::people::{Connected, account_of, connected_with_friends, login_step, start, start_with};

/// The account's log entries of an action.
async fn logged(app: &TestApp, action: &str) -> Vec<Value> {
    let logs = app.user.list(LOGS).await;
    logs.into_iter().filter(|log| log["action"] == action && log["integration_type"] == "telegram_account").collect()
}

/// Logs a dead account in anew.
async fn revive(app: &TestApp, account: &Connected) {
    let login = app.user.post(&format!("{}/reconnect", account.path()), &json!({})).await.ok(202);
    account.person.scan(app, &login);
    assert_eq!(account_of(&login_step(&app.user, &login, "done").await), account.id);
}

#[tokio::test]
async fn a_flood_wait_limits_the_account_until_it_is_over() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 2).await;
    let mut events = app.events(&app.user, "", None).await;
    account.refuse(&app, "messages.sendMessage", 420, "FLOOD_WAIT_2", 1);
    let first = account.send(&app, friends[0], "first").await;
    let refused = app.until_refused(first).await;
    let told = chrono::Utc::now().timestamp();
    assert_eq!(refused["attempt_list"][0]["code"], "flood_wait");
    let limited = events.until(|event| event.kind == "account.limited").await.pop().unwrap();
    assert_eq!((limited.resource(), &limited.data["data"]["reason"]), (&*account.id.to_string(), &json!("flood_wait")));
    let until: chrono::DateTime<chrono::Utc> = limited.data["data"]["until"].as_str().unwrap().parse().unwrap();
    let second = account.send(&app, friends[1], "second").await;
    app.until_all(&[first, second], "sent").await;
    let arrived = chrono::Utc::now();
    assert!(arrived >= until && until.timestamp() <= told + 2, "{arrived} {until}");
    events.until(|event| event.kind == "account.active").await;
    let now = account.until(&app, "active").await;
    assert_eq!((&now["status_until"], &now["status_reason"]), (&Value::Null, &Value::Null));
    assert_eq!(app.message(second).await["attempts"], 1, "the wait holds the whole account");
    let logs = logged(&app, "limited").await;
    assert_eq!((logs.len(), &logs[0]["status"], &logs[0]["error_message"]), (1, &json!("error"), &json!("flood_wait")));
    assert_eq!(account.wrote(&app).len(), 2);
}

#[tokio::test]
async fn a_wait_while_the_chat_is_looked_for_is_shown_too() {
    let app = start().await;
    let (account, _) = connected_with_friends(&app, 0).await;
    let mut events = app.events(&app.user, "", None).await;
    account.refuse(&app, "messages.getDialogs", 420, "FLOOD_WAIT_1", 1);
    // A supergroup that the account has not met: it is looked for among the dialogs.
    let message = account.send(&app, -1_001_234_567_890, "to nobody").await;
    events.until(|event| event.kind == "account.limited").await;
    assert_eq!(app.until(message, "failed").await["error_code"], "chat_not_found");
    assert_eq!(account.wrote(&app), [""; 0]);
}

#[tokio::test]
async fn slow_mode_holds_only_its_chat() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let group = app.sim.world().lock().add_chat(NewChat {
        kind: ChatKind::Supergroup,
        id: None,
        title: "Slow".to_owned(),
        username: Some("slow_group".to_owned()),
        members: vec![(friends[0], MemberStatus::Creator), (account.person.id, MemberStatus::Member)],
    });
    app.until(account.send_body(&app, &json!({ "chat_id": "@slow_group", "text": "zero" })).await, "sent").await;
    account.refuse(&app, "messages.sendMessage", 420, "SLOWMODE_WAIT_2", 1);
    let slow = account.send(&app, group, "slow").await;
    let refused = app.until_refused(slow).await;
    assert_eq!(refused["attempt_list"][0]["code"], "slow_mode");
    app.until(account.send(&app, friends[0], "quick").await, "sent").await;
    assert_eq!(account.now(&app).await["status"], "active", "the account is not limited");
    app.until(slow, "sent").await;
    assert_eq!(account.wrote(&app), ["zero", "quick", "slow"]);
}

#[tokio::test]
async fn refused_messages_fail_for_good_and_hold_nobody_up() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let cases = [
        (400, "PEER_FLOOD", "peer_flood"),
        (403, "CHAT_WRITE_FORBIDDEN", "not_enough_rights"),
        (400, "CHAT_ADMIN_REQUIRED", "not_enough_rights"),
        (400, "USER_BANNED_IN_CHANNEL", "not_enough_rights"),
        (400, "CHANNEL_PRIVATE", "kicked_from_chat"),
        (400, "USER_IS_BLOCKED", "blocked_by_user"),
        (400, "INPUT_USER_DEACTIVATED", "user_deactivated"),
        (400, "PEER_ID_INVALID", "chat_not_found"),
        (400, "SOMETHING_NEW", "telegram_refused"),
    ];
    for (status, error, code) in cases {
        account.refuse(&app, "messages.sendMessage", status, error, 1);
        let failed = app.until(account.send(&app, friends[0], error).await, "failed").await;
        assert_eq!((&failed["error_code"], &failed["attempts"]), (&json!(code), &json!(1)), "{failed}");
    }
    app.until(account.send(&app, friends[0], "goes on").await, "sent").await;
    assert_eq!(account.wrote(&app), ["goes on"]);
    assert_eq!(account.now(&app).await["status"], "active");
    let failures = app.user.list(&format!("{LOGS}?status=error")).await;
    assert_eq!(
        failures.len(),
        cases.len() + 1,
        "the one more is of the account: it was told that it writes to too many"
    );
}

#[tokio::test]
async fn lost_rights_are_said_by_telegram_itself() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let channel = app.sim.world().lock().add_chat(NewChat {
        kind: ChatKind::Channel,
        id: None,
        title: "News".to_owned(),
        username: Some("some_news".to_owned()),
        members: vec![(friends[0], MemberStatus::Creator), (account.person.id, MemberStatus::Administrator)],
    });
    app.until(account.send_body(&app, &json!({ "chat_id": "@some_news", "text": "mine" })).await, "sent").await;
    app.sim.world().lock().set_member(channel, account.person.id, Member::new(MemberStatus::Member), friends[0]);
    let failed = app.until(account.send(&app, channel, "not mine").await, "failed").await;
    assert_eq!(failed["error_code"], "not_enough_rights");
    app.sim.accounts().set_spam_limited(account.person.id, true).unwrap();
    let stranger = app.sim.world().lock().add_user(telegram_sim::world::NewUser {
        username: Some("a_stranger".to_owned()),
        ..telegram_sim::world::NewUser::default()
    });
    let cold = account.send_body(&app, &json!({ "chat_id": "@a_stranger", "text": "cold" })).await;
    let failed = app.until(cold, "failed").await;
    assert_eq!((&failed["error_code"], &failed["chat_id"]), (&json!("peer_flood"), &json!(stranger)));
    app.until(account.send(&app, friends[0], "warm").await, "sent").await;
}

#[tokio::test]
async fn a_message_that_telegram_knows_already_is_sent() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 2).await;
    // Carried out, but the answer is lost with the connection; the repetition is told that it is known.
    let lost = Fault::new("messages.sendMessage", Action::TakeThenCut).for_user(account.person.id);
    app.sim.accounts().add_fault(lost.times(1));
    let message = account.send(&app, friends[0], "once").await;
    let sent = app.until(message, "sent").await;
    assert_eq!((&sent["attempts"], app.arrived("once")), (&json!(2), 1), "{sent}");
    account.refuse(&app, "messages.sendMessage", 400, "RANDOM_ID_DUPLICATE", 1);
    app.until(account.send(&app, friends[1], "as if").await, "sent").await;
    assert_eq!(app.sim.accounts().counters().auth_key_duplicated, 0);
}

#[tokio::test]
async fn a_dead_session_needs_a_login_and_its_messages_wait() {
    let app = start().await;
    let cases = [
        (401, "AUTH_KEY_UNREGISTERED", "session_unregistered"),
        (401, "SESSION_REVOKED", "session_revoked"),
        (401, "SESSION_EXPIRED", "session_expired"),
        (406, "AUTH_KEY_DUPLICATED", "session_duplicated"),
    ];
    for (status, error, reason) in cases {
        let (account, friends) = connected_with_friends(&app, 1).await;
        let mut events = app.events(&app.user, "", None).await;
        account.refuse(&app, "messages.sendMessage", status, error, 1);
        let message = account.send(&app, friends[0], error).await;
        let dead = account.until(&app, "needs_login").await;
        assert_eq!((&dead["status_reason"], &dead["is_active"]), (&json!(reason), &json!(false)));
        events.until(|event| event.kind == "account.needs_login" && event.resource() == account.id.to_string()).await;
        assert_eq!(app.until_refused(message).await["status"], "queued", "it waits");
        let refused = app.user.post(&format!("{}/send", account.path()), &json!({ "chat_id": 1, "text": "x" })).await;
        refused.problem(409, "sender_inactive");
        let logs = logged(&app, "needs_login").await;
        assert!(
            logs.iter().any(|log| log["details"]["account_id"] == json!(account.id) && log["error_message"] == reason)
        );
        revive(&app, &account).await;
        app.until(message, "sent").await;
        assert_eq!(
            (account.wrote(&app), account.until(&app, "active").await["is_active"].clone()),
            (vec![error.to_owned()], json!(true))
        );
    }
}

#[tokio::test]
async fn a_closed_account_is_banned_and_says_so() {
    let app = start().await;
    for (error, reason) in [("USER_DEACTIVATED_BAN", "account_banned"), ("USER_DEACTIVATED", "account_deactivated")] {
        let (account, friends) = connected_with_friends(&app, 1).await;
        account.refuse(&app, "messages.sendMessage", 401, error, 1);
        let message = account.send(&app, friends[0], "x").await;
        let banned = account.until(&app, "banned").await;
        assert_eq!((&banned["status_reason"], &banned["is_active"]), (&json!(reason), &json!(false)));
        app.user.post(&format!("/api/integrations/messages/{message}/cancel"), &json!({})).await.ok(200);
    }
    assert_eq!(logged(&app, "banned").await.len(), 2);
}

/// The state of an account whose session Telegram ended while nothing was sent.
async fn ended(app: &TestApp, how: Revocation, cut: bool) -> Value {
    let (account, _) = connected_with_friends(app, 0).await;
    app.sim.accounts().revoke(account.person.id, None, how).unwrap();
    if cut {
        app.sim.accounts().cut(None).unwrap();
    }
    account.until(app, "needs_login").await["status_reason"].clone()
}

#[tokio::test]
async fn a_session_that_ends_while_nothing_is_sent_is_noticed() {
    let app = start_with(&[("INTEGRATIONS_TELEGRAM__ACCOUNT_PROBE_SECONDS", "1")]).await;
    assert_eq!(ended(&app, Revocation::Revoked, false).await, "session_revoked");
    assert_eq!(ended(&app, Revocation::Unregistered, false).await, "session_unregistered");
}

#[tokio::test]
async fn a_session_that_ends_while_the_line_is_cut_is_noticed() {
    let app = start().await;
    assert_eq!(ended(&app, Revocation::Expired, true).await, "session_expired");
    assert_eq!(ended(&app, Revocation::Duplicated, true).await, "session_duplicated");
}

#[tokio::test]
async fn a_silent_line_is_replaced() {
    let app = start_with(&[("INTEGRATIONS_TELEGRAM__ACCOUNT_PROBE_SECONDS", "1")]).await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let before = app.sim.accounts().counters().connections_accepted;
    app.sim.accounts().silence(Some(account.person.id), true).unwrap();
    // The time limit of a call is long, so this needs more patience than the others.
    let connected = async {
        while app.sim.accounts().counters().connections_accepted == before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(2 * PATIENCE, connected).await.expect("the account connects anew");
    app.until(account.send(&app, friends[0], "heard again").await, "sent").await;
    account.until(&app, "active").await;
    assert_eq!((app.arrived("heard again"), app.sim.accounts().counters().auth_key_duplicated), (1, 0));
}
