//! What happens to a channel at Telegram is noticed: told by updates, found by routine, or at the latest by a send.

use serde_json::{Value, json};
use telegram_sim::world::{ChatKind, Member, MemberStatus, Rights};

use crate::common::app::{Bot, TestApp};
use crate::common::stream::{Event, EventStream};
use crate::people::{connected, start_with};
use crate::stage::{Connected, admin, channel, chat, connect, sender_of, set, try_connect};

const POLLING: (&str, &str) = ("INTEGRATIONS_TELEGRAM__BOT_UPDATES", "polling");
const OFTEN: (&str, &str) = ("INTEGRATIONS_CHANNELS__REFRESH_SECONDS", "1");

fn without_post() -> Member {
    Member { rights: Rights { post: false, ..Rights::default() }, ..admin() }
}

async fn until(events: &mut EventStream, channel: &Connected, kind: &str) -> Event {
    let id = channel.id.to_string();
    events.until(|event| event.kind == kind && event.resource() == id).await.pop().unwrap()
}

/// Takes the right to post from a bot and gives it back, and waits until both are shown, without any send.
async fn a_right_is_lost_and_gained(app: &TestApp, news: &Connected, bot: &Bot) {
    let mut events = app.events(&app.user, "?type=channel.", None).await;
    set(app, news.chat, bot.telegram_id, without_post());
    let lost = until(&mut events, news, "channel.rights_lost").await;
    assert!(lost.data["data"]["lost"].as_array().unwrap().contains(&json!("text")), "{lost:?}");
    assert_eq!(lost.data["data"]["code"], "not_enough_rights");
    let shown = news.until(app, "without a sender", |channel| channel["status"] == "no_sender").await;
    assert!(shown["status_reason"].as_str().unwrap().contains("right to post"), "{shown}");
    assert_eq!(sender_of(&shown, bot.id)["rights"]["post"], false);
    app.user.post(&news.send_path(), &json!({ "text": "x" })).await.problem(409, "no_sender");
    set(app, news.chat, bot.telegram_id, admin());
    until(&mut events, news, "channel.rights_gained").await;
    news.until(app, "active again", |channel| channel["status"] == "active").await;
    assert_eq!(app.calls("sendMessage"), 0);
}

#[tokio::test]
async fn a_right_that_a_bot_is_told_to_have_lost_shows_before_a_send() {
    let app = TestApp::start_with(&[POLLING]).await;
    let bot = app.connect_bot().await;
    let news = connect(&app, &bot, channel(&app, "News", &[&bot])).await;
    a_right_is_lost_and_gained(&app, &news, &bot).await;
}

#[tokio::test]
async fn a_right_that_nobody_tells_of_is_found_by_routine() {
    let app = TestApp::start_with(&[OFTEN]).await;
    let bot = app.connect_bot().await;
    let news = connect(&app, &bot, channel(&app, "News", &[&bot])).await;
    a_right_is_lost_and_gained(&app, &news, &bot).await;
}

#[tokio::test]
async fn a_new_name_is_shown() {
    let app = TestApp::start_with(&[POLLING]).await;
    let bot = app.connect_bot().await;
    let group =
        connect(&app, &bot, chat(&app, ChatKind::Supergroup, "Before", None, &[(bot.telegram_id, admin())])).await;
    let mut events = app.events(&app.user, "?type=channel.", None).await;
    app.sim.world().lock().rename_chat(group.chat, "Afterwards", bot.telegram_id);
    let told = until(&mut events, &group, "channel.renamed").await;
    assert_eq!(told.data["data"]["title"], "Afterwards");
    assert_eq!(group.now(&app).await["title"], "Afterwards");
    app.sim.world().lock().set_chat_username(group.chat, Some("public_from_now".into()));
    let shown = group.check(&app).await;
    assert_eq!(
        (&shown["username"], &shown["link"]),
        (&json!("public_from_now"), &json!("https://t.me/public_from_now"))
    );
}

#[tokio::test]
async fn a_chat_that_was_deleted_is_noticed() {
    let app = TestApp::start_with(&[OFTEN]).await;
    let bot = app.connect_bot().await;
    let news = connect(&app, &bot, channel(&app, "News", &[&bot])).await;
    let mut events = app.events(&app.user, "?type=channel.", None).await;
    app.sim.world().lock().delete_chat(news.chat);
    until(&mut events, &news, "channel.rights_lost").await;
    let shown =
        news.until(&app, "gone", |channel| channel["status"] == "gone" || channel["status"] == "no_sender").await;
    assert_ne!(sender_of(&shown, bot.id)["state"], "ok");
}

fn basic_group(app: &TestApp, user: i64) -> i64 {
    chat(app, ChatKind::Group, "Group", None, &[(user, Member::new(MemberStatus::Member))])
}

async fn has_moved(app: &TestApp, group: &Connected, supergroup: i64) -> Value {
    group.until(app, "moved", |channel| channel["channel_id"] == json!(supergroup)).await
}

#[tokio::test]
async fn a_group_that_became_a_supergroup_keeps_its_row_history_and_queue() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let group = connect(&app, &bot, basic_group(&app, bot.telegram_id)).await;
    app.until(group.send(&app, "in the group").await, "sent").await;
    let later = json!({ "text": "later", "scheduled_at": chrono::Utc::now() + chrono::TimeDelta::hours(1) });
    let scheduled = group.send_body(&app, &later).await;
    let supergroup = app.sim.world().lock().migrate_group(group.chat).unwrap();
    let mut messages = Vec::new();
    for n in 0..5 {
        messages.push(group.send(&app, &format!("moved {n}")).await);
    }
    app.until_all(&messages, "sent").await;
    let shown = has_moved(&app, &group, supergroup).await;
    assert_eq!((&shown["type"], &shown["status"]), (&json!("group"), &json!("active")));
    let moved = Connected { chat: supergroup, ..group };
    assert_eq!(moved.texts(&app), ["moved 0", "moved 1", "moved 2", "moved 3", "moved 4"]);
    assert_eq!(app.message(scheduled).await["chat_id"], json!(supergroup));
    let history = app.user.list(&format!("/api/integrations/messages?channel_id={}", group.id)).await;
    assert_eq!(history.len(), 7);
    let again = try_connect(&app.user, &json!({ "bot_id": bot.id }), supergroup).await.ok(200);
    assert_eq!(again["id"], json!(group.id));
    app.change(scheduled, "cancel").await;
}

