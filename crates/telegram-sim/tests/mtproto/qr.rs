//! Signing in by QR.

use grammers_tl_types::{enums, functions, types};
use telegram_sim::Sim;
use telegram_sim::mtproto::ControlError;

use crate::device::{API_HASH, API_ID, Device, account, account_with_password, simulator};

fn export(except: Vec<i64>) -> functions::auth::ExportLoginToken {
    functions::auth::ExportLoginToken { api_id: API_ID, api_hash: API_HASH.to_owned(), except_ids: except }
}

async fn shown(device: &Device, except: Vec<i64>) -> types::auth::LoginToken {
    match device.invoke(&export(except)).await.unwrap() {
        enums::auth::LoginToken::Token(token) => token,
        other => panic!("unexpected {other:?}"),
    }
}

async fn scanned(device: &mut Device) {
    device.wait_for(|update| matches!(update, enums::Update::LoginToken).then_some(())).await;
}

fn expire_tokens_at_once(sim: &Sim) {
    let mut settings = sim.accounts().settings();
    settings.token_ttl = 0;
    sim.accounts().set_settings(settings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_signs_in() {
    let sim = simulator().await;
    let user = account(&sim, "15550001", 2);
    let mut device = Device::new(&sim);
    let token = shown(&device, vec![]).await;
    sim.accounts().scan_token(user, &token.token).unwrap();
    scanned(&mut device).await;
    let answer = device.invoke(&export(vec![])).await.unwrap();
    assert!(matches!(answer, enums::auth::LoginToken::Success(_)));
    assert_eq!(device.me().await, Ok(user));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_leads_to_the_accounts_data_centre_and_to_its_password() {
    let sim = simulator().await;
    let user = account_with_password(&sim, "15550001", 4, "hunter2");
    let mut device = Device::new(&sim);
    let token = shown(&device, vec![]).await;
    sim.accounts().scan_token(user, &token.token).unwrap();
    scanned(&mut device).await;
    let enums::auth::LoginToken::MigrateTo(migrate) = device.invoke(&export(vec![])).await.unwrap() else {
        panic!("the account lives at data centre 4")
    };
    assert_eq!(migrate.dc_id, 4);
    device.move_to(4).await;
    let import = functions::auth::ImportLoginToken { token: migrate.token };
    assert_eq!(device.error(&import).await, "401 SESSION_PASSWORD_NEEDED");
    assert_eq!(device.check_password("hunter2").await, Ok(user));
    assert_eq!(device.error(&import).await, "400 AUTH_TOKEN_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_token_cannot_be_scanned() {
    let sim = simulator().await;
    let user = account(&sim, "15550001", 2);
    expire_tokens_at_once(&sim);
    let device = Device::new(&sim);
    let token = shown(&device, vec![]).await;
    let error = sim.accounts().scan_token(user, &token.token).unwrap_err();
    assert!(matches!(error, ControlError::Token(_)), "{error}");
    let import = functions::auth::ImportLoginToken { token: token.token };
    assert_eq!(device.error(&import).await, "400 AUTH_TOKEN_EXPIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_device_accepts_unless_the_account_is_excepted() {
    let sim = simulator().await;
    let user = account(&sim, "15550001", 2);
    let phone = Device::signed_in(&sim, "15550001").await;
    let mut screen = Device::new(&sim);
    let token = shown(&screen, vec![user]).await;
    let accept = |token| functions::auth::AcceptLoginToken { token };
    assert_eq!(phone.error(&accept(token.token)).await, "400 AUTH_TOKEN_EXCEPTION");
    let token = shown(&screen, vec![]).await;
    phone.invoke(&accept(token.token.clone())).await.unwrap();
    scanned(&mut screen).await;
    assert_eq!(phone.error(&accept(token.token)).await, "400 AUTH_TOKEN_ALREADY_ACCEPTED");
    screen.invoke(&export(vec![])).await.unwrap();
    assert_eq!(screen.me().await, Ok(user));
    assert_eq!(phone.error(&accept(vec![1, 2, 3])).await, "400 AUTH_TOKEN_INVALID");
}
