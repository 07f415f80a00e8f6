//! The password of two-step verification.

use std::sync::Arc;

use futures::future::join_all;
use telegram::mtproto::{Login, LoginState, LoginStep};
use telegram_sim::mtproto::faults::{Action, Fault};

use crate::support::Telegram;

const PHONE: &str = "+15550003000";

async fn at_password(telegram: &Telegram, phone: &str) -> Login {
    let mut login = Login::phone(Arc::clone(&telegram.options), phone).await.expect("Telegram answers");
    let step = login.submit_code(&telegram.code(phone).into()).await.expect("the code is right");
    assert_eq!(step, LoginStep::Password { hint: Some("the usual".to_owned()) });
    login
}

#[tokio::test]
async fn a_wrong_password_can_be_followed_by_the_right_one() {
    let telegram = Telegram::start().await;
    let person = telegram.person_with_password(PHONE, 2, "hunter2", "the usual");
    let mut login = at_password(&telegram, PHONE).await;
    for wrong in ["", "hunter3", "HUNTER2"] {
        let problem = login.submit_password(wrong.into()).await.unwrap_err();
        assert_eq!(problem.code, "password_invalid");
    }
    let step = login.submit_password("hunter2".into()).await.unwrap();
    assert!(matches!(step, LoginStep::Done { user } if user.id == person));
    login.into_account().unwrap().probe().await.unwrap();
}

#[tokio::test]
async fn a_crash_returns_to_the_password() {
    let telegram = Telegram::start().await;
    telegram.person_with_password(PHONE, 4, "hunter2", "the usual");
    let login = at_password(&telegram, PHONE).await;
    let stored = login.state().to_bytes();
    drop(login);
    let mut login =
        Login::resume(Arc::clone(&telegram.options), LoginState::from_bytes(&stored).unwrap()).await.unwrap();
    assert_eq!(login.step(), LoginStep::Password { hint: Some("the usual".to_owned()) });
    assert!(matches!(login.submit_password("hunter2".into()).await.unwrap(), LoginStep::Done { .. }));
}

#[tokio::test]
async fn the_password_is_not_stored() {
    let telegram = Telegram::start().await;
    telegram.person_with_password(PHONE, 2, "hunter2", "the usual");
    let mut login = at_password(&telegram, PHONE).await;
    let code = telegram.code(PHONE);
    login.submit_password("hunter2".into()).await.unwrap();
    let stored = String::from_utf8(login.state().to_bytes().to_vec()).unwrap();
    assert!(!stored.contains("hunter2"));
    assert!(!stored.contains(&format!("\"{code}\"")));
}

#[tokio::test]
async fn a_stale_question_is_asked_again() {
    let telegram = Telegram::start().await;
    telegram.person_with_password(PHONE, 2, "hunter2", "the usual");
    let mut login = at_password(&telegram, PHONE).await;
    telegram.fault(Fault::error("auth.checkPassword", 400, "SRP_ID_INVALID").times(1));
    assert!(matches!(login.submit_password("hunter2".into()).await.unwrap(), LoginStep::Done { .. }));
}

#[tokio::test]
async fn too_many_wrong_passwords_have_to_wait() {
    let telegram = Telegram::start().await;
    telegram.person_with_password(PHONE, 2, "hunter2", "the usual");
    let mut login = at_password(&telegram, PHONE).await;
    telegram.fault(Fault::error("auth.checkPassword", 420, "FLOOD_WAIT_60").times(1));
    let problem = login.submit_password("hunter2".into()).await.unwrap_err();
    assert_eq!((problem.code, problem.retry_after().map(|after| after.as_secs())), ("flood_wait", Some(60)));
    assert!(matches!(login.submit_password("hunter2".into()).await.unwrap(), LoginStep::Done { .. }));
}

#[tokio::test]
async fn a_break_before_the_hint_still_moves_on_to_the_password() {
    let telegram = Telegram::start().await;
    telegram.person_with_password(PHONE, 2, "hunter2", "the usual");
    let mut login = Login::phone(Arc::clone(&telegram.options), PHONE).await.unwrap();
    telegram.fault(Fault::new("account.getPassword", Action::Cut).times(1));
    assert_eq!(login.submit_code(&telegram.code(PHONE).into()).await.unwrap_err().code, "no_answer");
    assert_eq!(login.step(), LoginStep::Password { hint: None });
    assert!(matches!(login.submit_password("hunter2".into()).await.unwrap(), LoginStep::Done { .. }));
}

#[tokio::test]
async fn many_passwords_at_once_take_turns() {
    let telegram = Telegram::start().await;
    let phones: Vec<String> = (0..6).map(|n| format!("+1555000310{n}")).collect();
    for phone in &phones {
        telegram.person_with_password(phone, 2, "hunter2", "the usual");
    }
    let logins = phones.iter().map(|phone| async {
        let mut login = at_password(&telegram, phone).await;
        login.submit_password("hunter2".into()).await.expect("the password is right")
    });
    for step in join_all(logins).await {
        assert!(matches!(step, LoginStep::Done { .. }), "{step:?}");
    }
}
