//! A person enters the code that Telegram sent to the phone.

use serde_json::{Value, json};
use telegram_sim::mtproto::NewAccount;
use telegram_sim::mtproto::faults::Fault;

use crate::common::app::TestApp;
use crate::people::{
    CONNECT, PASSWORD, Person, account_of, accounts, begin, begin_phone, connect, left_no_trace, login_path,
    login_step, password, start,
};

async fn enter(app: &TestApp, login: &Value, code: &str) -> crate::common::client::Answer {
    app.user.post(&format!("{}/code", login_path(login)), &json!({ "code": code })).await
}

/// A code that is not the right one.
fn wrong(code: &str) -> String {
    code.chars().map(|digit| if digit == '0' { '1' } else { '0' }).collect()
}

#[tokio::test]
async fn the_code_connects_the_account() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let login = begin_phone(&app.user, &person).await;
    assert_eq!((&login["step"]["type"], &login["step"]["sent_via"]), (&json!("code"), &json!("sms")), "{login}");
    assert_eq!((&login["step"]["length"], &login["step"]["next"]), (&json!(5), &json!("call")), "{login}");
    let code = person.code(&app);
    let spaced = format!("{} {}", &code[..2], &code[2..]);
    let done = enter(&app, &login, &spaced).await.ok(202);
    assert_eq!((&done["status"], &done["step"]["type"]), (&json!("done"), &json!("done")), "{done}");
    assert_eq!(accounts(&app.user).await[0]["id"], json!(account_of(&done)));
    left_no_trace(&app, &code).await;
}

#[tokio::test]
async fn a_person_with_another_device_gets_the_code_there() {
    let app = start().await;
    let person = Person::new(&app.sim);
    // The device is this very account, which another user connected.
    let account = connect(&app, &person).await;
    let login = begin_phone(&app.user, &person).await;
    assert_eq!((&login["step"]["sent_via"], &login["step"]["next"]), (&json!("app"), &json!("sms")), "{login}");
    let done = enter(&app, &login, &person.code(&app)).await.ok(202);
    assert_eq!(account_of(&done), account.id);
    assert_eq!(person.sessions(&app), 1);
}

#[tokio::test]
async fn a_code_is_sent_again_when_its_time_has_come() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let login = begin_phone(&app.user, &person).await;
    let resend = format!("{}/resend", login_path(&login));
    let early = app.user.post(&resend, &json!({})).await;
    early.problem(429, "telegram_wait");
    let wait: u64 = early.header("retry-after").parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    // The next one may be asked for at once.
    let other = Person::new(&app.sim);
    let mut settings = app.sim.accounts().settings();
    settings.code_timeout = 0;
    app.sim.accounts().set_settings(settings);
    let login = begin_phone(&app.user, &other).await;
    let first = other.code(&app);
    let again = app.user.post(&format!("{}/resend", login_path(&login)), &json!({})).await.ok(202);
    assert_eq!(again["step"]["sent_via"], "call", "{again}");
    assert!(again["step"].get("next").is_none_or(Value::is_null), "{again}");
    let second = other.code(&app);
    let done = enter(&app, &login, &second).await.ok(202);
    assert_eq!(done["step"]["type"], "done", "{done}; {first} {second}");
}

#[tokio::test]
async fn a_phone_of_another_data_centre_goes_on_there() {
    let app = start().await;
    let person = Person::far_away(&app.sim);
    let login = begin_phone(&app.user, &person).await;
    let done = enter(&app, &login, &person.code(&app)).await.ok(202);
    assert_eq!(done["step"]["type"], "done", "{done}");
    assert_eq!(app.sim.accounts().authorizations(person.id)[0].dc, 4);
}

#[tokio::test]
async fn a_wrong_code_can_be_followed_by_the_right_one() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let login = begin_phone(&app.user, &person).await;
    let code = person.code(&app);
    enter(&app, &login, &wrong(&code)).await.problem(422, "phone_code_invalid");
    let shown = app.user.get(&login_path(&login)).await.ok(200);
    assert_eq!((&shown["step"]["type"], &shown["problem"]["code"]), (&json!("code"), &json!("phone_code_invalid")));
    left_no_trace(&app, &code).await;
    left_no_trace(&app, &wrong(&code)).await;
    let done = enter(&app, &login, &code).await.ok(202);
    assert_eq!((&done["step"]["type"], &done["problem"]), (&json!("done"), &Value::Null));
}

#[tokio::test]
async fn a_code_that_is_too_old_is_followed_by_another() {
    let app = start().await;
    let mut settings = app.sim.accounts().settings();
    settings.code_timeout = 0;
    app.sim.accounts().set_settings(settings);
    let person = Person::new(&app.sim);
    let login = begin_phone(&app.user, &person).await;
    let code = person.code(&app);
    app.sim.accounts().expire_codes(&person.phone);
    enter(&app, &login, &code).await.problem(422, "phone_code_expired");
    let again = app.user.post(&format!("{}/resend", login_path(&login)), &json!({})).await.ok(202);
    assert_eq!(again["step"]["type"], "code", "{again}");
    assert_eq!(enter(&app, &login, &person.code(&app)).await.ok(202)["step"]["type"], "done");
}

