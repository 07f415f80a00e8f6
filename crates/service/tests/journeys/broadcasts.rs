//! One message to many chats.

use std::collections::{BTreeMap, HashSet};

use reqwest::Method;
use serde_json::{Value, json};
use telegram_sim::bot_api::{Fault, FaultAction};
use telegram_sim::world::{Filter, Place};
use uuid::Uuid;

use crate::common::app::{BROADCASTS, Bot, TestApp, id_of};
use crate::common::eventually;

/// One target for each chat, called by its place.
fn targets(chats: &[i64]) -> Value {
    let target = |(n, chat)| json!({ "chat_id": chat, "variables": { "name": format!("person {n}") } });
    chats.iter().enumerate().map(target).collect()
}

fn path(id: Uuid) -> String {
    format!("{BROADCASTS}/{id}")
}

async fn create(app: &TestApp, bot: &Bot, body: Value) -> Uuid {
    let mut body = body;
    body["via"] = json!({ "bot_id": bot.id });
    id_of(&app.user.post(BROADCASTS, &body).await.ok(202))
}

async fn get(app: &TestApp, id: Uuid) -> Value {
    app.user.get(&path(id)).await.ok(200)
}

async fn order(app: &TestApp, id: Uuid, verb: &str) -> Value {
    app.user.post(&format!("{}/{verb}", path(id)), &json!({})).await.ok(200)
}

/// How many targets are in a state.
fn count(broadcast: &Value, status: &str) -> u64 {
    broadcast["counts"][status].as_u64().unwrap_or_default()
}

async fn until(app: &TestApp, id: Uuid, what: &str, reached: impl Fn(&Value) -> bool) {
    eventually(&format!("the broadcast {what}"), async || reached(&get(app, id).await)).await;
}

/// All targets, in their order.
async fn results(app: &TestApp, id: Uuid) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.user.get(&format!("{}/targets?limit=200{cursor}", path(id))).await.ok(200);
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    all.reverse();
    all
}

