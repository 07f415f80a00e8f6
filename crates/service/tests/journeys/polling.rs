//! Updates of bots that the service asks for.

use serde_json::{Value, json};
use service::server::Roles;
use service::shutdown::Shutdown;
use telegram_sim::bot_api::{Fault, FaultAction};
use telegram_sim::world::ChatKind;

use crate::common::app::{BOTS, Bot, LOGS, TestApp, id_of, too_many_requests};
use crate::common::eventually;
use crate::told::{chat, each_kind_is_told, shown, take_by, texts_until, until_state, write};

const POLLING: (&str, &str) = ("INTEGRATIONS_TELEGRAM__BOT_UPDATES", "polling");

async fn polled() -> (TestApp, Bot) {
    let app = TestApp::start_with(&[POLLING]).await;
    let bot = app.connect_bot().await;
    until_state(&app, &bot, "polling").await;
    (app, bot)
}

/// How many events of bots' messages there are.
async fn stored(app: &TestApp) -> i64 {
    let count = "SELECT count(*) FROM events WHERE type = 'bot.message_new'";
    sqlx::query_scalar(count).fetch_one(&app.pool).await.unwrap()
}

#[tokio::test]
async fn each_kind_is_told_in_its_order() {
    let (app, bot) = polled().await;
    each_kind_is_told(&app, &bot).await;
}

#[tokio::test]
async fn nothing_is_asked_for_unless_it_is_wanted() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    app.until(app.send(&bot, app.person(&bot), "x").await, "sent").await;
    let updates = &shown(&app, &bot).await["updates"];
    assert_eq!((&updates["mode"], &updates["state"]), (&json!("default"), &json!("off")));
    assert_eq!((app.calls("getUpdates"), app.calls("setWebhook")), (0, 0));
    let wanted = app.new_token();
    let body = json!({ "token": wanted, "updates": "polling" });
    let bot = Bot { id: id_of(&app.user.post(BOTS, &body).await.ok(201)), ..bot };
    until_state(&app, &bot, "polling").await;
    let body = json!({ "token": app.new_token(), "updates": "webhook" });
    let problem = app.user.post(BOTS, &body).await.problem(400, "invalid_body");
    assert_eq!(problem["errors"][0]["pointer"], "/updates");
}

#[tokio::test]
async fn what_came_while_the_service_was_away_is_told_once() {
    let (mut app, bot) = polled().await;
    let person = app.person(&bot);
    let mut events = app.events(&app.user, "?type=bot.message", None).await;
    write(&app, person, bot.telegram_id, "heard");
    let last = events.next().await.id;
    // A question is open at Telegram now, for longer than the end of the service may take.
    app.stop_service().await;
    for n in 0..250 {
        write(&app, person, bot.telegram_id, &format!("{n}"));
    }
    app.start_service().await;
    let mut events = app.events(&app.user, "?type=bot.message", Some(&last)).await;
    let expected: Vec<String> = (0..250).map(|n| n.to_string()).collect();
    assert_eq!(texts_until(&mut events, "249").await, expected);
    assert_eq!(stored(&app).await, 251);
}

#[tokio::test]
async fn a_process_that_ends_before_it_asks_again_doubles_nothing() {
    let (mut app, bot) = polled().await;
    let person = app.person(&bot);
    // A question is open; the next one, which would confirm the answer, never reaches Telegram.
    eventually("it asks", async || app.calls("getUpdates") >= 2).await;
    let lost = app.sim.add_fault(Fault::new(FaultAction::CutBefore).method("getUpdates"));
    for n in 0..10 {
        write(&app, person, bot.telegram_id, &format!("{n}"));
    }
    eventually("all is stored", async || stored(&app).await >= 1 && app.hits(lost) > 0).await;
    app.stop_service().await;
    let before = stored(&app).await;
    assert!(app.sim.world().lock().bot(bot.telegram_id).unwrap().updates.len() == 10, "nothing was confirmed");
    // Even when the place was lost: each update is known by its number.
    sqlx::query("UPDATE telegram_bot_updates SET next_update_id = NULL").execute(&app.pool).await.unwrap();
    app.sim.api().faults().remove(lost);
    app.start_service().await;
    let mut events = app.events(&app.user, "?type=bot.message", None).await;
    write(&app, person, bot.telegram_id, "the end");
    texts_until(&mut events, "the end").await;
    assert!(before <= 10);
    assert_eq!(stored(&app).await, 11);
}