#[tokio::test]
async fn a_move_is_noticed_before_anything_is_sent() {
    let app = TestApp::start_with(&[POLLING]).await;
    let bot = app.connect_bot().await;
    let group = connect(&app, &bot, basic_group(&app, bot.telegram_id)).await;
    let mut events = app.events(&app.user, "?type=channel.", None).await;
    let supergroup = app.sim.world().lock().migrate_group(group.chat).unwrap();
    let told = until(&mut events, &group, "channel.migrated").await;
    assert_eq!(told.data["data"], json!({ "from": group.chat, "to": supergroup }));
    has_moved(&app, &group, supergroup).await;
}

#[tokio::test]
async fn a_move_is_found_when_the_group_is_looked_at_or_connected_again() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let group = connect(&app, &bot, basic_group(&app, bot.telegram_id)).await;
    let supergroup = app.sim.world().lock().migrate_group(group.chat).unwrap();
    assert_eq!(group.check(&app).await["channel_id"], json!(supergroup));
    let other = connect(&app, &bot, basic_group(&app, bot.telegram_id)).await;
    let supergroup = app.sim.world().lock().migrate_group(other.chat).unwrap();
    let again = try_connect(&app.user, &json!({ "bot_id": bot.id }), other.chat).await.ok(200);
    assert_eq!((&again["id"], &again["channel_id"]), (&json!(other.id), &json!(supergroup)));
}

#[tokio::test]
async fn a_move_that_many_find_at_once_is_one_and_a_supergroup_that_was_connected_takes_over() {
    let app = TestApp::start().await;
    let bots = [app.connect_bot().await, app.connect_bot().await];
    let members = bots.each_ref().map(|bot| (bot.telegram_id, Member::new(MemberStatus::Member)));
    let group = connect(&app, &bots[0], chat(&app, ChatKind::Group, "Group", None, &members)).await;
    group.add(&app, &json!({ "bot_id": bots[1].id })).await;
    let supergroup = app.sim.world().lock().migrate_group(group.chat).unwrap();
    futures::future::join_all((0..4).map(|_| group.check(&app))).await;
    let shown = has_moved(&app, &group, supergroup).await;
    assert_eq!((&shown["status"], shown["senders"].as_array().unwrap().len()), (&json!("active"), 2), "{shown}");

    // The other way round: the supergroup is a row of its own before the move is known.
    let group = connect(&app, &bots[0], chat(&app, ChatKind::Group, "Other", None, &members)).await;
    let later = json!({ "text": "later", "scheduled_at": chrono::Utc::now() + chrono::TimeDelta::hours(1) });
    let waiting = group.send_body(&app, &later).await;
    let supergroup = app.sim.world().lock().migrate_group(group.chat).unwrap();
    let row = connect(&app, &bots[1], supergroup).await;
    assert_eq!(app.user.post(&format!("{}/check", group.path()), &json!({})).await.status, 200);
    let (old, new) = (group.now(&app).await, row.now(&app).await);
    assert_eq!((&old["status"], &new["status"]), (&json!("gone"), &json!("active")), "{old} {new}");
    assert!(old["status_reason"].as_str().unwrap().contains(&row.id.to_string()), "{old}");
    assert_eq!(new["senders"].as_array().unwrap().len(), 2, "{new}");
    let message = app.message(waiting).await;
    assert_eq!((&message["channel_id"], &message["chat_id"]), (&json!(row.id), &json!(supergroup)));
    app.change(waiting, "cancel").await;
}

#[tokio::test]
async fn what_an_account_is_told_of_its_chats_shows() {
    let app = start_with(&[]).await;
    let account = connected(&app).await;
    let via = json!({ "account_id": account.id });
    let connect = async |chat: i64| {
        let shown = try_connect(&app.user, &via, chat).await.ok(201);
        Connected { id: crate::common::app::id_of(&shown), chat }
    };
    let news = connect(chat(&app, ChatKind::Channel, "News", None, &[(account.person.id, admin())])).await;
    let mut events = app.events(&app.user, "?type=channel.", None).await;
    set(&app, news.chat, account.person.id, without_post());
    let lost = until(&mut events, &news, "channel.rights_lost").await;
    assert_eq!(lost.data["data"]["sender_id"], json!(account.id));
    news.until(&app, "without a sender", |channel| channel["status"] == "no_sender").await;

    app.sim.world().lock().rename_chat(news.chat, "Renamed", account.person.id);
    let told = until(&mut events, &news, "channel.renamed").await;
    assert_eq!(told.data["data"]["title"], "Renamed");

    let group = connect(basic_group(&app, account.person.id)).await;
    let supergroup = app.sim.world().lock().migrate_group(group.chat).unwrap();
    assert_eq!(group.check(&app).await["channel_id"], json!(supergroup));
    let message = group.send(&app, "in the supergroup").await;
    app.until(message, "sent").await;
    assert_eq!(Connected { chat: supergroup, ..group }.texts(&app), ["in the supergroup"]);
}
