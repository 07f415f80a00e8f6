//! Sending, and what each answer of Telegram means for the message.

use std::time::Duration;

use platform::text::MentionedUser;
use platform::{Content, Delivery, Entity, EntityKind, Hold, Message, Options, Outcome, Text, TextContent, Verdict};
use telegram::mtproto::{Account, PeerId};
use telegram_sim::mtproto::faults::{Action, Fault};
use telegram_sim::world::{ChatKind, Filter, MemberStatus};

use crate::support::{NoFiles, Telegram};

fn text(text: &str) -> Message {
    let text = TextContent { text: Text::plain(text), link_preview: None };
    Message { content: Content::Text(text), options: Options::default() }
}

fn words(message: &Message) -> &str {
    match &message.content {
        Content::Text(content) => &content.text.text,
        other => panic!("no text: {other:?}"),
    }
}

async fn send(account: &Account, peer: PeerId, message: &Message, random_id: i64) -> Outcome {
    let (message_id, chat_id) = (uuid::Uuid::nil(), peer.get());
    let delivery = Delivery { message_id, chat_id, message: message.clone(), random_id };
    account.send(peer, &delivery, &NoFiles).await
}

/// An account and a person with whom it has spoken.
async fn account_and_friend(telegram: &Telegram) -> (Account, PeerId) {
    let account = telegram.account("+15550005000").await;
    let friend = telegram.person("+15550005001", 2);
    telegram.server().deliver(friend, account.user().id, "hello").expect("the friend may write");
    (account, PeerId::user(friend).expect("a user id"))
}

fn refusal(outcome: Outcome) -> (&'static str, Verdict) {
    match outcome {
        Outcome::Refused(refusal) => (refusal.code, refusal.verdict),
        other => panic!("not refused: {other:?}"),
    }
}

fn ids(outcome: Outcome) -> Vec<i64> {
    match outcome {
        Outcome::Sent { platform_message_ids } => platform_message_ids,
        other => panic!("not sent: {other:?}"),
    }
}

#[tokio::test]
async fn a_message_arrives_with_its_options() {
    let telegram = Telegram::start().await;
    let (account, friend) = account_and_friend(&telegram).await;
    let mut message = text("bold and a mention");
    let Content::Text(content) = &mut message.content else { panic!("it is a text") };
    content.text.entities = vec![
        Entity::new(EntityKind::Bold, 0, 4),
        Entity { user: Some(MentionedUser { id: friend.get() }), ..Entity::new(EntityKind::TextMention, 11, 7) },
    ];
    message.options.silent = true;
    message.options.protected = true;
    let sent = ids(send(&account, friend, &message, 77).await);
    let state = telegram.world();
    let filter = Filter { text: Some("bold and a mention".to_owned()), ..Filter::default() };
    let arrived = state.messages().find(&filter).next().expect("the message arrived");
    assert_eq!(sent, [i64::from(arrived.id)]);
    assert_eq!((arrived.from, arrived.body.random_id), (account.user().id, Some(77)));
    assert!(arrived.body.silent && arrived.body.protected);
    assert_eq!(arrived.body.entities.len(), 2);
}

#[tokio::test]
async fn groups_channels_and_oneself_are_reached() {
    let telegram = Telegram::start().await;
    let account = telegram.account("+15550005000").await;
    let me = account.user().id;
    let mut random_id = 1;
    let kinds = [ChatKind::Group, ChatKind::Supergroup, ChatKind::Channel];
    for chat in kinds.map(|kind| telegram.chat(kind, vec![(me, MemberStatus::Creator)])) {
        assert_eq!(account.resolve_id(chat.get()).await.unwrap(), chat);
        assert_eq!(ids(send(&account, chat, &text("to a chat"), random_id).await).len(), 1);
        random_id += 1;
    }
    assert_eq!(ids(send(&account, PeerId::user(me).unwrap(), &text("to a chat"), random_id).await).len(), 1);
    assert_eq!(telegram.arrived("to a chat"), 4);
}

