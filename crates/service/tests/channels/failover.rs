//! When the sender whose turn it is cannot send: the next one takes over, nothing is lost or doubled, and the order stays.

use std::collections::HashSet;

use serde_json::{Value, json};
use telegram_sim::bot_api::{Fault, FaultAction};
use telegram_sim::world::{ChatKind, Member, MemberStatus, Permissions};
use uuid::Uuid;

use crate::common::app::{Bot, LOGS, TestApp};
use crate::common::eventually;
use crate::people::{connected, start};
use crate::stage::{Connected, admin, channel, chat, connect, sender_of, set, via_bot, wait};

/// A channel with so many bots as senders, in this order.
async fn stage(app: &TestApp, bots: usize) -> (Connected, Vec<Bot>) {
    let mut all = Vec::new();
    for _ in 0..bots {
        all.push(app.connect_bot().await);
    }
    let news = connect(app, &all[0], channel(app, "News", &all.iter().collect::<Vec<_>>())).await;
    for bot in &all[1..] {
        news.add(app, &via_bot(bot)).await;
    }
    (news, all)
}

fn numbers(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| n.to_string()).collect()
}

async fn send_all(app: &TestApp, news: &Connected, from: usize, to: usize) -> Vec<Uuid> {
    let mut messages = Vec::new();
    for text in numbers(from, to) {
        messages.push(news.send(app, &text).await);
    }
    messages
}

#[tokio::test]
async fn who_lost_its_rights_is_stood_in_for_and_comes_back() {
    let app = TestApp::start().await;
    let (news, bots) = stage(&app, 2).await;
    let mut events = app.events(&app.user, "?type=channel.", None).await;
    app.until_all(&send_all(&app, &news, 0, 3).await, "sent").await;
    set(&app, news.chat, bots[0].telegram_id, Member { rights: without_post(), ..admin() });
    let messages = send_all(&app, &news, 3, 10).await;
    app.until_all(&messages, "sent").await;
    assert_eq!(news.texts(&app), numbers(0, 10));
    let senders: Vec<i64> = news.arrived(&app).into_iter().map(|(from, _)| from).collect();
    assert_eq!(senders[..3], [bots[0].telegram_id; 3]);
    assert_eq!(senders[3..], [bots[1].telegram_id; 7]);
    let first = app.message(messages[0]).await;
    assert_eq!((&first["sender_id"], first["attempt_list"].as_array().unwrap().len()), (&json!(bots[1].id), 2));
    assert_eq!(first["attempt_list"][0]["code"], "not_enough_rights");
    assert_eq!(first["attempt_list"][0]["sender_id"], json!(bots[0].id));
    let lost = events.until(|event| event.kind == "channel.rights_lost").await.pop().unwrap();
    assert_eq!(lost.data["data"]["sender_id"], json!(bots[0].id));
    let shown = news.now(&app).await;
    let barred = sender_of(&shown, bots[0].id);
    assert_eq!((&shown["status"], &barred["state"]), (&json!("active"), &json!("barred")), "{shown}");
    assert_eq!(barred["reason_code"], "not_enough_rights");
    let logs = app.user.list(&format!("{LOGS}?action=rights_lost")).await;
    assert_eq!(logs[0]["details"]["sender_id"], json!(bots[0].id));

    set(&app, news.chat, bots[0].telegram_id, admin());
    assert_eq!(sender_of(&news.check(&app).await, bots[0].id)["state"], "ok");
    let again = news.send(&app, "again").await;
    assert_eq!(app.until(again, "sent").await["sender_id"], json!(bots[0].id));
}

fn without_post() -> telegram_sim::world::Rights {
    telegram_sim::world::Rights { post: false, ..telegram_sim::world::Rights::default() }
}

