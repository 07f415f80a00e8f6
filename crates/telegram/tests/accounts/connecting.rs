//! Sessions: stored, taken up again, imported, ended.

use std::sync::Arc;

use telegram::mtproto::{Account, Kind, Server, SessionData, import};
use telegram_sim::mtproto::Revocation;
use telegram_sim::mtproto::faults::{Action, Fault};

use crate::support::{Telegram, store_and_load};

const PHONE: &str = "+15550004000";

async fn reconnect(telegram: &Telegram, data: SessionData) -> Result<Account, telegram::mtproto::Problem> {
    let session = telegram.options.open_session(data).await?;
    Account::connect(&telegram.options, session).await
}

#[tokio::test]
async fn a_stored_session_connects_again_without_logging_in() {
    let telegram = Telegram::start().await;
    let account = telegram.account(PHONE).await;
    let id = account.user().id;
    let stored = store_and_load(&account);
    account.close().await;
    let account = reconnect(&telegram, stored).await.unwrap();
    assert_eq!((account.user().id, account.user().phone.as_str()), (id, PHONE));
    let devices = telegram.server().authorizations(id);
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0].client.device_model, "Integration Service");
    assert_eq!(telegram.server().counters().auth_key_duplicated, 0);
}

#[tokio::test]
async fn an_imported_session_is_proven_and_works() {
    let telegram = Telegram::start().await;
    let account = telegram.account(PHONE).await;
    let id = account.user().id;
    let (data, _) = account.session().export();
    account.close().await;
    let key = serde_json::to_value(data.data_centers[&2].auth_key.clone()).unwrap();
    let text = telethon_string(&hex::decode(key.as_str().unwrap()).unwrap());
    let account = reconnect(&telegram, import::session_string(&text).unwrap()).await.unwrap();
    assert_eq!(account.user().id, id);
    account.probe().await.unwrap();
}

fn telethon_string(key: &[u8]) -> String {
    use base64::Engine as _;
    let bytes = [&[2, 127, 0, 0, 1, 1, 187], key].concat();
    format!("1{}", base64::prelude::BASE64_URL_SAFE.encode(bytes))
}

#[tokio::test]
async fn a_session_that_nobody_logged_in_is_told_apart() {
    let telegram = Telegram::start().await;
    let problem = reconnect(&telegram, SessionData::default()).await.err().unwrap();
    assert_eq!((problem.code, problem.kind), ("session_unregistered", Kind::SessionDead));
}

#[tokio::test]
async fn an_ended_session_says_why() {
    for (how, code) in [
        (Revocation::Unregistered, "session_unregistered"),
        (Revocation::Revoked, "session_revoked"),
        (Revocation::Expired, "session_expired"),
        (Revocation::Duplicated, "session_duplicated"),
    ] {
        let telegram = Telegram::start().await;
        let account = telegram.account(PHONE).await;
        telegram.server().revoke(account.user().id, None, how).unwrap();
        let problem = account.probe().await.unwrap_err();
        assert_eq!((problem.code, problem.kind), (code, Kind::SessionDead));
    }
    let telegram = Telegram::start().await;
    let account = telegram.account(PHONE).await;
    telegram.server().set_deactivated(account.user().id, true).unwrap();
    let problem = account.probe().await.unwrap_err();
    assert_eq!((problem.code, problem.kind), ("account_deactivated", Kind::AccountClosed));
}

#[tokio::test]
async fn logging_out_ends_the_session_at_telegram() {
    let telegram = Telegram::start().await;
    let account = telegram.account(PHONE).await;
    telegram.fault(Fault::new("auth.logOut", Action::Cut).times(1));
    assert_eq!(account.log_out().await.unwrap_err().kind, Kind::NoAnswer);
    account.log_out().await.unwrap();
    assert!(telegram.server().authorizations(account.user().id).is_empty());
    account.log_out().await.unwrap();
    assert_eq!(account.probe().await.unwrap_err().kind, Kind::SessionDead);
}

#[tokio::test]
async fn a_break_is_survived() {
    let telegram = Telegram::start().await;
    let account = telegram.account(PHONE).await;
    telegram.server().cut(None).unwrap();
    // The call on the dead connection may still fail; the next one makes a new connection.
    let _ = account.probe().await;
    account.probe().await.unwrap();
    telegram.server().change_salts();
    account.probe().await.unwrap();
}