#[tokio::test]
async fn each_target_gets_the_message_with_its_own_variables() {
    let app = TestApp::start().await;
    let (one, two) = (app.connect_bot().await, app.connect_bot().await);
    let (chats, others) = (app.people(&one, 30), app.people(&two, 20));
    let mut targets = targets(&chats);
    let list = targets.as_array_mut().unwrap();
    list.extend(
        others.iter().map(|chat| json!({ "chat_id": chat, "bot_id": two.id, "variables": { "name": "<b>&" } })),
    );
    // Nobody has met this chat.
    list.push(json!({ "chat_id": 1, "variables": { "name": "nobody" } }));
    let mut events = app.events(&app.user, "", None).await;
    let message = json!({ "text": "<b>Dear {{name}}</b>, {{when|now}}", "parse_mode": "HTML", "silent": true });
    let body = json!({ "name": "greeting", "message": message, "targets": targets });
    let id = create(&app, &one, body).await;
    let told = events.until(|event| event.kind == "broadcast.done").await;
    assert!(told.iter().any(|event| event.kind == "broadcast.progress" && event.resource() == id.to_string()));

    let broadcast = get(&app, id).await;
    assert_eq!(broadcast["counts"], json!({ "sent": 50, "failed": 1 }));
    assert_eq!((&broadcast["status"], &broadcast["name"]), (&json!("done"), &json!("greeting")));
    assert_eq!(
        (&broadcast["message"]["text"], &broadcast["total"]),
        (&json!("Dear {{name}}, {{when|now}}"), &json!(51))
    );
    assert_eq!(broadcast["message"]["entities"], json!([{ "type": "bold", "offset": 0, "length": 13 }]));
    for (n, chat) in chats.iter().enumerate() {
        assert_eq!(app.texts(&one, *chat), [format!("Dear person {n}, now")]);
    }
    for chat in &others {
        let message = app.arrivals(&two, *chat);
        assert_eq!(message.len(), 1);
        assert_eq!(message[0].body.text, "Dear <b>&, now");
        assert!(message[0].body.silent);
        let bold = &message[0].body.entities[0];
        assert_eq!((bold.offset, bold.length), (0, 9), "{bold:?}");
    }
    let results = results(&app, id).await;
    let failed = results.last().unwrap();
    assert_eq!((&failed["status"], &failed["error_code"]), (&json!("failed"), &json!("chat_not_found")));
    let ids: HashSet<&Value> = results.iter().map(|target| &target["message_id"]).collect();
    assert_eq!(ids.len(), 51);
    let message = app.message(results[3]["message_id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!((&message["status"], &message["priority"]), (&json!("sent"), &json!("low")));
    let only = app.user.get(&format!("{}/targets?status=failed", path(id))).await.ok(200);
    assert_eq!(only["items"].as_array().unwrap().len(), 1);
    let list = app.user.get(&format!("{BROADCASTS}?status=done")).await.ok(200);
    assert_eq!(list["items"][0]["id"], json!(id));
}

#[tokio::test]
async fn a_pause_holds_what_was_not_sent_and_nothing_is_sent_twice() {
    // Slow enough to be paused in the middle.
    let app = TestApp::start_with(&[("INTEGRATIONS_TELEGRAM__BOT_PER_SECOND", "20")]).await;
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 60);
    let body = json!({ "message": { "text": "{{name}}" }, "targets": targets(&chats) });
    let id = create(&app, &bot, body).await;
    until(&app, id, "has begun", |broadcast| count(broadcast, "sent") > 0).await;
    let paused = order(&app, id, "pause").await;
    assert_eq!(paused["status"], "paused");
    assert_eq!(order(&app, id, "pause").await["status"], "paused", "to ask twice is no error");
    until(&app, id, "is still", |broadcast| count(broadcast, "sending") + count(broadcast, "queued") == 0).await;
    let still = get(&app, id).await;
    assert!(count(&still, "waiting") > 0, "{still}");
    // What waits elsewhere is not held.
    let other = app.send(&bot, chats[0], "not of the broadcast").await;
    app.until(other, "sent").await;
    assert_eq!(get(&app, id).await["counts"], still["counts"]);
    order(&app, id, "resume").await;
    until(&app, id, "is done", |broadcast| broadcast["status"] == "done").await;
    assert_eq!(get(&app, id).await["counts"], json!({ "sent": 60 }));
    for (n, chat) in chats.iter().enumerate() {
        let (texts, own) = (app.texts(&bot, *chat), format!("person {n}"));
        assert_eq!(texts.iter().filter(|text| **text == own).count(), 1, "once: {texts:?}");
    }
    for verb in ["pause", "resume", "cancel"] {
        let refused = app.user.post(&format!("{}/{verb}", path(id)), &json!({})).await;
        refused.problem(409, "broadcast_ended");
    }
}

#[tokio::test]
async fn what_is_cancelled_is_never_sent() {
    let app = TestApp::start_with(&[("INTEGRATIONS_TELEGRAM__BOT_PER_SECOND", "20")]).await;
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 150);
    let body = json!({ "message": { "text": "{{name}}" }, "targets": targets(&chats) });
    let id = create(&app, &bot, body).await;
    until(&app, id, "has begun", |broadcast| count(broadcast, "sent") > 0).await;
    order(&app, id, "cancel").await;
    until(&app, id, "has ended", |broadcast| broadcast["finished_at"].is_string()).await;
    let ended = get(&app, id).await;
    assert_eq!((&ended["status"], count(&ended, "sent") + count(&ended, "cancelled")), (&json!("cancelled"), 150));
    let arrived = chats.iter().filter(|chat| !app.texts(&bot, **chat).is_empty()).count();
    assert_eq!(arrived as u64, count(&ended, "sent"));
    app.user.post(&format!("{}/resume", path(id)), &json!({})).await.problem(409, "broadcast_ended");
}

