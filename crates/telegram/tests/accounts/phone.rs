//! Logging in by a code sent to a phone.

use std::sync::Arc;

use telegram::mtproto::{CodeChannel, Login, LoginState, LoginStep};
use telegram_sim::mtproto::faults::{Action, Fault};

use crate::support::Telegram;

const PHONE: &str = "+15550002000";

async fn begin(telegram: &Telegram) -> Login {
    Login::phone(Arc::clone(&telegram.options), PHONE).await.expect("Telegram answers")
}

fn failed_with(step: &LoginStep) -> (&str, Option<u64>) {
    match step {
        LoginStep::Failed { code, retry_after, .. } => (code, *retry_after),
        other => panic!("did not fail: {other:?}"),
    }
}

#[tokio::test]
async fn the_right_code_logs_in_at_the_data_center_of_the_phone() {
    let telegram = Telegram::start().await;
    let person = telegram.person(PHONE, 4);
    let mut login = begin(&telegram).await;
    let LoginStep::Code { sent_via, length, resend_at, next } = login.step() else { panic!("{:?}", login.step()) };
    assert_eq!((sent_via, length, next), (CodeChannel::Sms, Some(5), Some(CodeChannel::Call)));
    assert!(resend_at.is_some());
    let step = login.submit_code(&telegram.code(PHONE).into()).await.unwrap();
    assert!(matches!(step, LoginStep::Done { user } if user.id == person));
    let account = login.into_account().unwrap();
    assert_eq!(account.session().export().0.home_dc, 4);
    account.probe().await.unwrap();
}

#[tokio::test]
async fn a_wrong_code_can_be_followed_by_the_right_one() {
    let telegram = Telegram::start().await;
    telegram.person(PHONE, 2);
    let mut login = begin(&telegram).await;
    let shown = login.step();
    for wrong in ["00", " ", "abcde"] {
        assert_eq!(login.submit_code(&wrong.into()).await.unwrap_err().code, "phone_code_invalid");
        assert_eq!(login.step(), shown);
    }
    let mut spaced = telegram.code(PHONE);
    spaced.insert(3, ' ');
    assert!(matches!(login.submit_code(&spaced.into()).await.unwrap(), LoginStep::Done { .. }));
}

#[tokio::test]
async fn an_expired_code_is_followed_by_a_new_one() {
    let telegram = Telegram::start().await;
    let mut settings = telegram.server().settings();
    settings.code_timeout = 0;
    telegram.server().set_settings(settings);
    telegram.person(PHONE, 2);
    let mut login = begin(&telegram).await;
    let old = telegram.code(PHONE);
    telegram.server().expire_codes(PHONE);
    assert_eq!(login.submit_code(&old.into()).await.unwrap_err().code, "phone_code_expired");
    assert!(matches!(login.resend().await.unwrap(), LoginStep::Code { .. }));
    let step = login.submit_code(&telegram.code(PHONE).into()).await.unwrap();
    assert!(matches!(step, LoginStep::Done { .. }));
}

#[tokio::test]
async fn a_code_is_sent_again_by_the_next_channel_when_it_is_time() {
    let telegram = Telegram::start().await;
    telegram.person(PHONE, 2);
    let mut early = begin(&telegram).await;
    let problem = early.resend().await.unwrap_err();
    assert_eq!(problem.code, "resend_too_early");
    assert!(problem.retry_after().is_some());

    let mut settings = telegram.server().settings();
    settings.code_timeout = 0;
    telegram.server().set_settings(settings);
    let mut login = begin(&telegram).await;
    let step = login.resend().await.unwrap();
    assert!(matches!(step, LoginStep::Code { sent_via: CodeChannel::Call, .. }), "{step:?}");
    let step = login.submit_code(&telegram.code(PHONE).into()).await.unwrap();
    assert!(matches!(step, LoginStep::Done { .. }));
}

#[tokio::test]
async fn a_number_without_an_account_fails_clearly() {
    let telegram = Telegram::start().await;
    let mut login = begin(&telegram).await;
    let step = login.submit_code(&telegram.code(PHONE).into()).await.unwrap();
    assert_eq!(failed_with(&step).0, "sign_up_required");
}

