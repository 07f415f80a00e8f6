//! What members may send, and what accounts are told of rights.

use grammers_tl_types::{enums, functions, types};
use telegram_sim::Sim;
use telegram_sim::world::{ChatKind, Member, MemberStatus, NewChat, Permissions, Rights};

use crate::device::{Device, account, channel, document, peer, photo, picture, simulator, with_media};

fn chat(sim: &Sim, kind: ChatKind, owner: i64, user: i64, status: MemberStatus) -> i64 {
    let members = vec![(owner, MemberStatus::Creator), (user, status)];
    let title = "A chat".to_owned();
    sim.world().lock().add_chat(NewChat { kind, id: None, title, username: None, members })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_content_has_a_permission() {
    let sim = simulator().await;
    let (owner, user) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let device = Device::signed_in(&sim, "15550002").await;
    let group = chat(&sim, ChatKind::Supergroup, owner, user, MemberStatus::Member);
    let only_videos = Permissions { videos: true, ..Permissions::NONE };
    sim.world().lock().chat_mut(group).unwrap().permissions = only_videos;
    assert_eq!(device.send(peer(&sim, group), "x", 1).await.unwrap_err(), "403 CHAT_SEND_PLAIN_FORBIDDEN");
    let file = device.upload("a.png", &picture(99)).await;
    let refused = device.error(&with_media(peer(&sim, group), photo(file.clone()), "", 1)).await;
    assert_eq!(refused, "403 CHAT_SEND_PHOTOS_FORBIDDEN");
    let voice =
        types::DocumentAttributeAudio { voice: true, duration: 1, title: None, performer: None, waveform: None };
    for (attributes, error) in [
        (vec![], "403 CHAT_SEND_DOCS_FORBIDDEN"),
        (vec![voice.into()], "403 CHAT_SEND_VOICES_FORBIDDEN"),
        (vec![enums::DocumentAttribute::Animated], "403 CHAT_SEND_GIFS_FORBIDDEN"),
    ] {
        // The same upload serves until it is taken.
        let media = document(file.clone(), "audio/ogg", attributes);
        assert_eq!(device.error(&with_media(peer(&sim, group), media, "", 1)).await, error);
    }
    {
        let mut world = sim.world().lock();
        world.chat_mut(group).unwrap().permissions = Permissions::default();
        let permissions = Permissions { messages: true, ..Permissions::NONE };
        world.set_member(group, user, Member { permissions, ..Member::new(MemberStatus::Restricted) }, owner);
    }
    device.send(peer(&sim, group), "x", 2).await.unwrap();
    let refused = device.error(&with_media(peer(&sim, group), photo(file), "", 3)).await;
    assert_eq!(refused, "403 CHAT_SEND_PHOTOS_FORBIDDEN");
    let own =
        functions::channels::GetParticipant { channel: channel(&sim, group), participant: enums::InputPeer::PeerSelf };
    let enums::channels::ChannelParticipant::Participant(answer) = device.invoke(&own).await.unwrap();
    let enums::ChannelParticipant::Banned(answer) = answer.participant else { panic!("restricted") };
    let enums::ChatBannedRights::Rights(banned) = answer.banned_rights;
    assert_eq!((banned.view_messages, banned.send_messages, banned.send_plain), (false, false, false));
    assert!(banned.send_photos && banned.send_media && banned.send_polls);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_a_chat_are_told() {
    let sim = simulator().await;
    let (owner, user) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let news = chat(&sim, ChatKind::Channel, owner, user, MemberStatus::Administrator);
    let mut device = Device::signed_in(&sim, "15550002").await;
    device.me().await.unwrap();
    let bare = telegram_sim::world::bare_chat_id(news);
    let own_channel = |update| match update {
        enums::Update::Channel(update) if update.channel_id == bare => Some(()),
        _ => None,
    };
    let rights = async |device: &Device| {
        let get = functions::channels::GetChannels { id: vec![channel(&sim, news)] };
        let enums::messages::Chats::Chats(list) = device.invoke(&get).await.unwrap() else { panic!("a list") };
        let [enums::Chat::Channel(shown)] = &list.chats[..] else { panic!("a channel: {list:?}") };
        let rights = shown.admin_rights.clone().map(|enums::ChatAdminRights::Rights(rights)| rights.post_messages);
        (rights, shown.title.clone())
    };
    assert_eq!(rights(&device).await, (Some(true), "A chat".to_owned()));
    let lost =
        Member { rights: Rights { post: false, ..Rights::default() }, ..Member::new(MemberStatus::Administrator) };
    sim.world().lock().set_member(news, user, lost, owner);
    device.wait_for(own_channel).await;
    sim.world().lock().rename_chat(news, "Renamed", owner);
    device.wait_for(own_channel).await;
    assert_eq!(rights(&device).await, (Some(false), "Renamed".to_owned()));
    sim.world().lock().delete_chat(news);
    device.wait_for(own_channel).await;
    let get = functions::channels::GetChannels { id: vec![channel(&sim, news)] };
    assert_eq!(device.error(&get).await, "400 CHANNEL_PRIVATE");
    assert_eq!(device.send(peer(&sim, news), "x", 1).await.unwrap_err(), "400 CHANNEL_PRIVATE");
}