#[tokio::test]
async fn a_silent_server_is_noticed() {
    let telegram = Telegram::start().await;
    let account = telegram.account(PHONE).await;
    let stored = store_and_load(&account);
    account.close().await;
    let session = telegram.options.open_session(stored).await.unwrap();
    telegram.fault(Fault::new("users.getUsers", Action::Silence).times(1));
    let problem = Account::connect(&telegram.impatient(), Arc::clone(&session)).await.err().unwrap();
    assert_eq!((problem.code, problem.kind), ("telegram_unreachable", Kind::Unreachable));
    Account::connect(&telegram.options, session).await.unwrap().probe().await.unwrap();
}

#[tokio::test]
async fn a_closed_account_leaves_no_connection() {
    let telegram = Telegram::start().await;
    let account = telegram.account(PHONE).await;
    assert_eq!(telegram.server().counters().connections_open, 1);
    account.close().await;
    while telegram.server().counters().connections_open > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_cut_account_sends_nothing_more() {
    let telegram = Telegram::start().await;
    let mut account = telegram.account(PHONE).await;
    let mut updates = account.updates().await.unwrap();
    telegram.fault(Fault::new("updates.getState", Action::Silence));
    let asked = || telegram.server().counters().methods.get("updates.getState").copied().unwrap_or_default();
    let before = asked();
    let (unanswered, ()) = tokio::join!(account.probe(), async {
        while asked() == before {
            tokio::task::yield_now().await;
        }
        account.cut();
    });
    assert_eq!(unanswered.unwrap_err().kind, Kind::NoAnswer);
    assert_eq!(account.probe().await.unwrap_err().kind, Kind::Unreachable);
    assert_eq!(updates.next().await.unwrap_err().kind, Kind::Unreachable);
    while telegram.server().counters().connections_open > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_kept_elsewhere_is_asked_for_there() {
    let telegram = Telegram::start().await;
    let account = telegram.account(PHONE).await;
    telegram.fault(Fault::error("updates.getState", 303, "FILE_MIGRATE_4").times(1));
    account.probe().await.unwrap();
    let counters = telegram.server().counters();
    let calls = |method: &str| counters.methods.get(method).copied().unwrap_or_default();
    assert_eq!((calls("auth.exportAuthorization"), calls("auth.importAuthorization")), (1, 1));
    assert_eq!((counters.connections_open, counters.auth_key_duplicated), (2, 0));
    account.probe().await.unwrap();
}

#[tokio::test]
async fn a_key_that_is_forgotten_is_agreed_on_anew() {
    let telegram = Telegram::start().await;
    let account = telegram.account(PHONE).await;
    telegram.server().revoke(account.user().id, None, Revocation::Forgotten).unwrap();
    telegram.server().cut(None).unwrap();
    // The call on the dead connection may still find that out only.
    let _ = account.probe().await;
    // The server stands in for Telegram, but does not have Telegram's RSA keys.
    let problem = account.probe().await.unwrap_err();
    assert_eq!((problem.code, problem.kind), ("telegram_unreachable", Kind::Unreachable));
    assert!(problem.detail.contains("exchange of keys"), "{problem}");
}

#[tokio::test]
async fn many_calls_share_a_connection() {
    let telegram = Telegram::start().await;
    let account = telegram.account(PHONE).await;
    telegram.fault(Fault::new("updates.getState", Action::Delay { ms: 200 }).times(1));
    let slow = account.probe();
    let quick = async {
        for _ in 0..20 {
            account.ping().await.unwrap();
        }
    };
    let (slow, ()) = tokio::join!(slow, quick);
    slow.unwrap();
    futures::future::join_all((0..100).map(|_| account.ping())).await.into_iter().for_each(Result::unwrap);
    assert_eq!(telegram.server().counters().connections_open, 1);
}

#[tokio::test]
async fn a_server_says_whether_it_answers() {
    let telegram = Telegram::start().await;
    let patience = std::time::Duration::from_secs(50);
    assert!(telegram.options.server.answers(patience).await);
    let Server::Test { address, .. } = telegram.options.server.clone() else { panic!("it is a test server") };
    drop(telegram);
    let gone = Server::Test { address, keys_url: String::new() };
    while gone.answers(patience).await {
        tokio::task::yield_now().await;
    }
}