#[tokio::test]
async fn a_bot_that_moves_to_another_worker_misses_and_doubles_nothing() {
    let mut app = TestApp::start_with(&[POLLING]).await;
    let bots: Vec<Bot> = vec![app.connect_bot().await, app.connect_bot().await, app.connect_bot().await];
    let people: Vec<i64> = bots.iter().map(|bot| app.person(bot)).collect();
    let write_all = |app: &TestApp, text: &str| {
        for (bot, person) in bots.iter().zip(&people) {
            write(app, *person, bot.telegram_id, text);
        }
    };
    for bot in &bots {
        until_state(&app, bot, "polling").await;
    }
    write_all(&app, "first");
    let other = Shutdown::default();
    let roles = Roles { api: false, worker: true };
    service::server::start(&app.settings, roles, app.ground().await, &other).await.unwrap();
    app.stop_service().await;
    write_all(&app, "second");
    eventually("the other worker has taken them", async || stored(&app).await == 6).await;
    app.start_service().await;
    write_all(&app, "third");
    other.soft.cancel();
    other.wait().await;
    write_all(&app, "fourth");
    eventually("all came", async || stored(&app).await >= 12).await;
    let mut told: Vec<String> = sqlx::query_scalar(
        "SELECT resource_id || ' ' || (data->>'text') FROM events WHERE type = 'bot.message_new' ORDER BY events.xid, id",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    told.sort_by_key(|line| line.split(' ').next().map(str::to_owned));
    let mut expected: Vec<String> = Vec::new();
    let mut ids: Vec<String> = bots.iter().map(|bot| bot.id.to_string()).collect();
    ids.sort();
    for id in ids {
        expected.extend(["first", "second", "third", "fourth"].map(|text| format!("{id} {text}")));
    }
    assert_eq!(told, expected);
    for bot in &bots {
        assert_eq!(until_state(&app, bot, "polling").await, Value::Null);
    }
}

#[tokio::test]
async fn another_program_that_asks_too_is_shown() {
    let app = TestApp::start_with(&[POLLING, ("INTEGRATIONS_TELEGRAM__BOT_POLL_SECONDS", "2")]).await;
    let bot = app.connect_bot().await;
    until_state(&app, &bot, "polling").await;
    let mut events = app.events(&app.user, "?type=bot.updates_changed", None).await;
    let rival = async {
        loop {
            app.telegram(&bot.token, "getUpdates", &json!({})).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let reason = tokio::select! {
        () = rival => unreachable!("it asks for ever"),
        reason = until_state(&app, &bot, "conflict") => reason,
    };
    assert!(reason.as_str().unwrap().contains("terminated by other getUpdates request"), "{reason}");
    let event = events.until(|event| event.data["data"]["state"] == "conflict").await.pop().unwrap();
    assert_eq!(event.resource(), bot.id.to_string());
    let logs = app.user.list(&format!("{LOGS}?action=take_updates")).await;
    assert_eq!((logs.len(), &logs[0]["details"]["state"]), (1, &json!("conflict")));
    assert_eq!(shown(&app, &bot).await["status"], "active", "it can still send");
    let mut messages = app.events(&app.user, "?type=bot.message", None).await;
    write(&app, app.person(&bot), bot.telegram_id, "after the rival");
    until_state(&app, &bot, "polling").await;
    assert_eq!(texts_until(&mut messages, "after the rival").await, ["after the rival"]);
}

#[tokio::test]
async fn a_webhook_of_another_system_is_left_alone_until_it_may_be_taken_over() {
    let app = TestApp::start_with(&[POLLING]).await;
    let token = app.new_token();
    let hook = "https://other.example/hook";
    app.telegram(&token, "setWebhook", &json!({ "url": hook })).await;
    let connected = app.user.post(BOTS, &json!({ "token": token })).await.ok(201);
    let telegram_id = telegram_sim::bot_api::token_bot_id(&token).unwrap();
    let bot = Bot { id: id_of(&connected), token, telegram_id };
    let reason = until_state(&app, &bot, "elsewhere").await;
    assert!(reason.as_str().unwrap().contains("other.example"), "{reason}");
    assert_eq!(app.telegram(&bot.token, "getWebhookInfo", &json!({})).await["url"], hook);
    let mut events = app.events(&app.user, "?type=bot.message", None).await;
    write(&app, app.person(&bot), bot.telegram_id, "kept at Telegram");
    app.user.patch(&bot.path(), &json!({ "take_over": true })).await.ok(200);
    assert_eq!(texts_until(&mut events, "kept at Telegram").await, ["kept at Telegram"]);
    assert_eq!(app.telegram(&bot.token, "getWebhookInfo", &json!({})).await["url"], "");
}

#[tokio::test]
async fn what_telegram_answers_badly_is_asked_for_again() {
    let (app, bot) = polled().await;
    let person = app.person(&bot);
    let mut events = app.events(&app.user, "?type=bot.", None).await;
    let html = |status| FaultAction::Http { status, body: String::new(), taken: true };
    let no_number = FaultAction::Http { status: 200, body: r#"{"ok":true,"result":[{"x":1}]}"#.into(), taken: false };
    for (n, fault) in [html(502), FaultAction::CutAfter, too_many_requests(1), no_number].into_iter().enumerate() {
        app.sim.add_fault(Fault::new(fault).method("getUpdates").times(1));
        write(&app, person, bot.telegram_id, &format!("before {n}"));
        write(&app, person, bot.telegram_id, &format!("{n}"));
        texts_until(&mut events, &n.to_string()).await;
    }
    let unreadable =
        r#"{"ok":true,"result":[{"update_id":5,"message":{"text":"\ud800"}},{"update_id":6,"of_tomorrow":{}}]}"#;
    let unreadable = FaultAction::Http { status: 200, body: unreadable.into(), taken: false };
    app.sim.add_fault(Fault::new(unreadable).method("getUpdates").times(1));
    write(&app, person, bot.telegram_id, "ends the open question");
    let told = events.until(|event| event.data["data"]["update_id"] == 6).await;
    let kinds: Vec<&Value> = told.iter().filter(|e| e.kind == "bot.update").map(|e| &e.data["data"]["kind"]).collect();
    assert_eq!(kinds, [&json!("unreadable"), &json!("of_tomorrow")]);
    write(&app, person, bot.telegram_id, "the end");
    texts_until(&mut events, "the end").await;
    assert_eq!(stored(&app).await, 10);
}

#[tokio::test]
async fn a_revoked_token_ends_it_and_the_next_token_goes_on() {
    let app = TestApp::start_with(&[POLLING, ("INTEGRATIONS_TELEGRAM__BOT_POLL_SECONDS", "1")]).await;
    let bot = app.connect_bot().await;
    until_state(&app, &bot, "polling").await;
    let mut events = app.events(&app.user, "?type=bot.", None).await;
    let person = app.person(&bot);
    let renewed = app.sim.world().lock().revoke_token(bot.telegram_id, true).unwrap();
    let renewed = app.secret(renewed);
    events.until(|event| event.kind == "bot.token_revoked").await;
    write(&app, person, bot.telegram_id, "while it was dead");
    app.user.post(&format!("{}/token", bot.path()), &json!({ "token": renewed })).await.ok(200);
    texts_until(&mut events, "while it was dead").await;
}

#[tokio::test]
async fn a_bot_can_be_told_to_begin_and_to_end() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let person = app.person(&bot);
    let mut events = app.events(&app.user, "?type=bot.message", None).await;
    write(&app, person, bot.telegram_id, "early");
    take_by(&app, &bot, "polling").await;
    texts_until(&mut events, "early").await;
    take_by(&app, &bot, "off").await;
    until_state(&app, &bot, "off").await;
    write(&app, person, bot.telegram_id, "meanwhile");
    app.user.patch(&bot.path(), &json!({ "is_active": false })).await.ok(200);
    app.until_given_back(&bot).await;
    take_by(&app, &bot, "polling").await;
    assert_eq!(stored(&app).await, 1);
    app.user.patch(&bot.path(), &json!({ "is_active": true })).await.ok(200);
    texts_until(&mut events, "meanwhile").await;
}

#[tokio::test]
async fn what_is_on_its_way_to_a_group_that_changes_is_not_overtaken() {
    let (app, bot) = polled().await;
    let person = app.person(&bot);
    let group = chat(&app, &bot, person, ChatKind::Group);
    let slow = app.disturb(group, 1, FaultAction::Delay { ms: 1000 });
    let mut messages = vec![app.send(&bot, group, "0").await];
    eventually("it is on its way", async || app.hits(slow) == 1).await;
    for n in 1..5 {
        messages.push(app.send(&bot, group, &n.to_string()).await);
    }
    let mut events = app.events(&app.user, "?type=bot.message", None).await;
    let supergroup = app.sim.world().lock().migrate_group(group).unwrap();
    write(&app, person, bot.telegram_id, "told");
    texts_until(&mut events, "told").await;
    app.until_all(&messages, "sent").await;
    assert_eq!(app.texts(&bot, supergroup), ["0", "1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_group_that_becomes_a_supergroup_takes_along_what_waits_for_it() {
    let (app, bot) = polled().await;
    let person = app.person(&bot);
    let group = chat(&app, &bot, person, ChatKind::Group);
    let tomorrow = chrono::Utc::now() + chrono::TimeDelta::days(1);
    let body = json!({ "chat_id": group, "text": "later", "scheduled_at": tomorrow });
    let later = app.send_body(&bot, &body).await;
    let supergroup = app.sim.world().lock().migrate_group(group).unwrap();
    eventually("it waits for the supergroup", async || app.message(later).await["chat_id"] == supergroup).await;
    app.change(later, "cancel").await;
}