#[tokio::test]
async fn without_anybody_left_they_wait_with_a_reason() {
    let app = TestApp::start().await;
    let (news, bots) = stage(&app, 2).await;
    let messages = send_all(&app, &news, 0, 1).await;
    app.until_all(&messages, "sent").await;
    for bot in &bots {
        set(&app, news.chat, bot.telegram_id, Member::new(MemberStatus::Kicked));
    }
    let mut events = app.events(&app.user, "?type=channel.", None).await;
    let waiting = send_all(&app, &news, 1, 4).await;
    events.until(|event| event.kind == "channel.no_sender").await;
    let parked = |message: &Value| message["status"] == "queued" && message["error_code"] == "no_sender";
    for id in &waiting {
        eventually("it is parked", async || parked(&app.message(*id).await)).await;
    }
    let message = app.message(waiting[0]).await;
    assert_eq!(message["sender_id"], Value::Null);
    assert!(!message["error_message"].as_str().unwrap().is_empty(), "{message}");
    let shown = news.now(&app).await;
    assert_eq!(shown["status"], "no_sender", "{shown}");
    let problem = app.user.post(&news.send_path(), &json!({ "text": "x" })).await.problem(409, "no_sender");
    assert!(problem["detail"].as_str().unwrap().contains("kicked"), "{problem}");
    // Nothing is tried meanwhile.
    let calls = app.calls("sendMessage");
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(app.calls("sendMessage"), calls);
    set(&app, news.chat, bots[1].telegram_id, admin());
    news.check(&app).await;
    app.until_all(&waiting, "sent").await;
    assert_eq!(news.texts(&app), numbers(0, 4));
    events.until(|event| event.kind == "channel.active").await;
}

#[tokio::test]
async fn a_chat_that_is_gone_fails_what_waits_for_it() {
    let app = TestApp::start().await;
    let bots = [app.connect_bot().await, app.connect_bot().await];
    let members = bots.each_ref().map(|bot| (bot.telegram_id, Member::new(MemberStatus::Member)));
    let group = connect(&app, &bots[0], chat(&app, ChatKind::Group, "Group", None, &members)).await;
    group.add(&app, &via_bot(&bots[1])).await;
    app.until(group.send(&app, "before").await, "sent").await;
    let later = json!({ "text": "later", "scheduled_at": chrono::Utc::now() + chrono::TimeDelta::hours(1) });
    let scheduled = group.send_body(&app, &later).await;
    app.sim.world().lock().delete_chat(group.chat);
    let lost = group.send(&app, "lost").await;
    assert_eq!(app.until(lost, "failed").await["error_code"], "chat_not_found");
    assert_eq!(app.until(scheduled, "failed").await["error_code"], "chat_not_found");
    assert_eq!(group.now(&app).await["status"], "gone");
    app.user.post(&group.send_path(), &json!({ "text": "x" })).await.problem(409, "channel_inactive");
}

#[tokio::test]
async fn a_dead_or_switched_off_sender_is_stood_in_for() {
    let app = TestApp::start().await;
    let (news, bots) = stage(&app, 3).await;
    app.sim.world().lock().revoke_token(bots[0].telegram_id, false);
    let first = send_all(&app, &news, 0, 5).await;
    app.until_all(&first, "sent").await;
    app.user.patch(&bots[1].path(), &json!({ "is_active": false })).await.ok(200);
    let second = send_all(&app, &news, 5, 10).await;
    app.until_all(&second, "sent").await;
    assert_eq!(news.texts(&app), numbers(0, 10));
    let last = app.message(second[4]).await;
    assert_eq!(last["sender_id"], json!(bots[2].id));
    // The better one comes back by itself.
    app.user.patch(&bots[1].path(), &json!({ "is_active": true })).await.ok(200);
    let third = news.send(&app, "10").await;
    assert_eq!(app.until(third, "sent").await["sender_id"], json!(bots[1].id));
}

