//! What a client that was away finds out.

use std::time::Duration;

use grammers_client::update::Update;
use grammers_mtsender::UpdatesConfiguration;
use grammers_session::Session;
use grammers_session::types::{ChannelState, PeerId, UpdateState, UpdatesState};
use grammers_tl_types::{enums, functions, types};
use telegram_sim::world::{ChatKind, MemberStatus, NewChat};

use crate::device::{Device, PATIENCE, account, peer, simulator};

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

/// The texts of the next messages of a stream that keeps its own books.
async fn texts(stream: &mut grammers_client::client::UpdateStream, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    let search = async {
        while texts.len() < count {
            if let Update::NewMessage(message) = stream.next().await.unwrap() {
                texts.push(message.text().to_owned());
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("the messages in time");
    texts.sort();
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_catches_up_misses_nothing() {
    let sim = simulator().await;
    let (alice, bob) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let members = vec![(bob, MemberStatus::Creator), (alice, MemberStatus::Member)];
    let new = |kind| NewChat { kind, id: None, title: "A chat".to_owned(), username: None, members: members.clone() };
    let (channel, group) = {
        let mut world = sim.world().lock();
        (world.add_chat(new(ChatKind::Channel)), world.add_chat(new(ChatKind::Group)))
    };
    let first = Device::signed_in(&sim, "15550001").await;
    // The client learns of its chats, as it does before it follows them.
    let mut dialogs = first.client.iter_dialogs();
    while dialogs.next().await.unwrap().is_some() {}
    let device = first.twin(&sim);
    let state = state(&first).await;
    let channels = vec![ChannelState { id: telegram_sim::world::bare_chat_id(channel), pts: 1 }];
    let known = UpdatesState { pts: state.pts, qts: state.qts, date: state.date, seq: state.seq, channels };
    device.session.set_update_state(UpdateState::All(known)).await.unwrap();
    for peer in [PeerId::self_user(), PeerId::channel(telegram_sim::world::bare_chat_id(channel)).unwrap()] {
        let info = first.session.peer(peer).await.unwrap();
        if let Some(info) = info {
            device.session.cache_peer(info).await.unwrap();
        }
    }
    first.client.disconnect();

    for (chat, text) in [(alice, "a"), (channel, "b"), (group, "c"), (channel, "d")] {
        sim.accounts().deliver(bob, chat, text).unwrap();
    }
    let mut missed =
        device.client.stream_updates(device.updates, UpdatesConfiguration { catch_up: true }).await.unwrap();
    assert_eq!(texts(&mut missed, 4).await, ["a", "b", "c", "d"]);
    for (chat, text) in [(group, "e"), (channel, "f"), (alice, "g")] {
        sim.accounts().deliver(bob, chat, text).unwrap();
    }
    assert_eq!(texts(&mut missed, 3).await, ["e", "f", "g"]);
}
