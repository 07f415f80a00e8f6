//! A server that is started again from its file.

use telegram_sim::mtproto::Revocation;

use crate::device::{Device, account, account_with_password, peer, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn clients_stay_signed_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let sim = simulator().await;
    assert!(!sim.accounts().load(&path).unwrap());
    let (alice, bob) = (account(&sim, "15550001", 4), account(&sim, "15550002", 2));
    let carol = account_with_password(&sim, "15550003", 2, "hunter2");
    let device = Device::signed_in(&sim, "15550001").await;
    device.send(peer(&sim, bob), "before", 1).await.unwrap();
    let ended = Device::signed_in(&sim, "15550002").await;
    sim.accounts().revoke(bob, None, Revocation::Revoked).unwrap();
    let before = sim.world().lock().messages().arrived();
    sim.accounts().save(&path).unwrap();
    let bobs_peer = peer(&sim, bob);
    sim.stop().await;

    let sim = simulator().await;
    assert!(sim.accounts().load(&path).unwrap());
    let again = device.twin(&sim);
    assert_eq!(again.me().await, Ok(alice));
    assert!(!ended.twin(&sim).me().await.unwrap_err().starts_with("401"), "a dead key is forgotten");
    assert_eq!(before, 1);
    again.send(bobs_peer, "after", 2).await.unwrap();
    let other = Device::new(&sim);
    let sent = other.send_code("15550003").await.unwrap();
    let code = sim.accounts().login_code("15550003").unwrap();
    other.sign_in("15550003", &sent, &code).await.unwrap_err();
    assert_eq!(other.check_password("hunter2").await, Ok(carol));

    std::fs::write(&path, "{}").unwrap();
    assert!(sim.accounts().load(&path).is_err());
}
