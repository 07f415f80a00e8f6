//! What a client that was away finds out.

use std::time::Duration;

use grammers_tl_types::{enums, functions, types};

use crate::device::{Device, account, peer, simulator};

async fn state(device: &Device) -> types::updates::State {
    device.invoke(&functions::updates::GetState {}).await.unwrap().into()
}

fn difference(since: &types::updates::State, limit: Option<i32>) -> functions::updates::GetDifference {
    functions::updates::GetDifference {
        pts: since.pts,
        pts_limit: None,
        pts_total_limit: limit,
        date: since.date,
        qts: since.qts,
        qts_limit: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difference_holds_what_was_missed() {
    let sim = simulator().await;
    let (alice, bob) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let device = Device::signed_in(&sim, "15550001").await;
    let before = state(&device).await;
    assert!(matches!(device.invoke(&difference(&before, None)).await.unwrap(), enums::updates::Difference::Empty(_)));
    for text in ["one", "two", "three"] {
        sim.accounts().deliver(bob, alice, text).unwrap();
    }
    let enums::updates::Difference::Difference(missed) = device.invoke(&difference(&before, None)).await.unwrap()
    else {
        panic!("three messages were missed")
    };
    let enums::updates::State::State(after) = missed.state;
    assert_eq!((missed.new_messages.len(), after.pts), (3, before.pts + 3));
    let enums::updates::Difference::Slice(slice) = device.invoke(&difference(&before, Some(2))).await.unwrap() else {
        panic!("not all fits")
    };
    let enums::updates::State::State(between) = slice.intermediate_state;
    assert_eq!((slice.new_messages.len(), between.pts), (2, before.pts + 2));
    assert!(matches!(
        device.invoke(&difference(&types::updates::State { pts: after.pts, ..between }, None)).await.unwrap(),
        enums::updates::Difference::Empty(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_is_told_to_the_other_side() {
    let sim = simulator().await;
    let (alice, bob) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let mut writer = Device::signed_in(&sim, "15550001").await;
    writer.send(peer(&sim, bob), "read me", 1).await.unwrap();
    let reader = Device::signed_in(&sim, "15550002").await;
    let read = functions::messages::ReadHistory { peer: peer(&sim, alice), max_id: 0 };
    let enums::messages::AffectedMessages::Messages(affected) = reader.invoke(&read).await.unwrap();
    assert_eq!(affected.pts_count, 1);
    let max_id = writer
        .wait_for(|update| match update {
            enums::Update::ReadHistoryOutbox(update) => Some(update.max_id),
            _ => None,
        })
        .await;
    assert!(max_id > 0);
    let enums::messages::AffectedMessages::Messages(again) = reader.invoke(&read).await.unwrap();
    assert_eq!(again.pts_count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_everything() {
    let sim = simulator().await;
    let (alice, bob) = (account(&sim, "15550001", 4), account(&sim, "15550002", 2));
    let device = Device::signed_in(&sim, "15550001").await;
    let before = state(&device).await;
    device.send(peer(&sim, bob), "before the restart", 1).await.unwrap();
    sim.accounts().deliver(bob, alice, "also before").unwrap();
    sim.accounts().restart(Duration::ZERO).await.unwrap();
    let again = device.twin(&sim);
    assert_eq!(again.me().await, Ok(alice));
    assert_eq!(again.send(peer(&sim, bob), "before the restart", 1).await.unwrap_err(), "500 RANDOM_ID_DUPLICATE");
    let enums::updates::Difference::Difference(missed) = again.invoke(&difference(&before, None)).await.unwrap() else {
        panic!("two messages were missed")
    };
    assert_eq!(missed.new_messages.len(), 2);
    assert_eq!(sim.arrived("before the restart"), 1);
    assert_eq!(sim.accounts().counters().auth_key_duplicated, 0);
}
