//! Telegram asks to wait.

use serde_json::json;
use telegram_sim::bot_api::Limits;

use crate::common::app::{TestApp, too_many_requests};

#[tokio::test]
async fn a_storm_of_429_in_one_chat_holds_no_other() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let (stormy, calm) = (app.person(&bot), app.people(&bot, 10));
    let storm = app.disturb(stormy, u32::MAX, too_many_requests(1));
    let mut held = Vec::new();
    for n in 0..5 {
        held.push(app.send(&bot, stormy, &format!("held {n}")).await);
    }
    app.until_refused(held[0]).await;
    let mut flowing = Vec::new();
    for (n, chat) in calm.iter().cycle().take(30).enumerate() {
        flowing.push(app.send(&bot, *chat, &format!("flows {n}")).await);
    }
    app.until_all(&flowing, "sent").await;
    assert!(app.texts(&bot, stormy).is_empty());
    app.sim.api().faults().remove(storm);
    app.until_all(&held, "sent").await;
    assert_eq!(app.texts(&bot, stormy), ["held 0", "held 1", "held 2", "held 3", "held 4"]);
    let first = app.message(held[0]).await;
    let refused = &first["attempt_list"][0];
    assert_eq!((&refused["code"], &refused["retry_after_ms"]), (&json!("flood_wait"), &json!(1000)));
    assert!(app.message(held[1]).await["attempts"] == 1, "only the first in the chat tries again");
}

#[tokio::test]
async fn a_wait_is_kept_to_the_full() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    app.disturb(chat, 1, too_many_requests(1));
    let message = app.send(&bot, chat, "later").await;
    let sent = app.until(message, "sent").await;
    let times: Vec<chrono::DateTime<chrono::Utc>> = ["finished_at", "started_at"]
        .iter()
        .zip(0..)
        .map(|(name, n)| sent["attempt_list"][n][name].as_str().unwrap().parse().unwrap())
        .collect();
    assert!((times[1] - times[0]).num_milliseconds() >= 1000, "{sent}");
}

#[tokio::test]
async fn two_chats_told_to_wait_within_a_second_hold_the_bot() {
    let app = TestApp::start().await;
    let (bot, other) = (app.connect_bot().await, app.connect_bot().await);
    let chats = app.people(&bot, 3);
    let started = chrono::Utc::now();
    for chat in &chats[..2] {
        app.disturb(*chat, 1, too_many_requests(2));
    }
    let first = app.send(&bot, chats[0], "a").await;
    let second = app.send(&bot, chats[1], "b").await;
    app.until_refused(first).await;
    app.until_refused(second).await;
    let third = app.send(&bot, chats[2], "c").await;
    let free = app.send(&other, app.person(&other), "another bot").await;
    app.until(free, "sent").await;
    assert_eq!(app.message(third).await["attempts"], 0, "the bot is held, though this chat was not told to wait");
    app.until_all(&[first, second, third], "sent").await;
    let arrived = app.arrivals(&bot, chats[2])[0].arrived_ms;
    assert!(arrived >= started.timestamp_millis() + 2000, "it arrived before the wait was over");
}

#[tokio::test]
async fn with_the_limits_of_telegram_on_both_sides_everything_arrives_once() {
    let pace = [
        ("INTEGRATIONS_TELEGRAM__BOT_PER_SECOND", "28"),
        ("INTEGRATIONS_TELEGRAM__PRIVATE_CHAT_PER_SECOND", "1"),
        ("INTEGRATIONS_TELEGRAM__GROUP_PER_MINUTE", "20"),
    ];
    let app = TestApp::start_with(&pace).await;
    app.sim.api().limiter().set(Limits::default());
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 40);
    let mut messages = Vec::new();
    for (n, chat) in chats.iter().chain(&chats[..2]).enumerate() {
        messages.push(app.send(&bot, *chat, &format!("paced {n}")).await);
    }
    app.until_all(&messages, "sent").await;
    assert!((0..42).all(|n| app.arrived(&format!("paced {n}")) == 1));
}
