//! Editing, pinning, forwarding, and topics.

use grammers_tl_types::{enums, functions, types};
use telegram_sim::Sim;
use telegram_sim::world::{ChatId, ChatKind, Filter, Member, MemberStatus, NewChat, Rights, UserId};

use crate::device::{
    Device, account, channel, document, message, messages_in, peer, photo, picture, simulator, with_media,
};

fn chat(sim: &Sim, kind: ChatKind, members: &[(UserId, MemberStatus)]) -> ChatId {
    let title = "A chat".to_owned();
    sim.world().lock().add_chat(NewChat { kind, id: None, title, username: None, members: members.to_vec() })
}

fn edit(peer: enums::InputPeer, id: i32, text: Option<&str>) -> functions::messages::EditMessage {
    functions::messages::EditMessage {
        no_webpage: false,
        invert_media: false,
        peer,
        id,
        message: text.map(str::to_owned),
        media: None,
        reply_markup: None,
        entities: None,
        schedule_date: None,
        schedule_repeat_period: None,
        quick_reply_shortcut_id: None,
        rich_message: None,
    }
}

fn pin(peer: enums::InputPeer, id: i32, unpin: bool) -> functions::messages::UpdatePinnedMessage {
    functions::messages::UpdatePinnedMessage { silent: false, unpin, pm_oneside: false, peer, id }
}

