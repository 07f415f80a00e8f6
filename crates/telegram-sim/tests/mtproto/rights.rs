//! Who may write where, and how often.

use grammers_tl_types::{enums, functions};
use telegram_sim::Sim;
use telegram_sim::world::{ChatKind, Member, MemberStatus, NewChat, Rights};

use crate::device::{Device, account, channel, peer, simulator};

fn chat(sim: &Sim, kind: ChatKind, owner: i64, user: i64, status: MemberStatus) -> i64 {
    let members = vec![(owner, MemberStatus::Creator), (user, status)];
    let title = "A chat".to_owned();
    sim.world().lock().add_chat(NewChat { kind, id: None, title, username: None, members })
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_decide_who_may_write() {
    let sim = simulator().await;
    let (owner, user) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let device = Device::signed_in(&sim, "15550002").await;
    let cases = [
        (ChatKind::Channel, MemberStatus::Member, Some("403 CHAT_WRITE_FORBIDDEN")),
        (ChatKind::Channel, MemberStatus::Administrator, None),
        (ChatKind::Channel, MemberStatus::Kicked, Some("400 CHANNEL_PRIVATE")),
        (ChatKind::Supergroup, MemberStatus::Member, None),
        (ChatKind::Supergroup, MemberStatus::Restricted, Some("400 USER_BANNED_IN_CHANNEL")),
        (ChatKind::Supergroup, MemberStatus::Left, Some("400 CHANNEL_PRIVATE")),
        (ChatKind::Group, MemberStatus::Member, None),
        (ChatKind::Group, MemberStatus::Kicked, Some("403 CHAT_FORBIDDEN")),
    ];
    for (random_id, (kind, status, error)) in (1..).zip(cases) {
        let id = chat(&sim, kind, owner, user, status);
        let result = device.send(peer(&sim, id), "text", random_id).await;
        assert_eq!(result.err().as_deref(), error, "{kind:?} {status:?}");
    }
    let id = chat(&sim, ChatKind::Channel, owner, user, MemberStatus::Member);
    let rights = Rights { post: false, ..Rights::default() };
    let member = Member { rights, ..Member::new(MemberStatus::Administrator) };
    sim.world().lock().set_member(id, user, member, owner);
    assert_eq!(device.send(peer(&sim, id), "text", 99).await.unwrap_err(), "400 CHAT_ADMIN_REQUIRED");
    let id = chat(&sim, ChatKind::Supergroup, owner, user, MemberStatus::Member);
    sim.world().lock().chat_mut(id).unwrap().members_may_send = false;
    assert_eq!(device.send(peer(&sim, id), "text", 98).await.unwrap_err(), "403 CHAT_WRITE_FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_refuse_messages() {
    let sim = simulator().await;
    let (alice, bob) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let device = Device::signed_in(&sim, "15550001").await;
    sim.world().lock().block(bob, alice);
    assert_eq!(device.send(peer(&sim, bob), "x", 1).await.unwrap_err(), "400 USER_IS_BLOCKED");
    sim.world().lock().unblock(bob, alice);
    sim.accounts().set_spam_limited(alice, true).unwrap();
    assert_eq!(device.send(peer(&sim, bob), "x", 2).await.unwrap_err(), "400 PEER_FLOOD");
    sim.accounts().deliver(bob, alice, "hi").unwrap();
    device.send(peer(&sim, bob), "an answer", 3).await.unwrap();
    sim.accounts().set_deactivated(bob, true).unwrap();
    assert_eq!(device.send(peer(&sim, bob), "x", 4).await.unwrap_err(), "400 INPUT_USER_DEACTIVATED");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_mode_and_flood_limits_name_the_time_to_wait() {
    let sim = simulator().await;
    let (owner, user) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let device = Device::signed_in(&sim, "15550002").await;
    let id = chat(&sim, ChatKind::Supergroup, owner, user, MemberStatus::Member);
    sim.world().lock().chat_mut(id).unwrap().slow_mode = 3600;
    device.send(peer(&sim, id), "first", 1).await.unwrap();
    let error = device.send(peer(&sim, id), "second", 2).await.unwrap_err();
    let wait: u32 = error.strip_prefix("420 SLOWMODE_WAIT_").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&wait), "{error}");

    let mut settings = sim.accounts().settings();
    (settings.chat_rate, settings.chat_burst) = (0.01, 2.0);
    sim.accounts().set_settings(settings.clone());
    for random_id in 10..12 {
        device.send(peer(&sim, owner), "burst", random_id).await.unwrap();
    }
    let error = device.send(peer(&sim, owner), "burst", 12).await.unwrap_err();
    assert!(error.starts_with("420 FLOOD_WAIT_"), "{error}");
    settings.limits = false;
    sim.accounts().set_settings(settings);
    device.send(peer(&sim, owner), "burst", 12).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_listed_and_come_and_go() {
    let sim = simulator().await;
    let (owner, user) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let device = Device::signed_in(&sim, "15550002").await;
    let id = chat(&sim, ChatKind::Supergroup, owner, user, MemberStatus::Member);
    let list = |filter| functions::channels::GetParticipants {
        channel: channel(&sim, id),
        filter,
        offset: 0,
        limit: 100,
        hash: 0,
    };
    let count = |answer| match answer {
        enums::channels::ChannelParticipants::Participants(list) => (list.count, list.users.len()),
        enums::channels::ChannelParticipants::NotModified => panic!("a list expected"),
    };
    let recent = list(enums::ChannelParticipantsFilter::ChannelParticipantsRecent);
    assert_eq!(count(device.invoke(&recent).await.unwrap()), (2, 2));
    let admins = list(enums::ChannelParticipantsFilter::ChannelParticipantsAdmins);
    assert_eq!(count(device.invoke(&admins).await.unwrap()), (1, 1));
    let own =
        functions::channels::GetParticipant { channel: channel(&sim, id), participant: enums::InputPeer::PeerSelf };
    let enums::channels::ChannelParticipant::Participant(answer) = device.invoke(&own).await.unwrap();
    assert!(matches!(answer.participant, enums::ChannelParticipant::ParticipantSelf(_)));
    let full = functions::channels::GetFullChannel { channel: channel(&sim, id) };
    let enums::messages::ChatFull::Full(answer) = device.invoke(&full).await.unwrap();
    let enums::ChatFull::ChannelFull(answer) = answer.full_chat else { panic!("a supergroup expected") };
    assert_eq!((answer.participants_count, answer.admins_count), (Some(2), Some(1)));

    let (join, leave) = (
        functions::channels::JoinChannel { channel: channel(&sim, id) },
        functions::channels::LeaveChannel { channel: channel(&sim, id) },
    );
    assert_eq!(device.error(&join).await, "400 USER_ALREADY_PARTICIPANT");
    device.invoke(&leave).await.unwrap();
    assert_eq!(device.error(&join).await, "400 CHANNEL_PRIVATE", "a private chat is not joined without an invitation");
    sim.world().lock().chat_mut(id).unwrap().username = Some("public_chat".to_owned());
    device.invoke(&join).await.unwrap();
    assert_eq!(count(device.invoke(&recent).await.unwrap()), (2, 2));

    let broadcast = chat(&sim, ChatKind::Channel, owner, user, MemberStatus::Member);
    let hidden = functions::channels::GetParticipants { channel: channel(&sim, broadcast), ..recent };
    assert_eq!(device.error(&hidden).await, "400 CHAT_ADMIN_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_groups_show_their_members() {
    let sim = simulator().await;
    let (owner, user) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let device = Device::signed_in(&sim, "15550002").await;
    let id = chat(&sim, ChatKind::Group, owner, user, MemberStatus::Member);
    let bare = -id;
    let enums::messages::ChatFull::Full(full) =
        device.invoke(&functions::messages::GetFullChat { chat_id: bare }).await.unwrap();
    let enums::ChatFull::Full(full) = full.full_chat else { panic!("a basic group expected") };
    let enums::ChatParticipants::Participants(members) = full.participants else { panic!("members expected") };
    assert_eq!(members.participants.len(), 2);
    let supergroup = sim.world().lock().migrate_group(id).unwrap();
    let enums::messages::Chats::Chats(chats) =
        device.invoke(&functions::messages::GetChats { id: vec![bare] }).await.unwrap()
    else {
        panic!("a list expected")
    };
    let [enums::Chat::Chat(old)] = &chats.chats[..] else { panic!("one chat expected") };
    let Some(enums::InputChannel::Channel(new)) = &old.migrated_to else { panic!("the new chat is named") };
    assert_eq!(new.channel_id, telegram_sim::world::bare_chat_id(supergroup));
    assert_eq!(device.send(peer(&sim, id), "x", 1).await.unwrap_err(), "400 CHAT_ID_INVALID");
    device.send(peer(&sim, supergroup), "x", 2).await.unwrap();
}
