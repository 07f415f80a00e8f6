//! A bot whose token was revoked is noticed also while nothing is sent.

use serde_json::json;

use crate::common::app::{LOGS, TestApp};
use crate::common::eventually;

const OFTEN: (&str, &str) = ("INTEGRATIONS_TELEGRAM__BOT_PROBE_SECONDS", "1");

async fn metrics(app: &TestApp) -> String {
    app.bearer(None).get("/metrics").await.text
}

#[tokio::test]
async fn a_token_that_is_revoked_while_the_bot_is_idle_shows_everywhere() {
    let app = TestApp::start_with(&[OFTEN]).await;
    let (bot, other) = (app.connect_bot().await, app.connect_bot().await);
    let up = |up: u8| format!("integrations_session_up{{session_id=\"{}\"}} {up}\n", bot.id);
    eventually("it is up", async || metrics(&app).await.contains(&up(1))).await;
    let mut events = app.events(&app.user, "?type=bot.", None).await;
    app.sim.world().lock().revoke_token(bot.telegram_id, false);
    let event = events.until(|event| event.kind == "bot.token_revoked").await.pop().unwrap();
    assert_eq!(event.resource(), bot.id.to_string());
    let shown = app.user.get(&bot.path()).await.ok(200);
    assert_eq!((&shown["status"], &shown["is_active"]), (&json!("token_revoked"), &json!(false)));
    assert_eq!(app.user.list(&format!("{LOGS}?action=token_revoked")).await.len(), 1);
    app.until_given_back(&bot).await;
    eventually("it is down", async || {
        let text = metrics(&app).await;
        text.contains(&up(0)) && text.contains("integrations_bots{status=\"token_revoked\"} 1\n")
    })
    .await;
    assert_eq!(app.user.get(&other.path()).await.ok(200)["status"], "active");
    app.user.delete(&bot.path()).await.ok(204);
    eventually("it has no metric any more", async || !metrics(&app).await.contains(&bot.id.to_string())).await;
}

#[tokio::test]
async fn every_idle_bot_is_asked_again_and_again() {
    let app = TestApp::start_with(&[OFTEN]).await;
    for _ in 0..10 {
        app.connect_bot().await;
    }
    eventually("each was asked three times", async || app.calls("getMe") >= 10 + 3 * 10).await;
    assert!(metrics(&app).await.contains("integrations_bot_probes_total{result=\"alive\"}"));
}

#[tokio::test]
async fn telegram_away_is_no_dead_bot() {
    let mut app = TestApp::start_with(&[OFTEN]).await;
    let bot = app.connect_bot().await;
    app.without_telegram(async |app: &TestApp| {
        eventually("a probe had no answer", async || metrics(app).await.contains("probes_total{result=\"no_answer\"}"))
            .await;
    })
    .await;
    assert_eq!(app.user.get(&bot.path()).await.ok(200)["status"], "active");
    app.until(app.send(&bot, app.person(&bot), "back").await, "sent").await;
}

#[tokio::test]
async fn beyond_a_number_of_senders_none_has_a_metric_of_its_own() {
    let app = TestApp::start_with(&[("INTEGRATIONS_LIMITS__SESSION_METRICS", "2")]).await;
    let (first, _) = (app.connect_bot().await, app.connect_bot().await);
    let has_one = async || metrics(&app).await.contains(&format!("session_id=\"{}\"", first.id));
    eventually("each has one", has_one).await;
    app.connect_bot().await;
    eventually("none has one", async || !has_one().await).await;
    eventually("the log says so", async || crate::common::log::so_far().contains("limits.session_metrics")).await;
}