#[tokio::test]
async fn a_restart_in_the_middle_loses_and_doubles_nothing() {
    let mut app = TestApp::start_with(&[("INTEGRATIONS_TELEGRAM__BOT_PER_SECOND", "60")]).await;
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 150);
    let body = json!({ "message": { "text": "{{name}}" }, "targets": targets(&chats) });
    let id = create(&app, &bot, body).await;
    for _ in 0..3 {
        let sent = count(&get(&app, id).await, "sent");
        until(&app, id, "goes on", |broadcast| count(broadcast, "sent") > sent || broadcast["status"] == "done").await;
        app.stop_service().await;
        app.start_service().await;
        app.user = app.user(crate::common::app::USER);
    }
    until(&app, id, "is done", |broadcast| broadcast["status"] == "done").await;
    assert_eq!(get(&app, id).await["counts"], json!({ "sent": 150 }));
    for (n, chat) in chats.iter().enumerate() {
        assert_eq!(app.texts(&bot, *chat), [format!("person {n}")]);
    }
}

#[tokio::test]
async fn two_processes_feed_it_together() {
    let app = TestApp::start().await;
    let second = service::shutdown::Shutdown::default();
    let roles = service::server::Roles { api: false, worker: true };
    service::server::start(&app.settings, roles, app.ground().await, &second).await.unwrap();
    let bots = [app.connect_bot().await, app.connect_bot().await];
    let chats: Vec<i64> = bots.iter().flat_map(|bot| app.people(bot, 200)).collect();
    let target =
        |(n, chat): (usize, &i64)| json!({ "chat_id": chat, "bot_id": bots[n / 200].id, "variables": { "name": n } });
    let targets: Value = chats.iter().enumerate().map(target).collect();
    let id = create(&app, &bots[0], json!({ "message": { "text": "{{name}}" }, "targets": targets })).await;
    until(&app, id, "is done", |broadcast| broadcast["status"] == "done").await;
    for (n, chat) in chats.iter().enumerate() {
        assert_eq!(app.texts(&bots[n / 200], *chat), [n.to_string()]);
    }
    second.soft.cancel();
    second.wait().await;
}

#[tokio::test]
async fn one_slow_sender_holds_no_other() {
    let app = TestApp::start().await;
    let (slow, quick) = (app.connect_bot().await, app.connect_bot().await);
    let (slow_chats, quick_chats) = (app.people(&slow, 150), app.people(&quick, 150));
    for chat in &slow_chats {
        app.disturb(*chat, 1, crate::common::app::too_many_requests(3600));
    }
    let via = |bot: &Bot, chat: &i64| json!({ "chat_id": chat, "bot_id": bot.id });
    let targets: Value = slow_chats
        .iter()
        .map(|chat| via(&slow, chat))
        .chain(quick_chats.iter().map(|chat| via(&quick, chat)))
        .collect();
    let id = create(&app, &slow, json!({ "message": { "text": "all" }, "targets": targets })).await;
    until(&app, id, "has passed the slow one", |broadcast| count(broadcast, "sent") == 150).await;
    assert!(quick_chats.iter().all(|chat| app.texts(&quick, *chat) == ["all"]));
    order(&app, id, "cancel").await;
    app.leave_messages();
}

#[tokio::test]
async fn a_single_message_goes_before_a_broadcast() {
    let app = TestApp::start_with(&[("INTEGRATIONS_TELEGRAM__BOT_PER_SECOND", "30")]).await;
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 100);
    let id = create(&app, &bot, json!({ "message": { "text": "all" }, "targets": targets(&chats) })).await;
    until(&app, id, "has begun", |broadcast| count(broadcast, "sent") > 0).await;
    let single = app.send(&bot, app.person(&bot), "single").await;
    app.until(single, "sent").await;
    assert!(count(&get(&app, id).await, "sent") < 100, "the broadcast still runs");
    order(&app, id, "cancel").await;
    until(&app, id, "has ended", |broadcast| broadcast["finished_at"].is_string()).await;
}