#[tokio::test]
async fn after_the_code_the_password_is_asked_for_and_can_be_repeated() {
    let app = start().await;
    let person = Person::with(&app.sim, NewAccount { dc: Some(4), ..password() });
    let login = begin_phone(&app.user, &person).await;
    let asked = enter(&app, &login, &person.code(&app)).await.ok(202);
    assert_eq!((&asked["step"]["type"], &asked["step"]["hint"]), (&json!("password"), &json!("a comic")), "{asked}");
    let path = format!("{}/password", login_path(&login));
    for _ in 0..2 {
        app.user.post(&path, &json!({ "password": "wrong" })).await.problem(422, "password_invalid");
    }
    let shown = app.user.get(&login_path(&login)).await.ok(200);
    assert_eq!((&shown["step"]["type"], &shown["problem"]["code"]), (&json!("password"), &json!("password_invalid")));
    let done = app.user.post(&path, &json!({ "password": PASSWORD })).await.ok(202);
    assert_eq!(done["step"]["type"], "done", "{done}");
}

#[tokio::test]
async fn a_number_without_an_account_fails_clearly() {
    let app = start().await;
    let login = begin(&app.user, &json!({ "method": "phone", "phone": "+1 (555) 999-0000" })).await;
    let code = app.sim.accounts().login_code("15559990000").unwrap();
    let failed = enter(&app, &login, &code).await.ok(202);
    assert_eq!(
        (&failed["status"], &failed["step"]["code"]),
        (&json!("failed"), &json!("sign_up_required")),
        "{failed}"
    );
    let logs = app.user.list("/api/integrations/logs?status=error").await;
    assert_eq!((logs.len(), &logs[0]["details"]["code"]), (1, &json!("sign_up_required")));
}

#[tokio::test]
async fn refusals_and_waits_are_shown_as_telegram_means_them() {
    let app = start().await;
    let cases = [
        (420, "FLOOD_WAIT_37", "flood_wait", json!(37)),
        (400, "PHONE_NUMBER_INVALID", "phone_number_invalid", Value::Null),
        (400, "PHONE_NUMBER_BANNED", "phone_number_banned", Value::Null),
        (406, "PHONE_PASSWORD_FLOOD", "phone_password_flood", Value::Null),
        (400, "API_ID_PUBLISHED_FLOOD", "api_id_published_flood", Value::Null),
    ];
    for (status, error, code, wait) in cases {
        let person = Person::new(&app.sim);
        app.sim.accounts().add_fault(Fault::error("auth.sendCode", status, error).times(1));
        let login = begin_phone(&app.user, &person).await;
        let failed = login_step(&app.user, &login, "failed").await;
        assert_eq!((&failed["step"]["code"], &failed["step"]["retry_after"]), (&json!(code), &wait), "{failed}");
        // It is over: the same number begins anew.
        let again = begin_phone(&app.user, &person).await;
        assert_eq!((&again["step"]["type"], again["id"] == login["id"]), (&json!("code"), false));
    }
}

#[tokio::test]
async fn a_wait_for_the_code_or_the_password_is_said_with_its_time() {
    let app = start().await;
    let person = Person::with_password(&app.sim);
    let login = begin_phone(&app.user, &person).await;
    app.sim.accounts().add_fault(Fault::error("auth.signIn", 420, "FLOOD_WAIT_21").times(1));
    let refused = enter(&app, &login, &person.code(&app)).await;
    refused.problem(429, "telegram_wait");
    assert_eq!(refused.header("retry-after"), "21");
    assert_eq!(enter(&app, &login, &person.code(&app)).await.ok(202)["step"]["type"], "password");
    let path = format!("{}/password", login_path(&login));
    app.sim.accounts().add_fault(Fault::error("auth.checkPassword", 420, "FLOOD_WAIT_22").times(1));
    let refused = app.user.post(&path, &json!({ "password": PASSWORD })).await;
    refused.problem(429, "telegram_wait");
    assert_eq!(refused.header("retry-after"), "22");
    assert_eq!(app.user.post(&path, &json!({ "password": PASSWORD })).await.ok(202)["step"]["type"], "done");
}

#[tokio::test]
async fn a_login_that_was_given_up_leaves_nothing() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let login = begin_phone(&app.user, &person).await;
    let code = person.code(&app);
    assert_eq!(app.user.delete(&login_path(&login)).await.status, 204);
    let shown = app.user.get(&login_path(&login)).await.ok(200);
    assert_eq!((&shown["status"], &shown["step"]["type"]), (&json!("cancelled"), &json!("cancelled")));
    enter(&app, &login, &code).await.problem(409, "login_over");
    assert_eq!(app.user.delete(&login_path(&login)).await.status, 204);
    crate::common::eventually("the code is void", async || {
        app.sim.accounts().counters().methods.get("auth.cancelCode").is_some_and(|count| *count == 1)
    })
    .await;
    assert!(accounts(&app.user).await.is_empty());
    assert_eq!(person.sessions(&app), 0);
}

#[tokio::test]
async fn numbers_are_checked_before_anything_is_sent() {
    let app = start().await;
    for phone in ["", "12", "call me", "+1234567890123456"] {
        let body = json!({ "method": "phone", "phone": phone });
        let problem = app.user.post(CONNECT, &body).await.problem(400, "invalid_body");
        assert_eq!(problem["errors"][0]["pointer"], "/phone", "{problem}");
    }
    assert!(!app.sim.accounts().counters().methods.contains_key("auth.sendCode"));
}
