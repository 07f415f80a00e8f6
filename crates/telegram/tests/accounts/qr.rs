//! Logging in by QR code.

use std::sync::Arc;

use telegram::mtproto::{Login, LoginState, LoginStep};
use telegram_sim::mtproto::faults::{Action, Fault};

use crate::support::Telegram;

fn url(step: &LoginStep) -> &str {
    match step {
        LoginStep::Qr { url, .. } => url,
        other => panic!("no QR code: {other:?}"),
    }
}

#[tokio::test]
async fn a_scanned_code_logs_in() {
    let telegram = Telegram::start().await;
    let person = telegram.person("15550001001", 2);
    let mut login = Login::qr(Arc::clone(&telegram.options), Vec::new()).await.unwrap();
    telegram.server().scan(person, url(&login.step())).unwrap();
    let LoginStep::Done { user } = login.next().await.unwrap() else { panic!("{:?}", login.step()) };
    assert_eq!((user.id, user.phone.as_str()), (person, "+15550001001"));
    let account = login.into_account().unwrap();
    account.probe().await.unwrap();
    assert_eq!(account.session().user().unwrap().id, person);
}

#[tokio::test]
async fn the_account_lives_at_another_data_center() {
    let telegram = Telegram::start().await;
    let person = telegram.person("15550001002", 4);
    let mut login = Login::qr(Arc::clone(&telegram.options), Vec::new()).await.unwrap();
    telegram.server().scan(person, url(&login.step())).unwrap();
    assert!(matches!(login.next().await.unwrap(), LoginStep::Done { .. }));
    let account = login.into_account().unwrap();
    assert_eq!(account.session().export().0.home_dc, 4);
    account.probe().await.unwrap();
}

#[tokio::test]
async fn a_code_that_runs_out_is_replaced() {
    let telegram = Telegram::start().await;
    let mut settings = telegram.server().settings();
    settings.token_ttl = 4;
    telegram.server().set_settings(settings);
    let person = telegram.person("15550001003", 2);
    let mut login = Login::qr(Arc::clone(&telegram.options), Vec::new()).await.unwrap();
    let first = login.step();
    let second = login.next().await.unwrap();
    assert_ne!(url(&first), url(&second));
    telegram.server().scan(person, url(&second)).unwrap();
    assert!(matches!(login.next().await.unwrap(), LoginStep::Done { .. }));
}

#[tokio::test]
async fn a_break_while_waiting_loses_nothing() {
    let telegram = Telegram::start().await;
    let person = telegram.person("15550001004", 2);
    let mut login = Login::qr(Arc::clone(&telegram.options), Vec::new()).await.unwrap();
    let shown = login.step();
    telegram.server().cut(None).unwrap();
    telegram.server().scan(person, url(&shown)).unwrap();
    loop {
        match login.next().await {
            Ok(LoginStep::Done { user }) => break assert_eq!(user.id, person),
            Ok(LoginStep::Qr { .. }) => {}
            Err(problem) if problem.code == "no_answer" => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_account_that_is_connected_already_is_not_offered() {
    let telegram = Telegram::start().await;
    let person = telegram.person("15550001005", 2);
    let login = Login::qr(Arc::clone(&telegram.options), vec![person]).await.unwrap();
    assert!(telegram.server().scan(person, url(&login.step())).is_err());
}

#[tokio::test]
async fn a_password_is_asked_for_after_the_scan() {
    let telegram = Telegram::start().await;
    let person = telegram.person_with_password("15550001006", 5, "correct horse", "a horse");
    let mut login = Login::qr(Arc::clone(&telegram.options), Vec::new()).await.unwrap();
    telegram.server().scan(person, url(&login.step())).unwrap();
    assert_eq!(login.next().await.unwrap(), LoginStep::Password { hint: Some("a horse".to_owned()) });
    let step = login.submit_password("correct horse".into()).await.unwrap();
    assert!(matches!(step, LoginStep::Done { user } if user.id == person));
}

#[tokio::test]
async fn a_login_is_taken_up_again_with_a_new_code() {
    let telegram = Telegram::start().await;
    let person = telegram.person("15550001007", 2);
    let login = Login::qr(Arc::clone(&telegram.options), Vec::new()).await.unwrap();
    let stored = login.state().to_bytes();
    login.close().await;
    let state = LoginState::from_bytes(&stored).unwrap();
    assert_eq!(state.step(), None);
    let mut login = Login::resume(Arc::clone(&telegram.options), state).await.unwrap();
    telegram.server().scan(person, url(&login.step())).unwrap();
    assert!(matches!(login.next().await.unwrap(), LoginStep::Done { .. }));
}

#[tokio::test]
async fn a_refusal_ends_the_login_with_its_code() {
    let telegram = Telegram::start().await;
    telegram.fault(Fault::error("auth.exportLoginToken", 400, "API_ID_PUBLISHED_FLOOD"));
    let login = Login::qr(Arc::clone(&telegram.options), Vec::new()).await.unwrap();
    assert!(matches!(login.step(), LoginStep::Failed { code, .. } if code == "api_id_published_flood"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_passing_problem() {
    let telegram = Telegram::start().await;
    telegram.fault(Fault::new("auth.exportLoginToken", Action::Silence).times(1));
    let problem = Login::qr(telegram.impatient(), Vec::new()).await.err().unwrap();
    assert_eq!(problem.code, "no_answer");
}