#[tokio::test]
async fn what_nobody_can_tell_is_told_as_such() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 3);
    app.disturb(
        chats[1],
        1,
        FaultAction::Error { error_code: 502, description: "Bad Gateway".into(), parameters: None },
    );
    let id = create(&app, &bot, json!({ "message": { "text": "all" }, "targets": targets(&chats) })).await;
    until(&app, id, "is done", |broadcast| broadcast["status"] == "done").await;
    assert_eq!(get(&app, id).await["counts"], json!({ "sent": 2, "unknown": 1 }));
    // What its owner decides of the message is seen here.
    let message: Uuid = results(&app, id).await[1]["message_id"].as_str().unwrap().parse().unwrap();
    app.change(message, "dismiss").await;
    assert_eq!(get(&app, id).await["counts"], json!({ "sent": 2, "failed": 1 }));
}

#[tokio::test]
async fn it_waits_for_its_time() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 10_000);
    let at = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    let body = json!({ "message": { "text": "{{name}}" }, "targets": targets(&chats), "scheduled_at": at });
    let id = create(&app, &bot, body).await;
    let broadcast = get(&app, id).await;
    assert_eq!((&broadcast["status"], &broadcast["counts"]), (&json!("scheduled"), &json!({ "waiting": 10_000 })));
    assert_eq!(order(&app, id, "pause").await["status"], "paused");
    assert_eq!(order(&app, id, "resume").await["status"], "scheduled", "its time has not come");
    let results = results(&app, id).await;
    let told: Vec<i64> = results.iter().map(|target| target["chat_id"].as_i64().unwrap()).collect();
    assert_eq!(told, chats, "in the order of the request");
    assert_eq!(order(&app, id, "cancel").await["counts"], json!({ "cancelled": 10_000 }));

    let soon = chrono::Utc::now() + chrono::TimeDelta::seconds(1);
    let body = json!({ "message": { "text": "soon" }, "targets": targets(&chats[..2]), "scheduled_at": soon });
    let id = create(&app, &bot, body).await;
    until(&app, id, "is done", |broadcast| broadcast["status"] == "done").await;
    assert_eq!(app.texts(&bot, chats[0]), ["soon"]);
}

#[tokio::test]
async fn a_repeated_request_is_one_broadcast() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 2);
    let body = json!({ "message": { "text": "once" }, "targets": targets(&chats), "via": { "bot_id": bot.id } });
    let request = || app.user.request(Method::POST, BROADCASTS).header("Idempotency-Key", "a").json(&body);
    let first = app.user.send(request()).await.ok(202);
    let again = app.user.send(request()).await.ok(202);
    assert_eq!(first, again);
    until(&app, id_of(&first), "is done", |broadcast| broadcast["status"] == "done").await;
    assert_eq!(app.arrived("once"), 2);
}

/// The texts of the messages of a chat that are still there, as they are now.
fn shown(app: &TestApp, bot: &Bot, chat: i64) -> Vec<String> {
    let place = Some(Place::seen_by(bot.telegram_id, chat));
    let filter = Filter { place, ..Filter::default() };
    app.sim.world().lock().messages().find(&filter).map(|message| message.body.text.clone()).collect()
}

async fn followed_up(app: &TestApp, id: Uuid) -> Value {
    until(app, id, "is followed up", |broadcast| broadcast["follow_up"].is_null()).await;
    get(app, id).await
}