fn forward(
    from: enums::InputPeer,
    to: enums::InputPeer,
    id: Vec<i32>,
    first_random_id: i64,
) -> functions::messages::ForwardMessages {
    functions::messages::ForwardMessages {
        silent: true,
        background: false,
        with_my_score: false,
        drop_author: false,
        drop_media_captions: false,
        noforwards: false,
        allow_paid_floodskip: false,
        from_ephemeral: false,
        from_peer: from,
        random_id: (first_random_id..).take(id.len()).collect(),
        id,
        to_peer: to,
        top_msg_id: None,
        reply_to: None,
        schedule_date: None,
        schedule_repeat_period: None,
        send_as: None,
        quick_reply_shortcut: None,
        effect: None,
        video_timestamp: None,
        allow_paid_stars: None,
        suggested_post: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caption_and_a_file_are_edited() {
    let sim = simulator().await;
    let bob = account(&sim, "15550002", 2);
    account(&sim, "15550001", 2);
    let alice = Device::signed_in(&sim, "15550001").await;
    let to_bob = || peer(&sim, bob);
    let file = alice.upload("a.png", &picture(99)).await;
    let sent = messages_in(alice.invoke(&with_media(to_bob(), photo(file), "before", 1)).await.unwrap()).remove(0);
    let edited = messages_in(alice.invoke(&edit(to_bob(), sent.id, Some("after"))).await.unwrap()).remove(0);
    assert_eq!((edited.message.as_str(), edited.edit_date.is_some()), ("after", true));
    assert_eq!(alice.error(&edit(to_bob(), sent.id, Some("after"))).await, "400 MESSAGE_NOT_MODIFIED");
    assert_eq!(alice.error(&edit(to_bob(), sent.id, None)).await, "400 MESSAGE_EMPTY");
    assert_eq!(alice.error(&edit(to_bob(), 999, Some("x"))).await, "400 MESSAGE_ID_INVALID");
    let long = "x".repeat(1025);
    assert_eq!(alice.error(&edit(to_bob(), sent.id, Some(&long))).await, "400 MEDIA_CAPTION_TOO_LONG");
    let file = alice.upload("b.txt", b"bytes").await;
    let media = Some(document(file, "text/plain", vec![]).into());
    let other = functions::messages::EditMessage { media, ..edit(to_bob(), sent.id, None) };
    alice.invoke(&other).await.unwrap();
    let world = sim.world().lock();
    let filter = Filter::default();
    let known = world.messages().find(&filter).next().unwrap();
    assert_eq!((known.body.media.as_ref().unwrap().name.as_str(), known.body.text.as_str()), ("b.txt", "after"));
    assert_eq!(known.edits, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_decide_who_edits_pins_and_deletes() {
    let sim = simulator().await;
    let (owner, user) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let device = Device::signed_in(&sim, "15550002").await;
    let none = Rights { post: false, edit: false, delete: false, pin: false, ..Rights::default() };
    let (required, author) = (Some("400 CHAT_ADMIN_REQUIRED"), Some("403 MESSAGE_AUTHOR_REQUIRED"));
    let forbidden = Some("403 MESSAGE_DELETE_FORBIDDEN");
    let cases = [
        (ChatKind::Channel, none, author, required, forbidden),
        (ChatKind::Channel, Rights { edit: true, ..none }, None, None, forbidden),
        (ChatKind::Channel, Rights { delete: true, ..none }, author, required, None),
        (ChatKind::Supergroup, Rights { pin: true, ..none }, author, None, forbidden),
        (ChatKind::Supergroup, none, author, required, forbidden),
    ];
    for (kind, rights, edits, pins, deletes) in cases {
        let id = chat(&sim, kind, &[(owner, MemberStatus::Creator), (user, MemberStatus::Administrator)]);
        let member = Member { rights, ..Member::new(MemberStatus::Administrator) };
        sim.world().lock().set_member(id, user, member, owner);
        let post = sim.accounts().deliver(owner, id, "a post").unwrap();
        let context = format!("{kind:?} {rights:?}");
        let result = device.invoke(&edit(peer(&sim, id), post, Some("x"))).await;
        assert_eq!(result.err().map(|error| crate::device::name(&error)).as_deref(), edits, "{context}");
        let result = device.invoke(&pin(peer(&sim, id), post, false)).await;
        assert_eq!(result.err().map(|error| crate::device::name(&error)).as_deref(), pins, "{context}");
        let delete = functions::channels::DeleteMessages { channel: channel(&sim, id), id: vec![post] };
        let result = device.invoke(&delete).await;
        assert_eq!(result.err().map(|error| crate::device::name(&error)).as_deref(), deletes, "{context}");
    }
    let group = chat(&sim, ChatKind::Group, &[(owner, MemberStatus::Creator), (user, MemberStatus::Member)]);
    let post = sim.accounts().deliver(owner, group, "a post").unwrap();
    let delete = functions::messages::DeleteMessages { revoke: true, id: vec![post] };
    assert_eq!(device.error(&delete).await, "403 MESSAGE_DELETE_FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_is_told_to_members() {
    let sim = simulator().await;
    let (owner, user) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let id = chat(&sim, ChatKind::Channel, &[(owner, MemberStatus::Creator), (user, MemberStatus::Member)]);
    let device = Device::signed_in(&sim, "15550001").await;
    let mut reader = Device::signed_in(&sim, "15550002").await;
    reader.me().await.unwrap();
    let post = messages_in(device.send(peer(&sim, id), "a post", 1).await.unwrap()).remove(0).id;
    let enums::Updates::Updates(answer) = device.invoke(&pin(peer(&sim, id), post, false)).await.unwrap() else {
        panic!("the long answer expected")
    };
    let [enums::Update::PinnedChannelMessages(own), enums::Update::NewChannelMessage(_)] = &answer.updates[..] else {
        panic!("unexpected {:?}", answer.updates)
    };
    assert_eq!((own.pinned, &own.messages), (true, &vec![post]));
    let told = reader
        .wait_for(|update| match update {
            enums::Update::PinnedChannelMessages(update) => Some(update.messages),
            _ => None,
        })
        .await;
    assert_eq!(told, [post]);
    assert_eq!(device.error(&pin(peer(&sim, id), post, false)).await, "400 CHAT_NOT_MODIFIED");
    assert_eq!(device.error(&pin(peer(&sim, id), 99, false)).await, "400 MESSAGE_ID_INVALID");
    let full = functions::channels::GetFullChannel { channel: channel(&sim, id) };
    let pinned = async || {
        let enums::messages::ChatFull::Full(full) = device.invoke(&full).await.unwrap();
        let enums::ChatFull::ChannelFull(full) = full.full_chat else { panic!("a channel expected") };
        full.pinned_msg_id
    };
    assert_eq!(pinned().await, Some(post));
    let unpin_all =
        functions::messages::UnpinAllMessages { peer: peer(&sim, id), top_msg_id: None, saved_peer_id: None };
    device.invoke(&unpin_all).await.unwrap();
    assert_eq!(pinned().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_forwarded() {
    let sim = simulator().await;
    let (alice, bob) = (account(&sim, "15550001", 2), account(&sim, "15550002", 2));
    let device = Device::signed_in(&sim, "15550001").await;
    let news = chat(&sim, ChatKind::Channel, &[(alice, MemberStatus::Creator)]);
    let post = messages_in(device.send(peer(&sim, news), "a post", 1).await.unwrap()).remove(0).id;
    let file = device.upload("a.png", &picture(99)).await;
    let request = with_media(peer(&sim, news), photo(file), "a photo", 2);
    let second = messages_in(device.invoke(&request).await.unwrap()).remove(0).id;
    let both = forward(peer(&sim, news), peer(&sim, bob), vec![post, second], 10);
    let sent = messages_in(device.invoke(&both).await.unwrap());
    let [first, second_copy] = &sent[..] else { panic!("two expected: {sent:?}") };
    let Some(enums::MessageFwdHeader::Header(header)) = &first.fwd_from else { panic!("an origin expected") };
    assert_eq!((header.channel_post, first.message.as_str(), first.silent), (Some(post), "a post", true));
    assert!(second_copy.media.is_some());
    assert_eq!(device.error(&both).await, "500 RANDOM_ID_DUPLICATE");
    let nameless = functions::messages::ForwardMessages {
        drop_author: true,
        drop_media_captions: true,
        ..forward(peer(&sim, news), peer(&sim, bob), vec![second], 20)
    };
    let sent = messages_in(device.invoke(&nameless).await.unwrap()).remove(0);
    assert_eq!((sent.fwd_from.is_some(), sent.message.as_str()), (false, ""));
    for (request, error) in [
        (forward(peer(&sim, news), peer(&sim, bob), vec![99], 30), "400 MESSAGE_ID_INVALID"),
        (forward(peer(&sim, news), peer(&sim, bob), vec![], 30), "400 MESSAGE_IDS_EMPTY"),
    ] {
        assert_eq!(device.error(&request).await, error);
    }
    sim.world().lock().chat_mut(news).unwrap().protected = true;
    let protected = forward(peer(&sim, news), peer(&sim, bob), vec![post], 30);
    assert_eq!(device.error(&protected).await, "400 CHAT_FORWARDS_RESTRICTED");
    let slow = chat(&sim, ChatKind::Supergroup, &[(bob, MemberStatus::Creator), (alice, MemberStatus::Member)]);
    sim.world().lock().chat_mut(slow).unwrap().slow_mode = 10;
    let many = forward(peer(&sim, bob), peer(&sim, slow), vec![first.id, second_copy.id], 40);
    assert_eq!(device.error(&many).await, "400 SLOWMODE_MULTI_MSGS_DISABLED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_written_to() {
    let sim = simulator().await;
    let alice = account(&sim, "15550001", 2);
    let device = Device::signed_in(&sim, "15550001").await;
    let forum = chat(&sim, ChatKind::Supergroup, &[(alice, MemberStatus::Member)]);
    let topic = {
        let mut world = sim.world().lock();
        world.chat_mut(forum).unwrap().is_forum = true;
        world.add_topic(forum, "News", alice).unwrap()
    };
    let in_topic = |reply_to_msg_id, top_msg_id, random_id| {
        let reply = types::InputReplyToMessage {
            reply_to_msg_id,
            top_msg_id,
            reply_to_peer_id: None,
            quote_text: None,
            quote_entities: None,
            quote_offset: None,
            monoforum_peer_id: None,
            todo_item_id: None,
            poll_option: None,
        };
        let text = message(peer(&sim, forum), "x", random_id);
        functions::messages::SendMessage { reply_to: Some(reply.into()), ..text }
    };
    let first = messages_in(device.invoke(&in_topic(topic, None, 1)).await.unwrap()).remove(0);
    let Some(enums::MessageReplyHeader::Header(header)) = &first.reply_to else { panic!("a header expected") };
    assert_eq!((header.forum_topic, header.reply_to_msg_id), (true, Some(topic)));
    let second = messages_in(device.invoke(&in_topic(first.id, Some(topic), 2)).await.unwrap()).remove(0);
    let Some(enums::MessageReplyHeader::Header(header)) = &second.reply_to else { panic!("a header expected") };
    assert_eq!((header.reply_to_msg_id, header.reply_to_top_id), (Some(first.id), Some(topic)));
    assert_eq!(device.error(&in_topic(99, None, 3)).await, "400 REPLY_MESSAGE_ID_INVALID");
    assert_eq!(device.error(&in_topic(0, Some(99), 3)).await, "400 TOPIC_DELETED");
    let threads: Vec<_> = {
        let world = sim.world().lock();
        world.messages().find(&Filter::default()).map(|message| (message.body.thread, message.body.reply_to)).collect()
    };
    assert_eq!(threads, [(Some(topic), None), (Some(topic), Some(first.id))]);
    sim.world().lock().topic_mut(forum, topic).unwrap().closed = true;
    assert_eq!(device.error(&in_topic(topic, None, 3)).await, "400 TOPIC_CLOSED");
}
