//! Sending, reading, editing, deleting.

use grammers_tl_types::{enums, functions, types};
use telegram_sim::world::{ChatKind, MemberStatus, NewChat};
use telegram_sim::{Sim, SimOptions};

use crate::device::{Device, account, channel, peer, picture, simulator};

fn chat(sim: &Sim, kind: ChatKind, members: &[(i64, MemberStatus)]) -> i64 {
    let title = "A chat".to_owned();
    sim.world().lock().add_chat(NewChat { kind, id: None, title, username: None, members: members.to_vec() })
}

fn short(updates: enums::Updates) -> types::UpdateShortSentMessage {
    match updates {
        enums::Updates::UpdateShortSentMessage(sent) => sent,
        other => panic!("unexpected {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_the_other_account_and_the_senders_other_device() {
    let sim = simulator().await;
    let (alice, bob) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let one = Device::signed_in(&sim, "15550001").await;
    let mut two = Device::signed_in(&sim, "15550001").await;
    let mut other = Device::signed_in(&sim, "15550002").await;
    assert_eq!(two.me().await, Ok(alice));
    assert_eq!(other.me().await, Ok(bob));
    let sent = short(one.send(peer(&sim, bob), "hello", 1).await.unwrap());
    assert_eq!(other.hear().await, "hello");
    assert_eq!(two.hear().await, "hello");
    assert_eq!(sim.arrived("hello"), 1);
    let history = functions::messages::GetHistory {
        peer: peer(&sim, alice),
        offset_id: 0,
        offset_date: 0,
        add_offset: 0,
        limit: 10,
        max_id: 0,
        min_id: 0,
        hash: 0,
    };
    let enums::messages::Messages::Messages(page) = other.invoke(&history).await.unwrap() else { panic!("all fits") };
    let [enums::Message::Message(message)] = &page.messages[..] else { panic!("one message expected") };
    assert_eq!((message.id, message.out, message.message.as_str()), (sent.id, false, "hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_random_id_is_taken_once() {
    let sim = simulator().await;
    let bob = account(&sim, "15550002", 2);
    account(&sim, "15550001", 2);
    let alice = Device::signed_in(&sim, "15550001").await;
    alice.send(peer(&sim, bob), "once", 7).await.unwrap();
    for text in ["once", "other text"] {
        assert_eq!(alice.send(peer(&sim, bob), text, 7).await.unwrap_err(), "500 RANDOM_ID_DUPLICATE");
    }
    assert_eq!(alice.send(peer(&sim, bob), "zero", 0).await.unwrap_err(), "400 RANDOM_ID_EMPTY");
    assert_eq!((sim.arrived("once"), sim.arrived("other text"), sim.arrived("zero")), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_peers_and_texts_are_refused() {
    let sim = simulator().await;
    let bob = account(&sim, "15550002", 2);
    account(&sim, "15550001", 2);
    let alice = Device::signed_in(&sim, "15550001").await;
    let to_user = |user_id, access_hash| types::InputPeerUser { user_id, access_hash }.into();
    let to_chat = |chat_id| types::InputPeerChat { chat_id }.into();
    let to_channel = |channel_id| types::InputPeerChannel { channel_id, access_hash: 1 }.into();
    for (peer, error) in [
        (to_user(bob, 1), "400 PEER_ID_INVALID"),
        (to_user(42, 1), "400 PEER_ID_INVALID"),
        (to_chat(42), "400 PEER_ID_INVALID"),
        (to_channel(42), "400 CHANNEL_INVALID"),
        (enums::InputPeer::Empty, "400 PEER_ID_INVALID"),
    ] {
        assert_eq!(alice.send(peer, "x", 5).await.unwrap_err(), error);
    }
    assert_eq!(alice.send(peer(&sim, bob), " ", 5).await.unwrap_err(), "400 MESSAGE_EMPTY");
    assert_eq!(alice.send(peer(&sim, bob), &"x".repeat(4097), 5).await.unwrap_err(), "400 MESSAGE_TOO_LONG");
    alice.send(peer(&sim, bob), &"я".repeat(4096), 5).await.unwrap();
    alice.send(enums::InputPeer::PeerSelf, "a note", 6).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_number_their_own_messages() {
    let sim = simulator().await;
    let (alice, bob) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let id = chat(&sim, ChatKind::Channel, &[(alice, MemberStatus::Creator), (bob, MemberStatus::Member)]);
    let owner = Device::signed_in(&sim, "15550001").await;
    let mut reader = Device::signed_in(&sim, "15550002").await;
    reader.me().await.unwrap();
    for expected in 1..=2 {
        let updates = owner.send(peer(&sim, id), &format!("post {expected}"), i64::from(expected)).await.unwrap();
        let enums::Updates::Updates(updates) = updates else { panic!("unexpected {updates:?}") };
        let [enums::Update::MessageId(named), enums::Update::NewChannelMessage(new)] = &updates.updates[..] else {
            panic!("unexpected {:?}", updates.updates)
        };
        assert_eq!((named.id, named.random_id), (expected, i64::from(expected)));
        assert_eq!((new.pts, new.pts_count), (expected + 1, 1));
        assert_eq!(reader.hear().await, format!("post {expected}"));
    }
    let difference = functions::updates::GetChannelDifference {
        force: true,
        channel: channel(&sim, id),
        filter: enums::ChannelMessagesFilter::Empty,
        pts: 2,
        limit: 100,
    };
    let enums::updates::ChannelDifference::Difference(missed) = reader.invoke(&difference).await.unwrap() else {
        panic!("something was missed")
    };
    assert_eq!((missed.new_messages.len(), missed.pts, missed.r#final), (1, 3, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_edited_and_deleted() {
    let sim = simulator().await;
    let bob = account(&sim, "15550002", 2);
    account(&sim, "15550001", 2);
    let alice = Device::signed_in(&sim, "15550001").await;
    let mut other = Device::signed_in(&sim, "15550002").await;
    other.me().await.unwrap();
    let id = short(alice.send(peer(&sim, bob), "befor", 1).await.unwrap()).id;
    let edit = |text: &str| functions::messages::EditMessage {
        no_webpage: false,
        invert_media: false,
        peer: peer(&sim, bob),
        id,
        message: Some(text.to_owned()),
        media: None,
        reply_markup: None,
        entities: None,
        schedule_date: None,
        schedule_repeat_period: None,
        quick_reply_shortcut_id: None,
        rich_message: None,
    };
    alice.invoke(&edit("before")).await.unwrap();
    assert_eq!(alice.error(&edit("before")).await, "400 MESSAGE_NOT_MODIFIED");
    let edited = other
        .wait_for(|update| match update {
            enums::Update::EditMessage(update) => Some(update.message),
            _ => None,
        })
        .await;
    let enums::Message::Message(edited) = edited else { panic!("a message expected") };
    assert_eq!(edited.message, "before");
    assert_eq!(other.error(&edit("mine")).await, "400 MESSAGE_ID_INVALID", "the peer of Bob is not Bob");
    let delete = functions::messages::DeleteMessages { revoke: true, id: vec![id, 999] };
    let enums::messages::AffectedMessages::Messages(affected) = alice.invoke(&delete).await.unwrap();
    assert_eq!(affected.pts_count, 1);
    let deleted = other
        .wait_for(|update| match update {
            enums::Update::DeleteMessages(update) => Some(update.messages),
            _ => None,
        })
        .await;
    assert_eq!(deleted, [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_album_is_uploaded_sent_and_downloaded() {
    let sim = simulator().await;
    let bob = account(&sim, "15550002", 2);
    account(&sim, "15550001", 2);
    let alice = Device::signed_in(&sim, "15550001").await;
    let content = picture(600_000);
    let mut items: Vec<enums::InputSingleMedia> = Vec::new();
    for (number, random_id) in [(1, 11), (2, 12)] {
        let mut stream = std::io::Cursor::new(&content);
        let name = format!("{number}.jpg");
        let uploaded = alice.client.upload_stream(&mut stream, content.len(), name).await.unwrap();
        let media = types::InputMediaUploadedPhoto {
            spoiler: false,
            live_photo: false,
            file: uploaded.raw,
            stickers: None,
            ttl_seconds: None,
            video: None,
        };
        let upload = functions::messages::UploadMedia {
            business_connection_id: None,
            peer: enums::InputPeer::PeerSelf,
            media: media.into(),
        };
        let enums::MessageMedia::Photo(stored) = alice.invoke(&upload).await.unwrap() else { panic!("a photo") };
        let Some(enums::Photo::Photo(stored)) = stored.photo else { panic!("a photo") };
        let id =
            types::InputPhoto { id: stored.id, access_hash: stored.access_hash, file_reference: stored.file_reference };
        let media =
            types::InputMediaPhoto { spoiler: true, live_photo: false, id: id.into(), ttl_seconds: None, video: None };
        let message = format!("caption {number}");
        items.push(types::InputSingleMedia { media: media.into(), random_id, message, entities: None }.into());
    }
    let album = functions::messages::SendMultiMedia {
        silent: true,
        background: false,
        clear_draft: false,
        noforwards: false,
        update_stickersets_order: false,
        invert_media: false,
        allow_paid_floodskip: false,
        peer: peer(&sim, bob),
        reply_to: None,
        multi_media: items,
        schedule_date: None,
        send_as: None,
        quick_reply_shortcut: None,
        effect: None,
        allow_paid_stars: None,
    };
    let enums::Updates::Updates(sent) = alice.invoke(&album).await.unwrap() else { panic!("the long answer") };
    assert_eq!(sent.updates.len(), 4);
    assert_eq!(alice.error(&album).await, "500 RANDOM_ID_DUPLICATE");
    assert_eq!((sim.arrived("caption 1"), sim.arrived("caption 2")), (1, 1));
    let photos: Vec<_> = sent.updates.iter().filter_map(photo).collect();
    let [first, second] = &photos[..] else { panic!("two photos expected") };
    assert_eq!(first.0, second.0, "one album");
    let get = functions::upload::GetFile {
        precise: false,
        cdn_supported: false,
        location: types::InputPhotoFileLocation {
            id: first.1.id,
            access_hash: first.1.access_hash,
            file_reference: first.1.file_reference.clone(),
            thumb_size: "x".to_owned(),
        }
        .into(),
        offset: 4096,
        limit: 4096,
    };
    let enums::upload::File::File(file) = alice.invoke(&get).await.unwrap() else { panic!("no redirect") };
    assert_eq!(file.bytes, content[4096..8192]);
}

fn photo(update: &enums::Update) -> Option<(Option<i64>, types::Photo)> {
    let enums::Update::NewMessage(update) = update else { return None };
    let enums::Message::Message(message) = &update.message else { return None };
    let Some(enums::MessageMedia::Photo(media)) = &message.media else { return None };
    match &media.photo {
        Some(enums::Photo::Photo(photo)) => Some((message.grouped_id, photo.clone())),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dialogs_are_listed_page_by_page() {
    let sim = simulator().await;
    let alice = account(&sim, "15550001", 2);
    let device = Device::signed_in(&sim, "15550001").await;
    let mut expected = Vec::new();
    for number in 0..7 {
        let other = account(&sim, &format!("1556000{number}"), 2);
        device.send(peer(&sim, other), "hi", number + 1).await.unwrap();
        expected.push(other);
    }
    expected.push(chat(&sim, ChatKind::Group, &[(alice, MemberStatus::Creator)]));
    expected.push(chat(&sim, ChatKind::Channel, &[(alice, MemberStatus::Member)]));
    let mut dialogs = device.client.iter_dialogs();
    let mut found = Vec::new();
    while let Some(dialog) = dialogs.next().await.unwrap() {
        found.push(dialog.peer_id().bot_api_dialog_id().unwrap());
    }
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    let page = |offset_peer, limit| functions::messages::GetDialogs {
        exclude_pinned: false,
        folder_id: None,
        offset_date: 0,
        offset_id: 0,
        offset_peer,
        limit,
        hash: 0,
    };
    let slice = |dialogs| match dialogs {
        enums::messages::Dialogs::Slice(slice) => (slice.count, slice.dialogs.len()),
        other => panic!("unexpected {other:?}"),
    };
    assert_eq!(slice(device.invoke(&page(enums::InputPeer::Empty, 4)).await.unwrap()), (9, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_and_an_account_talk() {
    let sim = Sim::start(SimOptions { control: None, ..SimOptions::default() }).await.unwrap();
    let alice = account(&sim, "15550001", 2);
    let mut device = Device::signed_in(&sim, "15550001").await;
    device.me().await.unwrap();
    let token = sim.add_bot();
    let bot = sim.world().lock().bot_by_token(&token).unwrap();
    device.send(peer(&sim, bot), "/start", 1).await.unwrap();
    let call = async |method: &str, body: serde_json::Value| -> serde_json::Value {
        let url = format!("{}/bot{token}/{method}", sim.bot_api_url());
        reqwest::Client::new().post(url).json(&body).send().await.unwrap().json().await.unwrap()
    };
    let updates = call("getUpdates", serde_json::json!({})).await;
    assert_eq!(updates["result"][0]["message"]["text"], "/start", "{updates}");
    let sent = call("sendMessage", serde_json::json!({ "chat_id": alice, "text": "welcome" })).await;
    assert_eq!(sent["ok"], true, "{sent}");
    assert_eq!(device.hear().await, "welcome");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_by_name_and_by_phone() {
    let sim = simulator().await;
    account(&sim, "15550001", 2);
    let new = telegram_sim::mtproto::NewAccount {
        phone: "15550002".to_owned(),
        username: Some("bob_the_builder".to_owned()),
        first_name: Some("Bob".to_owned()),
        ..Default::default()
    };
    let bob = sim.accounts().create_account(new).unwrap();
    let device = Device::signed_in(&sim, "15550001").await;
    let resolve = |name: &str| functions::contacts::ResolveUsername { username: name.to_owned(), referer: None };
    let enums::contacts::ResolvedPeer::Peer(found) = device.invoke(&resolve("Bob_The_Builder")).await.unwrap();
    assert!(matches!(found.peer, enums::Peer::User(user) if user.user_id == bob));
    assert_eq!(device.error(&resolve("nobody_here")).await, "400 USERNAME_NOT_OCCUPIED");
    assert_eq!(device.error(&resolve("?")).await, "400 USERNAME_INVALID");
    let contact = |client_id, phone: &str| {
        let (phone, first_name, last_name) = (phone.to_owned(), "B".to_owned(), String::new());
        types::InputPhoneContact { client_id, phone, first_name, last_name, note: None }.into()
    };
    let import = functions::contacts::ImportContacts { contacts: vec![contact(1, "+15550002"), contact(2, "+199")] };
    let enums::contacts::ImportedContacts::Contacts(imported) = device.invoke(&import).await.unwrap();
    let [enums::ImportedContact::Contact(one)] = &imported.imported[..] else { panic!("one contact expected") };
    assert_eq!((one.client_id, one.user_id), (1, bob));
    let enums::contacts::Contacts::Contacts(list) =
        device.invoke(&functions::contacts::GetContacts { hash: 0 }).await.unwrap()
    else {
        panic!("a list expected")
    };
    let [enums::User::User(user)] = &list.users[..] else { panic!("one user expected") };
    assert_eq!((user.contact, user.phone.as_deref()), (true, Some("15550002")));
}