#[tokio::test]
async fn the_same_random_id_is_not_sent_twice() {
    let telegram = Telegram::start().await;
    let (account, friend) = account_and_friend(&telegram).await;
    assert_eq!(ids(send(&account, friend, &text("once"), 5).await).len(), 1);
    assert_eq!(ids(send(&account, friend, &text("once"), 5).await), Vec::<i64>::new());
    assert_eq!(telegram.arrived("once"), 1);
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_is_retried_and_not_doubled() {
    let telegram = Telegram::start().await;
    let (account, friend) = account_and_friend(&telegram).await;
    for (random_id, action) in [(1, Action::TakeThenCut), (2, Action::Cut)] {
        telegram.fault(Fault::new("messages.sendMessage", action).times(1));
        let message = text(&format!("message {random_id}"));
        assert!(matches!(send(&account, friend, &message, random_id).await, Outcome::Unanswered { .. }));
        ids(send(&account, friend, &message, random_id).await);
        assert_eq!(telegram.arrived(words(&message)), 1);
    }
}

#[tokio::test]
async fn refusals_decide_what_happens_next() {
    let telegram = Telegram::start().await;
    let (account, friend) = account_and_friend(&telegram).await;
    let wait = |seconds, hold| Verdict::Wait { after: Duration::from_secs(seconds), hold };
    for (status, error, code, verdict) in [
        (420, "FLOOD_WAIT_7", "flood_wait", wait(7, Hold::Sender)),
        (420, "FLOOD_PREMIUM_WAIT_8", "flood_wait", wait(8, Hold::Sender)),
        (420, "SLOWMODE_WAIT_9", "slow_mode", wait(9, Hold::Chat)),
        (400, "PEER_FLOOD", "peer_flood", Verdict::Fail),
        (400, "PEER_ID_INVALID", "chat_not_found", Verdict::Barred { gone: true }),
        (403, "CHAT_WRITE_FORBIDDEN", "not_enough_rights", Verdict::Barred { gone: false }),
        (400, "CHAT_ADMIN_REQUIRED", "not_enough_rights", Verdict::Barred { gone: false }),
        (400, "USER_BANNED_IN_CHANNEL", "not_enough_rights", Verdict::Barred { gone: false }),
        (400, "USER_IS_BLOCKED", "blocked_by_user", Verdict::Fail),
        (401, "AUTH_KEY_UNREGISTERED", "session_unregistered", Verdict::SenderDead),
        (401, "SESSION_REVOKED", "session_revoked", Verdict::SenderDead),
        (401, "SESSION_EXPIRED", "session_expired", Verdict::SenderDead),
        (401, "USER_DEACTIVATED", "account_deactivated", Verdict::SenderDead),
        (401, "USER_DEACTIVATED_BAN", "account_banned", Verdict::SenderDead),
        (406, "AUTH_KEY_DUPLICATED", "session_duplicated", Verdict::SenderDead),
    ] {
        telegram.fault(Fault::error("messages.sendMessage", status, error).times(1));
        let outcome = send(&account, friend, &text("refused"), 9).await;
        assert_eq!(refusal(outcome), (code, verdict), "{error}");
    }
    telegram.fault(Fault::error("messages.sendMessage", 500, "INTERNAL").times(1));
    assert!(matches!(send(&account, friend, &text("refused"), 9).await, Outcome::Unanswered { .. }));
    assert_eq!(telegram.arrived("refused"), 0);
    assert_eq!(ids(send(&account, friend, &text("refused"), 9).await).len(), 1);
}

#[tokio::test]
async fn a_peer_is_unknown_only_if_no_dialog_since_the_question_has_it() {
    let telegram = Telegram::start().await;
    let account = telegram.account("+15550005000").await;
    let user = telegram.person("+15550005002", 2);
    let stranger = PeerId::user(user).unwrap();
    let hello = text("hello");
    let outcomes = tokio::join!(
        send(&account, stranger, &hello, 1),
        send(&account, stranger, &hello, 2),
        send(&account, stranger, &hello, 3),
    );
    for outcome in [outcomes.0, outcomes.1, outcomes.2] {
        assert_eq!(refusal(outcome), ("chat_not_found", Verdict::Barred { gone: true }));
    }
    let searches = || telegram.server().counters().methods["messages.getDialogs"];
    assert_eq!(searches(), 2, "whoever came during the first search shares the next");
    telegram.server().deliver(user, account.user().id, "here I am").unwrap();
    assert_eq!(ids(send(&account, stranger, &hello, 4).await).len(), 1);
    assert_eq!(searches(), 3);
}

#[tokio::test]
async fn rights_are_those_of_the_chat() {
    let telegram = Telegram::start().await;
    let account = telegram.account("+15550005000").await;
    let me = account.user().id;
    let channel = telegram.chat(ChatKind::Channel, vec![(me, MemberStatus::Member)]);
    assert_eq!(account.resolve_id(channel.get()).await.unwrap(), channel);
    let seen = account.chat(channel).await.unwrap();
    assert!(!seen.can_post && !seen.is_admin);
    assert_eq!(seen.members, Some(1));
    assert_eq!(refusal(send(&account, channel, &text("no"), 1).await).0, "not_enough_rights");
}

#[tokio::test]
async fn a_group_that_became_a_supergroup_goes_on_there() {
    let telegram = Telegram::start().await;
    let account = telegram.account("+15550005000").await;
    let group = telegram.chat(ChatKind::Group, vec![(account.user().id, MemberStatus::Creator)]);
    assert_eq!(ids(send(&account, group, &text("before"), 1).await).len(), 1);
    let supergroup = telegram.world().migrate_group(group.get()).unwrap();
    let outcome = send(&account, group, &text("after"), 2).await;
    assert_eq!(refusal(outcome), ("chat_migrated", Verdict::Migrated { chat_id: supergroup }));
    let supergroup = PeerId::try_from(supergroup).unwrap();
    assert_eq!(ids(send(&account, supergroup, &text("after"), 2).await).len(), 1);
}

#[tokio::test]
async fn names_are_resolved_and_chats_listed() {
    let telegram = Telegram::start().await;
    let (account, friend) = account_and_friend(&telegram).await;
    telegram.world().user_mut(friend.get()).unwrap().username = Some("friend".to_owned());
    let me = account.user().id;
    let channel = telegram.chat(ChatKind::Channel, vec![(me, MemberStatus::Creator)]);
    let chats = account.dialogs(50).await.unwrap();
    assert!(chats.iter().any(|chat| chat.id == friend && chat.can_post));
    assert!(chats.iter().any(|chat| chat.id == channel && chat.can_post && chat.is_admin));
    assert_eq!(account.resolve_id(channel.bare()).await.unwrap(), channel);
    assert_eq!(account.resolve_username("@nobody_has_this").await.unwrap(), None);
}

#[tokio::test]
async fn buttons_and_impossible_replies_are_refused_before_sending() {
    let telegram = Telegram::start().await;
    let (account, friend) = account_and_friend(&telegram).await;
    let button = platform::Button { text: "Go".to_owned(), url: Some("https://a.b".to_owned()), callback_data: None };
    let options = Options { buttons: vec![vec![button]], ..Options::default() };
    let message = Message { options, ..text("buttons") };
    assert_eq!(refusal(send(&account, friend, &message, 1).await), ("bad_buttons", Verdict::Fail));
    let options = Options { reply_to: Some(i64::MAX), ..Options::default() };
    let message = Message { options, ..text("reply") };
    assert_eq!(refusal(send(&account, friend, &message, 2).await), ("reply_not_found", Verdict::Fail));
}

#[tokio::test]
async fn a_sent_message_is_edited_and_deleted() {
    let telegram = Telegram::start().await;
    let (account, friend) = account_and_friend(&telegram).await;
    let group = telegram.chat(ChatKind::Supergroup, vec![(account.user().id, MemberStatus::Creator)]);
    assert_eq!(account.resolve_id(group.get()).await.unwrap(), group);
    for (chat, random_id) in [(friend, 1), (group, 2)] {
        let sent = ids(send(&account, chat, &text("draft"), random_id).await);
        let changed = text(&format!("final {random_id}"));
        account.edit(chat, sent[0], &changed).await.unwrap();
        account.edit(chat, sent[0], &changed).await.unwrap();
        assert_eq!(telegram.arrived(words(&changed)), 1);
        telegram.fault(Fault::error("messages.updatePinnedMessage", 400, "CHAT_ADMIN_REQUIRED").times(1));
        assert_eq!(account.pin(chat, sent[0], true, false).await.unwrap_err().code, "not_enough_rights");
        account.delete_messages(chat, &sent).await.unwrap();
        let problem = account.edit(chat, sent[0], &text("too late")).await.unwrap_err();
        assert_eq!(problem.code, "message_not_found");
    }
}

/// Sends until it is certain that the message arrived, as its owner does.
async fn insist(account: &Account, peer: PeerId, message: &Message, random_id: i64) {
    loop {
        match send(account, peer, message, random_id).await {
            Outcome::Sent { .. } => return,
            Outcome::Unanswered { .. } => {}
            Outcome::Refused(refusal) if refusal.verdict == Verdict::Retry => tokio::task::yield_now().await,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn cuts_in_the_middle_of_many_sends_lose_and_double_nothing() {
    let telegram = Telegram::start().await;
    let mut settings = telegram.server().settings();
    settings.limits = false;
    telegram.server().set_settings(settings);
    let (account, friend) = account_and_friend(&telegram).await;
    for round in 0..5_i64 {
        let ids = (1..=40).map(|n| round * 40 + n);
        let messages: Vec<_> = ids.map(|id| (id, text(&format!("number {id}")))).collect();
        let sends = messages.iter().map(|(id, message)| insist(&account, friend, message, *id));
        let action = if round % 2 == 0 { Action::TakeThenCut } else { Action::Cut };
        telegram.fault(Fault::new("messages.sendMessage", action).times(3));
        futures::future::join_all(sends).await;
    }
    for id in 1..=200 {
        assert_eq!(telegram.arrived(&format!("number {id}")), 1, "message {id}");
    }
    assert_eq!(telegram.server().counters().auth_key_duplicated, 0);
}

#[tokio::test]
async fn without_a_server_nothing_was_sent() {
    let telegram = Telegram::start().await;
    let (account, friend) = account_and_friend(&telegram).await;
    ids(send(&account, friend, &text("first"), 1).await);
    telegram.server().stop().await;
    // On the connection that just died nobody can tell; from then on it is certain.
    let _ = send(&account, friend, &text("second"), 2).await;
    let outcome = send(&account, friend, &text("second"), 2).await;
    assert_eq!(refusal(outcome), ("telegram_unreachable", Verdict::Retry));
    telegram.server().restart(Duration::ZERO).await.unwrap();
    assert_eq!(ids(send(&account, friend, &text("second"), 2).await).len(), 1);
    assert_eq!(telegram.arrived("second"), 1);
}
