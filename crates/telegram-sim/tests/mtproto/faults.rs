//! Faults on demand, and the rule of one connection for each key.

use std::time::Duration;

use grammers_tl_types::functions;
use telegram_sim::mtproto::Revocation;
use telegram_sim::mtproto::faults::{Action, Fault};

use crate::device::{Device, account, message, peer, simulator};

const SEND: &str = "messages.sendMessage";

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_answered_as_often_as_asked() {
    let sim = simulator().await;
    let (alice, bob) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let one = Device::signed_in(&sim, "15550001").await;
    let two = Device::signed_in(&sim, "15550002").await;
    sim.accounts().add_fault(Fault::error(SEND, 420, "FLOOD_WAIT_33").times(2).for_user(alice));
    for _ in 0..2 {
        assert_eq!(one.send(peer(&sim, bob), "x", 1).await.unwrap_err(), "420 FLOOD_WAIT_33");
        two.send(peer(&sim, alice), "y", rand::random()).await.unwrap();
    }
    one.send(peer(&sim, bob), "x", 1).await.unwrap();
    assert_eq!((sim.arrived("x"), sim.accounts().faults().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_comes_before_or_after_the_message_is_taken() {
    let sim = simulator().await;
    account(&sim, "15550001", 2);
    let bob = account(&sim, "15550002", 2);
    let device = Device::signed_in(&sim, "15550001").await;
    for (action, taken) in [(Action::Cut, 0), (Action::TakeThenCut, 1)] {
        let text = format!("{action:?}");
        let random_id = rand::random();
        sim.accounts().add_fault(Fault::new(SEND, action).times(1));
        let error = device.send(peer(&sim, bob), &text, random_id).await.unwrap_err();
        assert!(!error.contains("RPC"), "{error}");
        assert_eq!(sim.arrived(&text), taken);
        // The pool may not have noticed yet that its connection is gone.
        device.handle.thin.disconnect_from_dc(2);
        let again = device.send(peer(&sim, bob), &text, random_id).await;
        assert_eq!(again.err().as_deref(), (taken == 1).then_some("500 RANDOM_ID_DUPLICATE"));
        assert_eq!(sim.arrived(&text), 1);
    }
    assert_eq!(sim.accounts().counters().auth_key_duplicated, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_gives_no_answer_and_delay_a_late_one() {
    let sim = simulator().await;
    account(&sim, "15550001", 2);
    let bob = account(&sim, "15550002", 2);
    let device = Device::signed_in(&sim, "15550001").await;
    for (action, taken) in [(Action::Silence, 0), (Action::TakeThenSilence, 1)] {
        let text = format!("{action:?}");
        sim.accounts().add_fault(Fault::new(SEND, action).times(1));
        let request = message(peer(&sim, bob), &text, rand::random());
        // Requests are answered in order here, so the answer to the next one shows that there was none to this.
        let (lost, answered) =
            tokio::join!(tokio::time::timeout(Duration::from_secs(1), device.client.invoke(&request)), device.me());
        assert!(lost.is_err() && answered.is_ok());
        assert_eq!(sim.arrived(&text), taken);
    }
    sim.accounts().add_fault(Fault::new(SEND, Action::Delay { ms: 300 }).times(1));
    let start = std::time::Instant::now();
    device.send(peer(&sim, bob), "late", 1).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_network_takes_its_time() {
    let sim = simulator().await;
    account(&sim, "15550001", 2);
    let device = Device::signed_in(&sim, "15550001").await;
    let mut settings = sim.accounts().settings();
    settings.latency_ms = 150;
    sim.accounts().set_settings(settings);
    let start = std::time::Instant::now();
    device.me().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_says_nothing_until_it_is_replaced() {
    let sim = simulator().await;
    let alice = account(&sim, "15550001", 2);
    let device = Device::signed_in(&sim, "15550001").await;
    sim.accounts().silence(Some(alice), true).unwrap();
    let request = functions::updates::GetState {};
    let answer = tokio::time::timeout(Duration::from_secs(1), device.client.invoke(&request)).await;
    assert!(answer.is_err());
    device.handle.thin.disconnect_from_dc(2);
    assert_eq!(device.me().await, Ok(alice));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_salts_are_taken_up_without_a_loss() {
    let sim = simulator().await;
    let alice = account(&sim, "15550001", 2);
    let device = Device::signed_in(&sim, "15550001").await;
    sim.accounts().change_salts();
    assert_eq!(device.me().await, Ok(alice));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_a_transport_error() {
    let sim = simulator().await;
    let alice = account(&sim, "15550001", 2);
    let device = Device::signed_in(&sim, "15550001").await;
    sim.accounts().revoke(alice, None, Revocation::Forgotten).unwrap();
    let error = device.me().await.unwrap_err();
    assert!(!error.starts_with("401"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_connection_takes_over_and_the_older_one_must_be_still() {
    let sim = simulator().await;
    let alice = account(&sim, "15550001", 2);
    let old = Device::signed_in(&sim, "15550001").await;
    let new = old.twin(&sim);
    assert_eq!(new.me().await, Ok(alice));
    assert_eq!(new.me().await, Ok(alice), "the older connection is open, but still");
    assert_eq!(sim.accounts().counters().auth_key_duplicated, 0);

    assert_eq!(old.me().await, Err("406 AUTH_KEY_DUPLICATED".to_owned()));
    assert_eq!(new.me().await, Err("406 AUTH_KEY_DUPLICATED".to_owned()));
    assert_eq!(sim.accounts().counters().auth_key_duplicated, 1);
    assert!(sim.accounts().authorizations(alice).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn coming_back_after_a_cut_is_no_second_place() {
    let sim = simulator().await;
    let alice = account(&sim, "15550001", 2);
    let device = Device::signed_in(&sim, "15550001").await;
    for _ in 0..20 {
        device.handle.thin.disconnect_from_dc(2);
        assert_eq!(device.me().await, Ok(alice));
    }
    assert_eq!(sim.accounts().counters().auth_key_duplicated, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_methods_are_refused() {
    let sim = simulator().await;
    account(&sim, "15550001", 2);
    let device = Device::signed_in(&sim, "15550001").await;
    assert_eq!(
        device.error(&functions::langpack::GetLanguages { lang_pack: String::new() }).await,
        "400 METHOD_INVALID"
    );
}
