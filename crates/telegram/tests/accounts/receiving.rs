//! What happens in the chats of an account.

use std::collections::VecDeque;

use platform::{Content, Delivery, Options, Outcome, Text, TextContent};
use telegram::mtproto::account::{Event, Message, Updates};
use telegram::mtproto::{Account, Kind, PeerId, Problem};
use telegram_sim::mtproto::Revocation;
use telegram_sim::world::{ChatKind, MemberStatus};

use crate::support::{NoFiles, Telegram, store_and_load};

const PHONE: &str = "+15550006000";

/// The events of an account, one by one.
struct Events {
    updates: Updates,
    waiting: VecDeque<Event>,
}

impl Events {
    async fn of(account: &mut Account) -> Self {
        Self { updates: account.updates().await.expect("nobody asked before"), waiting: VecDeque::new() }
    }

    async fn next(&mut self) -> Result<Event, Problem> {
        while self.waiting.is_empty() {
            self.waiting.extend(self.updates.next().await?.events);
        }
        Ok(self.waiting.pop_front().expect("one waits"))
    }
}

/// Waits for the next message, over breaks of the connection.
async fn next_message(updates: &mut Events) -> Message {
    loop {
        match updates.next().await {
            Ok(Event::NewMessage(message)) => return message,
            Ok(_) => {}
            Err(problem) => assert!(!problem.is_dead(), "{problem}"),
        }
    }
}

#[tokio::test]
async fn messages_arrive_in_order() {
    let telegram = Telegram::start().await;
    let mut account = telegram.account(PHONE).await;
    let friend = telegram.person("+15550006001", 2);
    let me = account.user().id;
    let mut updates = Events::of(&mut account).await;
    assert!(account.updates().await.is_none());
    for text in ["one", "two", "three"] {
        telegram.server().deliver(friend, me, text).unwrap();
    }
    for text in ["one", "two", "three"] {
        let message = next_message(&mut updates).await;
        assert_eq!(message.text.text, text);
        assert_eq!((message.chat, message.sender), (PeerId::user(friend).unwrap(), PeerId::user(friend)));
        assert!(!message.outgoing);
    }
}

#[tokio::test]
async fn a_restart_misses_nothing_and_repeats_nothing() {
    let telegram = Telegram::start().await;
    let mut account = telegram.account(PHONE).await;
    let friend = telegram.person("+15550006001", 2);
    let me = account.user().id;
    let mut updates = Events::of(&mut account).await;
    telegram.server().deliver(friend, me, "handled").unwrap();
    assert_eq!(next_message(&mut updates).await.text.text, "handled");
    // Asking for the next one is what says that the last one was handled.
    tokio::select! {
        biased;
        event = updates.next() => panic!("nothing else happened: {event:?}"),
        () = tokio::task::yield_now() => {}
    }
    let stored = store_and_load(&account);
    drop(updates);
    account.close().await;

    telegram.server().deliver(friend, me, "missed 1").unwrap();
    telegram.server().deliver(friend, me, "missed 2").unwrap();
    let session = telegram.options.open_session(stored).await.unwrap();
    let mut account = Account::connect(&telegram.options, session).await.unwrap();
    let mut updates = Events::of(&mut account).await;
    telegram.server().deliver(friend, me, "live").unwrap();
    for text in ["missed 1", "missed 2", "live"] {
        assert_eq!(next_message(&mut updates).await.text.text, text);
    }
}

#[tokio::test]
async fn a_break_misses_nothing() {
    let telegram = Telegram::start().await;
    let mut account = telegram.account(PHONE).await;
    let friend = telegram.person("+15550006001", 2);
    let me = account.user().id;
    let mut updates = Events::of(&mut account).await;
    telegram.server().deliver(friend, me, "before").unwrap();
    assert_eq!(next_message(&mut updates).await.text.text, "before");
    telegram.server().cut(None).unwrap();
    telegram.server().deliver(friend, me, "meanwhile").unwrap();
    assert_eq!(next_message(&mut updates).await.text.text, "meanwhile");
}

#[tokio::test]
async fn messages_of_groups_and_channels_arrive() {
    let telegram = Telegram::start().await;
    let mut account = telegram.account(PHONE).await;
    let friend = telegram.person("+15550006001", 2);
    let me = account.user().id;
    let mut updates = Events::of(&mut account).await;
    for kind in [ChatKind::Group, ChatKind::Supergroup] {
        let chat = telegram.chat(kind, vec![(friend, MemberStatus::Creator), (me, MemberStatus::Member)]);
        telegram.server().deliver(friend, chat.get(), "to all").unwrap();
        let message = next_message(&mut updates).await;
        assert_eq!((message.chat, message.sender, message.text.text.as_str()), (chat, PeerId::user(friend), "to all"));
    }
    let channel = telegram.chat(ChatKind::Channel, vec![(friend, MemberStatus::Creator), (me, MemberStatus::Member)]);
    telegram.server().deliver(friend, channel.get(), "a post").unwrap();
    let post = next_message(&mut updates).await;
    assert_eq!((post.chat, post.text.text.as_str()), (channel, "a post"));
}