#[tokio::test]
async fn a_broadcast_is_corrected_where_it_arrived_and_where_it_did_not_yet() {
    let app = TestApp::start_with(&[("INTEGRATIONS_TELEGRAM__BOT_PER_SECOND", "20")]).await;
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 60);
    let body = json!({ "message": { "text": "Wrong, {{name}}" }, "targets": targets(&chats) });
    let id = create(&app, &bot, body).await;
    until(&app, id, "has begun", |broadcast| count(broadcast, "sent") > 5).await;
    order(&app, id, "pause").await;
    until(&app, id, "is still", |broadcast| count(broadcast, "sending") + count(broadcast, "queued") == 0).await;
    let sent = count(&get(&app, id).await, "sent");
    let correct = async |message: Value| {
        let request = app.user.request(Method::PATCH, &path(id)).json(&json!({ "message": message }));
        app.user.send(request).await
    };
    let right = json!({ "text": "<i>Right</i>, {{name}}", "parse_mode": "HTML" });
    let corrected = correct(right).await.ok(200);
    assert_eq!((&corrected["status"], &corrected["follow_up"]), (&json!("paused"), &json!("correct")));
    order(&app, id, "resume").await;
    until(&app, id, "is done", |broadcast| broadcast["status"] == "done").await;
    let done = followed_up(&app, id).await;
    assert_eq!((&done["follow_up_counts"]["done"], count(&done, "sent")), (&json!(sent), 60));
    for (n, chat) in chats.iter().enumerate() {
        assert_eq!(shown(&app, &bot, *chat), [format!("Right, person {n}")]);
    }
    assert!(app.calls("editMessageText") >= sent);

    for (message, pointer) in [
        (json!({ "text": "{{unknown}}" }), "/message"),
        (json!({ "location": { "latitude": 1.0, "longitude": 1.0 } }), "/message"),
        (json!({ "text": "" }), "/message/text"),
    ] {
        let problem = correct(message).await.problem(400, "invalid_body");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test]
async fn a_broadcast_is_recalled_as_far_as_telegram_lets_it() {
    let app = TestApp::start_with(&[("INTEGRATIONS_TELEGRAM__BOT_PER_SECOND", "40")]).await;
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 60);
    let id = create(&app, &bot, json!({ "message": { "text": "{{name}}" }, "targets": targets(&chats) })).await;
    until(&app, id, "has begun", |broadcast| count(broadcast, "sent") > 5).await;
    // Telegram wants to be left alone for a moment, and keeps one message for good.
    let fault = |action: FaultAction, chat: i64| Fault::new(action).method("deleteMessage").chat(chat).times(1);
    app.sim.add_fault(fault(crate::common::app::too_many_requests(1), chats[0]));
    let kept = FaultAction::Error {
        error_code: 400,
        description: "Bad Request: message can't be deleted for everyone".into(),
        parameters: None,
    };
    app.sim.add_fault(fault(kept, chats[1]));
    let recalled = app.user.post(&format!("{}/recall", path(id)), &json!({})).await.ok(200);
    assert_eq!((&recalled["status"], &recalled["follow_up"]), (&json!("cancelled"), &json!("recall")));
    let request = app.user.request(Method::PATCH, &path(id)).json(&json!({ "message": { "text": "{{name}}!" } }));
    app.user.send(request).await.problem(409, "broadcast_ended");
    until(&app, id, "has ended", |broadcast| broadcast["finished_at"].is_string()).await;
    let done = followed_up(&app, id).await;
    let sent = count(&done, "sent");
    assert_eq!(done["follow_up_counts"], json!({ "done": sent - 1, "failed": 1 }), "{done}");
    for (n, chat) in chats.iter().enumerate() {
        let expected: &[String] = if n == 1 { &["person 1".to_owned()] } else { &[] };
        assert_eq!(shown(&app, &bot, *chat), expected);
    }
    let failed = &results(&app, id).await[1];
    assert_eq!(failed["follow_up"], "failed");
    assert!(failed["follow_up_message"].as_str().unwrap().contains("can't be deleted"), "{failed}");
}