#[tokio::test]
async fn a_sender_that_is_disconnected_leaves_its_work_to_the_others() {
    let app = TestApp::start().await;
    let (news, bots) = stage(&app, 2).await;
    app.sim.add_fault(wait(2).times(1));
    let messages = send_all(&app, &news, 0, 4).await;
    app.until_refused(messages[0]).await;
    app.user.delete(&bots[0].path()).await;
    app.until_all(&messages, "sent").await;
    assert_eq!(news.texts(&app), numbers(0, 4));
    let shown = news.now(&app).await;
    assert_eq!(shown["senders"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_long_wait_of_the_sender_is_a_reason_and_one_of_the_chat_is_none() {
    let app = TestApp::start_with(&[("INTEGRATIONS_CHANNELS__FAILOVER_AFTER_SECONDS", "3")]).await;
    let (news, bots) = stage(&app, 2).await;
    app.sim.add_fault(wait(4).chat(news.chat).times(1));
    let held = news.send(&app, "0").await;
    app.until_refused(held).await;
    // Two chats that are told to wait within a second hold the bot.
    let others = app.people(&bots[0], 2);
    app.sim.add_fault(wait(20).chat(others[0]).times(1));
    app.sim.add_fault(wait(20).chat(others[1]).times(1));
    let elsewhere = [app.send(&bots[0], others[0], "x").await, app.send(&bots[0], others[1], "y").await];
    let messages = send_all(&app, &news, 1, 4).await;
    app.until(held, "sent").await;
    app.until_all(&messages, "sent").await;
    assert_eq!(news.texts(&app), numbers(0, 4));
    assert_eq!(app.message(messages[2]).await["sender_id"], json!(bots[1].id));
    for message in elsewhere {
        app.change(message, "cancel").await;
    }
}

#[tokio::test]
async fn what_may_have_arrived_stays_with_its_sender_and_holds_up_the_others() {
    let app = start().await;
    let (account, bot) = (connected(&app).await, app.connect_bot().await);
    let members = [(account.person.id, admin()), (bot.telegram_id, admin())];
    let group = chat(&app, ChatKind::Supergroup, "Group", None, &members);
    let via = json!({ "account_id": account.id });
    let shown = crate::stage::try_connect(&app.user, &via, group).await.ok(201);
    let group = Connected { id: crate::common::app::id_of(&shown), chat: group };
    group.add(&app, &via_bot(&bot)).await;
    // Taken, without an answer: only the account can find out.
    let drop = telegram_sim::mtproto::faults::Fault::new(
        "messages.sendMessage",
        telegram_sim::mtproto::faults::Action::Error { code: 500, message: "INTERNAL".into() },
    );
    app.sim.accounts().add_fault(drop.for_user(account.person.id).times(3));
    let first = group.send(&app, "0").await;
    eventually("an attempt is without an answer", async || app.message(first).await["attempts"] != 0).await;
    let order = json!({ "senders": [bot.id, account.id] });
    app.user.patch(&group.path(), &order).await.ok(200);
    let second = group.send(&app, "1").await;
    app.until_all(&[first, second], "sent").await;
    let arrived = group.arrived(&app);
    assert_eq!(arrived, [(account.person.id, "0".to_owned()), (bot.telegram_id, "1".to_owned())]);
}

#[tokio::test]
async fn content_that_the_first_may_not_send_goes_through_another() {
    let app = TestApp::start().await;
    let bots = [app.connect_bot().await, app.connect_bot().await];
    let text_only = Permissions { polls: true, ..Permissions::NONE };
    let muted = Member { permissions: text_only, ..Member::new(MemberStatus::Restricted) };
    let members = [(bots[0].telegram_id, muted), (bots[1].telegram_id, admin())];
    let group = connect(&app, &bots[0], chat(&app, ChatKind::Supergroup, "Group", None, &members)).await;
    group.add(&app, &via_bot(&bots[1])).await;
    let shown = group.now(&app).await;
    assert_eq!(sender_of(&shown, bots[0].id)["rights"]["send"], json!(["poll"]));
    let text = group.send(&app, "text").await;
    assert_eq!(app.until(text, "sent").await["sender_id"], json!(bots[1].id));
}

#[tokio::test]
async fn under_load_nothing_is_lost_doubled_or_out_of_order() {
    let app = TestApp::start().await;
    let (news, bots) = stage(&app, 3).await;
    app.sim.add_fault(Fault::new(FaultAction::Delay { ms: 5 }).method("sendMessage"));
    let sending = send_all(&app, &news, 0, 150);
    let disturbing = async {
        for round in 0..12 {
            let bot = &bots[round % 3];
            let barred = Member { rights: without_post(), ..admin() };
            set(&app, news.chat, bot.telegram_id, if round % 2 == 0 { barred } else { admin() });
            tokio::time::sleep(std::time::Duration::from_millis(60)).await;
            if round % 2 == 1 {
                for bot in &bots {
                    set(&app, news.chat, bot.telegram_id, admin());
                }
                news.check(&app).await;
            }
        }
        for bot in &bots {
            set(&app, news.chat, bot.telegram_id, admin());
        }
        news.check(&app).await;
    };
    let (messages, ()) = tokio::join!(sending, disturbing);
    news.check(&app).await;
    app.until_all(&messages, "sent").await;
    assert_eq!(news.texts(&app), numbers(0, 150));
    let senders: HashSet<i64> = news.arrived(&app).into_iter().map(|(from, _)| from).collect();
    assert!(senders.len() > 1, "several took part: {senders:?}");
}