#[tokio::test]
async fn refusals_have_codes_and_waits() {
    for (status, error, code, retry_after) in [
        (420, "FLOOD_WAIT_77", "flood_wait", Some(77)),
        (406, "PHONE_PASSWORD_FLOOD", "phone_password_flood", None),
        (400, "PHONE_NUMBER_INVALID", "phone_number_invalid", None),
        (400, "PHONE_NUMBER_BANNED", "phone_number_banned", None),
        (400, "API_ID_INVALID", "api_id_invalid", None),
    ] {
        let telegram = Telegram::start().await;
        telegram.fault(Fault::error("auth.sendCode", status, error));
        assert_eq!(failed_with(&begin(&telegram).await.step()), (code, retry_after), "{error}");
    }
    let telegram = Telegram::start().await;
    let nonsense = Login::phone(Arc::clone(&telegram.options), "not a number").await.err().unwrap();
    assert_eq!(nonsense.code, "phone_number_invalid");
}

#[tokio::test]
async fn a_flood_wait_at_the_code_leaves_the_login_where_it_is() {
    let telegram = Telegram::start().await;
    telegram.person(PHONE, 2);
    let mut login = begin(&telegram).await;
    telegram.fault(Fault::error("auth.signIn", 420, "FLOOD_WAIT_5").times(1));
    let code = telegram.code(PHONE);
    let problem = login.submit_code(&code.clone().into()).await.unwrap_err();
    assert_eq!((problem.code, problem.retry_after().map(|after| after.as_secs())), ("flood_wait", Some(5)));
    assert!(matches!(login.submit_code(&code.into()).await.unwrap(), LoginStep::Done { .. }));
}

#[tokio::test]
async fn a_break_at_the_code_can_be_repeated() {
    let telegram = Telegram::start().await;
    telegram.person(PHONE, 2);
    let mut login = begin(&telegram).await;
    telegram.fault(Fault::new("auth.signIn", Action::Cut).times(1));
    let code = telegram.code(PHONE);
    assert_eq!(login.submit_code(&code.clone().into()).await.unwrap_err().code, "no_answer");
    assert!(matches!(login.submit_code(&code.into()).await.unwrap(), LoginStep::Done { .. }));
}

#[tokio::test]
async fn telegram_may_ask_to_start_over() {
    let telegram = Telegram::start().await;
    telegram.person(PHONE, 2);
    telegram.fault(Fault::error("auth.sendCode", 500, "AUTH_RESTART").times(1));
    let mut login = begin(&telegram).await;
    telegram.fault(Fault::error("auth.signIn", 500, "AUTH_RESTART").times(1));
    let step = login.submit_code(&telegram.code(PHONE).into()).await.unwrap();
    assert!(matches!(step, LoginStep::Code { .. }), "{step:?}");
    assert!(matches!(login.submit_code(&telegram.code(PHONE).into()).await.unwrap(), LoginStep::Done { .. }));
}

#[tokio::test]
async fn a_login_goes_on_after_a_crash_at_the_code() {
    let telegram = Telegram::start().await;
    telegram.person(PHONE, 4);
    let login = begin(&telegram).await;
    let stored = login.state().to_bytes();
    drop(login);
    let state = LoginState::from_bytes(&stored).unwrap();
    assert!(matches!(state.step(), Some(LoginStep::Code { .. })));
    let mut login = Login::resume(Arc::clone(&telegram.options), state).await.unwrap();
    assert!(matches!(login.submit_code(&telegram.code(PHONE).into()).await.unwrap(), LoginStep::Done { .. }));
}

#[tokio::test]
async fn a_cancelled_code_is_void() {
    let telegram = Telegram::start().await;
    telegram.person(PHONE, 2);
    let login = begin(&telegram).await;
    let state = login.state();
    login.cancel().await;
    let mut again = Login::resume(Arc::clone(&telegram.options), state).await.unwrap();
    let problem = again.submit_code(&telegram.code(PHONE).into()).await.unwrap_err();
    assert_eq!(problem.code, "phone_code_expired");
}