#[tokio::test]
async fn a_broadcast_that_cannot_be_sent_is_refused_as_a_whole() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let foreign = app.connect_bot_of(&app.user(8)).await;
    let off = app.connect_bot().await;
    let switched = app.user.request(Method::PATCH, &off.path()).json(&json!({ "is_active": false }));
    app.user.send(switched).await.ok(200);
    let chat = app.person(&bot);
    let good = json!({ "message": { "text": "{{a}}" }, "via": { "bot_id": bot.id },
                       "targets": [{ "chat_id": chat, "variables": { "a": "x" } }] });
    let target = |more: Value| {
        let mut target = BTreeMap::from([("chat_id", json!(chat)), ("variables", json!({ "a": "x" }))]);
        target.extend(more.as_object().unwrap().iter().map(|(name, value)| {
            let name: &'static str = name.clone().leak();
            (name, value.clone())
        }));
        json!(target)
    };
    let many: Vec<Value> = (1..=10_001).map(|n| json!({ "chat_id": n, "variables": { "a": "x" } })).collect();
    for (field, value, pointer) in [
        ("targets", json!([]), "/targets"),
        ("targets", json!(many), "/targets"),
        ("targets", json!([target(json!({})), target(json!({}))]), "/targets/1"),
        ("targets", json!([target(json!({ "chat_id": null }))]), "/targets/0/chat_id"),
        ("targets", json!([target(json!({ "chat_id": "news" }))]), "/targets/0/chat_id"),
        ("targets", json!([target(json!({ "variables": {} }))]), "/targets/0/variables/a"),
        ("targets", json!([target(json!({ "variables": { "a": [] } }))]), "/targets/0/variables/a"),
        ("targets", json!([target(json!({ "variables": { "a": "x", "1": "x" } }))]), "/targets/0/variables/1"),
        ("targets", json!([target(json!({ "variables": { "a": "x".repeat(4097) } }))]), "/targets/0/variables/a"),
        ("targets", json!([target(json!({ "variables": { "a": " " } }))]), "/message/text"),
        ("targets", json!([target(json!({ "bot_id": foreign.id }))]), "/targets/0/bot_id"),
        ("targets", json!([target(json!({ "bot_id": off.id }))]), "/targets/0/bot_id"),
        ("targets", json!([target(json!({ "account_id": bot.id }))]), "/targets/0/account_id"),
        ("targets", json!([target(json!({ "account_id": bot.id, "bot_id": bot.id }))]), "/targets/0"),
        ("targets", json!([target(json!({ "channel_id": bot.id }))]), "/targets/0"),
        ("targets", json!([{ "channel_id": bot.id, "variables": { "a": "x" } }]), "/targets/0/channel_id"),
        ("via", json!({}), "/via"),
        ("message", json!({ "text": "x", "chat_id": 1 }), "/message/chat_id"),
        ("message", json!({ "text": "x", "colour": "red" }), "/message/colour"),
        ("message", json!({ "text": "x", "split": true }), "/message/split"),
        ("message", json!({ "text": "x".repeat(4097) }), "/message/text"),
        ("message", json!({ "photo": { "file_id": bot.id } }), "/message/photo/file_id"),
        ("message", json!({ "text": "<b>{{a}}", "parse_mode": "HTML" }), "/message/text"),
        ("name", json!(""), "/name"),
        ("scheduled_at", json!("2000-01-01T00:00:00Z"), "/scheduled_at"),
        ("priority", json!("urgent"), "/priority"),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let problem = app.user.post(BROADCASTS, &body).await.problem(400, "invalid_body");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{field}: {problem}");
    }
    let list = app.user.get(BROADCASTS).await.ok(200);
    assert_eq!(list["items"], json!([]), "nothing was stored");
    let id = id_of(&app.user.post(BROADCASTS, &good).await.ok(202));
    until(&app, id, "has ended", |broadcast| broadcast["finished_at"].is_string()).await;
    assert_eq!(app.texts(&bot, chat), ["x"]);
}