#[tokio::test]
async fn a_break_misses_nothing_of_a_channel() {
    let telegram = Telegram::start().await;
    let mut account = telegram.account(PHONE).await;
    let friend = telegram.person("+15550006001", 2);
    let me = account.user().id;
    let mut updates = Events::of(&mut account).await;
    let chat = telegram.chat(ChatKind::Supergroup, vec![(friend, MemberStatus::Creator), (me, MemberStatus::Member)]);
    // What was missed before the stream began is asked for first; of a channel, what comes after that is known.
    for (place, text) in [(me, "now"), (chat.get(), "before")] {
        telegram.server().deliver(friend, place, text).unwrap();
        assert_eq!(next_message(&mut updates).await.text.text, text);
    }
    telegram.server().cut(None).unwrap();
    for text in ["meanwhile 1", "meanwhile 2"] {
        telegram.server().deliver(friend, chat.get(), text).unwrap();
    }
    for text in ["meanwhile 1", "meanwhile 2"] {
        assert_eq!(next_message(&mut updates).await.text.text, text);
    }
}

#[tokio::test]
async fn more_than_is_kept_comes_later_and_once() {
    let telegram = Telegram::start().await;
    let mut account = telegram.account(PHONE).await;
    let friend = telegram.person("+15550006001", 2);
    let me = account.user().id;
    let mut updates = Events::of(&mut account).await;
    for n in 0..500 {
        telegram.server().deliver(friend, me, &n.to_string()).unwrap();
    }
    // Meanwhile all of it arrives, and nobody handles it.
    for _ in 0..20 {
        account.probe().await.unwrap();
    }
    for n in 0..500 {
        assert_eq!(next_message(&mut updates).await.text.text, n.to_string());
    }
}

#[tokio::test]
async fn what_the_account_sends_is_told_too() {
    let telegram = Telegram::start().await;
    let mut account = telegram.account(PHONE).await;
    let me = account.user().id;
    let group = telegram.chat(ChatKind::Group, vec![(me, MemberStatus::Creator)]);
    let mut updates = Events::of(&mut account).await;
    let text = TextContent { text: Text::plain("mine"), link_preview: None };
    let message = platform::Message { content: Content::Text(text), options: Options::default() };
    let delivery = Delivery { message_id: uuid::Uuid::nil(), chat_id: group.get(), message, random_id: 99 };
    let sent = account.send(group, &delivery, &NoFiles).await;
    let Outcome::Sent { platform_message_ids } = sent else { panic!("{sent:?}") };
    let id = platform_message_ids[0];
    // Telegram tells the id and the message together; their order is its own.
    let events = [updates.next().await.unwrap(), updates.next().await.unwrap()];
    assert!(events.contains(&Event::Sent { random_id: 99, message_id: id }), "{events:?}");
    let mine = |event: &Event| match event {
        Event::NewMessage(message) => message.outgoing && message.id == id && message.sender == PeerId::user(me),
        _ => false,
    };
    assert!(events.iter().any(mine), "{events:?}");
}

#[tokio::test]
async fn edits_and_deletions_are_told() {
    let telegram = Telegram::start().await;
    let mut account = telegram.account(PHONE).await;
    let friend = telegram.person("+15550006001", 2);
    let me = account.user().id;
    let mut updates = Events::of(&mut account).await;
    let id = telegram.server().deliver(friend, me, "draft").unwrap();
    let message = next_message(&mut updates).await;
    assert_eq!(message.id, i64::from(id));
    let place = telegram_sim::world::Place::seen_by(me, friend);
    telegram.world().edit(place, id, |body| body.text = "final".to_owned()).unwrap();
    let Ok(Event::Edited(edited)) = updates.next().await else { panic!("the edit was not told") };
    assert_eq!((edited.id, edited.text.text.as_str()), (message.id, "final"));
    telegram.world().delete(place, id).unwrap();
    let deleted = updates.next().await.unwrap();
    assert_eq!(deleted, Event::Deleted { chat: None, message_ids: vec![message.id] });
}

#[tokio::test]
async fn the_end_of_the_session_is_told() {
    let telegram = Telegram::start().await;
    let mut account = telegram.account(PHONE).await;
    let mut updates = Events::of(&mut account).await;
    telegram.server().revoke(account.user().id, None, Revocation::Revoked).unwrap();
    telegram.server().cut(None).unwrap();
    loop {
        match updates.next().await {
            Err(problem) if problem.is_dead() => {
                assert_eq!((problem.code, problem.kind), ("session_revoked", Kind::SessionDead));
                break;
            }
            Err(_) => {}
            Ok(event) => panic!("{event:?}"),
        }
    }
}
