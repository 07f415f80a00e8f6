//! Signing in by code, with and without a password, and out again.

use grammers_tl_types::{enums, functions, types};
use telegram_sim::mtproto::Revocation;

use crate::device::{Device, account, account_with_password, name, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn a_code_signs_in_at_the_accounts_data_centre() {
    let sim = simulator().await;
    let user = account(&sim, "15550001", 4);
    let device = Device::new(&sim);
    assert_eq!(device.me().await, Err("401 AUTH_KEY_UNREGISTERED".to_owned()));
    assert_eq!(name(&device.send_code("15550001").await.unwrap_err()), "303 PHONE_MIGRATE_4");
    device.move_to(4).await;
    let sent = device.send_code("+1 555 0001").await.unwrap();
    assert!(matches!(sent.r#type, enums::auth::SentCodeType::Sms(_)));
    assert_eq!((&sent.next_type, sent.timeout), (&Some(enums::auth::CodeType::Call), Some(60)));
    let code = sim.accounts().login_code("15550001").unwrap();
    device.sign_in("15550001", &sent, &code).await.unwrap();
    assert_eq!(device.me().await, Ok(user));
    let [session] = &sim.accounts().authorizations(user)[..] else { panic!("one session expected") };
    assert_eq!((session.dc, session.connected, session.client.device_model.as_str()), (4, true, "Test device"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_and_old_codes_are_refused() {
    let sim = simulator().await;
    account(&sim, "15550001", 2);
    let device = Device::new(&sim);
    let sent = device.send_code("15550001").await.unwrap();
    let error = device.sign_in("15550001", &sent, "nope").await.unwrap_err();
    assert_eq!(name(&error), "400 PHONE_CODE_INVALID");
    let error = device.sign_in("15550001", &sent, "").await.unwrap_err();
    assert_eq!(name(&error), "400 PHONE_CODE_EMPTY");
    let code = sim.accounts().login_code("15550001").unwrap();
    sim.accounts().expire_codes("15550001");
    let error = device.sign_in("15550001", &sent, &code).await.unwrap_err();
    assert_eq!(name(&error), "400 PHONE_CODE_EXPIRED");
    for phone in ["abc", "12", ""] {
        assert_eq!(name(&device.send_code(phone).await.unwrap_err()), "400 PHONE_NUMBER_INVALID");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_can_be_sent_another_way_and_cancelled() {
    let sim = simulator().await;
    let user = account(&sim, "15550001", 2);
    let mut first = Device::signed_in(&sim, "15550001").await;
    assert_eq!(first.me().await, Ok(user));
    let second = Device::new(&sim);
    let sent = second.send_code("15550001").await.unwrap();
    assert!(matches!(sent.r#type, enums::auth::SentCodeType::App(_)), "the first device shows it");
    let code = sim.accounts().login_code("15550001").unwrap();
    assert!(first.hear().await.contains(&code));
    let resend = functions::auth::ResendCode {
        phone_number: "15550001".to_owned(),
        phone_code_hash: sent.phone_code_hash.clone(),
        reason: None,
    };
    let kind = |sent| match sent {
        enums::auth::SentCode::Code(sent) => sent.r#type,
        other => panic!("unexpected {other:?}"),
    };
    let by_sms = kind(second.invoke(&resend).await.unwrap());
    assert!(matches!(by_sms, enums::auth::SentCodeType::Sms(_)));
    let by_call = kind(second.invoke(&resend).await.unwrap());
    assert!(matches!(by_call, enums::auth::SentCodeType::Call(_)));
    assert_eq!(second.error(&resend).await, "406 SEND_CODE_UNAVAILABLE");
    let cancel = functions::auth::CancelCode {
        phone_number: "15550001".to_owned(),
        phone_code_hash: sent.phone_code_hash.clone(),
    };
    assert!(second.invoke(&cancel).await.unwrap());
    let error = second.sign_in("15550001", &sent, &code).await.unwrap_err();
    assert_eq!(name(&error), "400 PHONE_CODE_EXPIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_and_a_wrong_one_can_be_repeated() {
    let sim = simulator().await;
    let user = account_with_password(&sim, "15550001", 2, "correct horse");
    let device = Device::new(&sim);
    let sent = device.send_code("15550001").await.unwrap();
    let code = sim.accounts().login_code("15550001").unwrap();
    let error = device.sign_in("15550001", &sent, &code).await.unwrap_err();
    assert_eq!(name(&error), "401 SESSION_PASSWORD_NEEDED");
    assert_eq!(device.me().await, Err("401 SESSION_PASSWORD_NEEDED".to_owned()));
    let enums::account::Password::Password(info) = device.invoke(&functions::account::GetPassword {}).await.unwrap();
    assert_eq!((info.has_password, info.hint.as_deref()), (true, Some("the usual")));
    for _ in 0..2 {
        assert!(device.check_password("battery staple").await.unwrap_err().contains("invalid password"));
    }
    assert_eq!(device.check_password("correct horse").await, Ok(user));
    assert_eq!(device.me().await, Ok(user));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_an_old_password_challenge_is_refused() {
    let sim = simulator().await;
    account_with_password(&sim, "15550001", 2, "correct horse");
    let device = Device::new(&sim);
    let sent = device.send_code("15550001").await.unwrap();
    let code = sim.accounts().login_code("15550001").unwrap();
    device.sign_in("15550001", &sent, &code).await.unwrap_err();
    let answer = types::InputCheckPasswordSrp { srp_id: 1, a: vec![1; 256], m1: vec![1; 32] };
    let check = functions::auth::CheckPassword { password: answer.into() };
    assert_eq!(device.error(&check).await, "400 SRP_ID_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_phone_has_to_sign_up_first() {
    let sim = simulator().await;
    let device = Device::new(&sim);
    let sent = device.send_code("15550009").await.unwrap();
    let code = sim.accounts().login_code("15550009").unwrap();
    let answer = device.sign_in("15550009", &sent, &code).await.unwrap();
    assert!(matches!(answer, enums::auth::Authorization::SignUpRequired(_)));
    assert!(device.me().await.is_err());
    let sign_up = functions::auth::SignUp {
        no_joined_notifications: false,
        phone_number: "15550009".to_owned(),
        phone_code_hash: sent.phone_code_hash,
        first_name: "New".to_owned(),
        last_name: String::new(),
    };
    device.invoke(&sign_up).await.unwrap();
    device.me().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_banned_phone_and_too_many_codes_are_refused() {
    let sim = simulator().await;
    let user = account(&sim, "15550001", 2);
    let device = Device::new(&sim);
    sim.accounts().set_banned(user, true).unwrap();
    assert_eq!(name(&device.send_code("15550001").await.unwrap_err()), "400 PHONE_NUMBER_BANNED");
    sim.accounts().set_banned(user, false).unwrap();
    let mut settings = sim.accounts().settings();
    settings.codes_per_phone = 2.0;
    sim.accounts().set_settings(settings);
    for _ in 0..2 {
        device.send_code("15550001").await.unwrap();
    }
    let error = name(&device.send_code("15550001").await.unwrap_err());
    assert!(error.starts_with("420 FLOOD_WAIT_"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_signs_out_and_ends_others() {
    let sim = simulator().await;
    let user = account(&sim, "15550001", 2);
    let one = Device::signed_in(&sim, "15550001").await;
    let two = Device::signed_in(&sim, "15550001").await;
    let enums::account::Authorizations::Authorizations(list) =
        one.invoke(&functions::account::GetAuthorizations {}).await.unwrap();
    let current = |authorization: &enums::Authorization| {
        let enums::Authorization::Authorization(authorization) = authorization;
        authorization.current
    };
    assert_eq!(list.authorizations.len(), 2);
    assert_eq!(list.authorizations.iter().filter(|authorization| current(authorization)).count(), 1);
    assert!(one.invoke(&functions::auth::ResetAuthorizations {}).await.unwrap());
    assert_eq!(two.me().await, Err("401 SESSION_REVOKED".to_owned()));
    assert_eq!(one.me().await, Ok(user));
    one.invoke(&functions::auth::LogOut {}).await.unwrap();
    assert_eq!(one.me().await, Err("401 AUTH_KEY_UNREGISTERED".to_owned()));
    assert!(sim.accounts().authorizations(user).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_from_outside() {
    let sim = simulator().await;
    let user = account(&sim, "15550001", 2);
    let ways = [
        (Revocation::Unregistered, "401 AUTH_KEY_UNREGISTERED"),
        (Revocation::Revoked, "401 SESSION_REVOKED"),
        (Revocation::Expired, "401 SESSION_EXPIRED"),
        (Revocation::Duplicated, "406 AUTH_KEY_DUPLICATED"),
    ];
    for (how, error) in ways {
        let device = Device::signed_in(&sim, "15550001").await;
        sim.accounts().revoke(user, None, how).unwrap();
        assert_eq!(device.me().await, Err(error.to_owned()));
    }
    let device = Device::signed_in(&sim, "15550001").await;
    sim.accounts().set_deactivated(user, true).unwrap();
    assert_eq!(device.me().await, Err("401 USER_DEACTIVATED".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_is_carried_to_another_data_centre() {
    let sim = simulator().await;
    let user = account(&sim, "15550001", 2);
    let device = Device::signed_in(&sim, "15550001").await;
    let export = functions::auth::ExportAuthorization { dc_id: 4 };
    let enums::auth::ExportedAuthorization::Authorization(exported) = device.invoke(&export).await.unwrap();
    let import = functions::auth::ImportAuthorization { id: exported.id, bytes: exported.bytes };
    device.handle.thin.invoke_in_dc(4, &import).await.unwrap();
    let get_me = functions::users::GetUsers { id: vec![enums::InputUser::UserSelf] };
    let error = device.handle.thin.invoke_in_dc(4, &get_me).await.unwrap_err();
    assert_eq!(name(&error), "303 USER_MIGRATE_2");
    let again = device.handle.thin.invoke_in_dc(4, &import).await.unwrap_err();
    assert_eq!(name(&again), "400 AUTH_BYTES_INVALID");
    assert_eq!(sim.accounts().authorizations(user).len(), 1, "a helper is not a session of its own");
}
