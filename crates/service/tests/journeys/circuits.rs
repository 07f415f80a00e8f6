//! What gets no answer is left alone for a while: an outage meets few messages, and nothing that works waits for what does not.

use serde_json::{Value, json};
use telegram_sim::bot_api::{Fault, FaultAction};
use uuid::Uuid;

use crate::common::app::{Bot, TestApp};
use crate::common::eventually;

fn failing() -> FaultAction {
    FaultAction::Http { status: 502, body: String::new(), taken: false }
}

/// Sends to each chat, many at once.
async fn send_all(app: &TestApp, bot: &Bot, chats: &[i64]) -> Vec<Uuid> {
    let mut messages = Vec::new();
    for some in chats.chunks(20) {
        let sends = some.iter().map(|chat| app.send(bot, *chat, "hello"));
        messages.extend(futures::future::join_all(sends).await);
    }
    messages
}

async fn count(app: &TestApp, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&app.pool).await.unwrap()
}

/// Waits until nothing is on its way any more.
async fn settled(app: &TestApp) {
    let on_their_way = "SELECT count(*) FROM messages WHERE status IN ('queued', 'sending')";
    eventually("everything is settled", async || count(app, on_their_way).await == 0).await;
}

async fn metric(app: &TestApp, name: &str) -> String {
    let metrics = app.user.get("/metrics").await.text;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}")).to_owned()
}

/// The whole state, and that of the Bot API.
async fn health(app: &TestApp) -> (Value, Value) {
    let mut ready: Value = app.user.get("/health/ready").await.ok(200);
    let one = ready["dependencies"].as_array().unwrap().iter().find(|one| one["name"] == "telegram_bot_api");
    (one.unwrap()["status"].clone(), ready["status"].take())
}

#[tokio::test]
async fn an_outage_of_telegrams_servers_makes_few_of_many_unknown() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 500);
    let fault = app.sim.add_fault(Fault::new(failing()).method("sendMessage"));
    let messages = send_all(&app, &bot, &chats).await;
    // It goes on for so long that it was tried again.
    eventually("probes fail", async || app.hits(fault) >= 6).await;
    assert_eq!(metric(&app, "integrations_sender_circuits_open").await, "1");
    app.sim.api().faults().remove(fault);
    settled(&app).await;
    let unknown = count(&app, "SELECT count(*) FROM messages WHERE status = 'unknown'").await;
    let sent = count(&app, "SELECT count(*) FROM messages WHERE status = 'sent'").await;
    assert!((3..=10).contains(&unknown), "{unknown} of {} are unknown", messages.len());
    assert_eq!((sent + unknown, app.arrived("hello")), (500, usize::try_from(sent).unwrap()));
    let attempts = count(&app, "SELECT count(*) FROM message_attempts").await;
    assert_eq!(attempts, 500, "what waited was not tried");
    assert_eq!(metric(&app, "integrations_sender_circuits_open").await, "0");
}

#[tokio::test]
async fn while_nothing_is_answered_only_what_was_on_its_way_at_first_is_unknown() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 100);
    let sends = app.sim.add_fault(Fault::new(failing()).method("sendMessage"));
    let questions = app.sim.add_fault(Fault::new(failing()).method("getMe"));
    send_all(&app, &bot, &chats).await;
    eventually("probes fail", async || app.hits(questions) >= 3).await;
    assert!((3..=4).contains(&app.hits(sends)), "{} messages were tried", app.hits(sends));
    app.sim.api().faults().clear();
    settled(&app).await;
    let unknown = count(&app, "SELECT count(*) FROM messages WHERE status = 'unknown'").await;
    assert!((3..=4).contains(&unknown), "{unknown} are unknown");
    assert_eq!(app.arrived("hello"), 100 - usize::try_from(unknown).unwrap());
}

#[tokio::test]
async fn while_telegram_is_gone_almost_nothing_is_tried_and_nothing_is_unknown() {
    let mut app = TestApp::start().await;
    let mut bots = Vec::new();
    for _ in 0..4 {
        let bot = app.connect_bot().await;
        let chats = app.people(&bot, 30);
        bots.push((bot, chats));
    }
    assert_eq!(health(&app).await, (json!("ok"), json!("ok")));
    let mut messages = Vec::new();
    app.without_telegram(async |app: &TestApp| {
        for (bot, chats) in &bots {
            messages.extend(send_all(app, bot, chats).await);
        }
        eventually("the server's circuit opens", async || {
            health(app).await == (json!("unavailable"), json!("degraded"))
        })
        .await;
        assert_ne!(metric(app, "integrations_circuit_state{upstream=\"telegram_bot_api\"}").await, "0");
    })
    .await;
    app.until_all(&messages, "sent").await;
    assert_eq!(health(&app).await, (json!("ok"), json!("ok")));
    assert_eq!(app.arrived("hello"), messages.len());
    let refused = count(&app, "SELECT count(*) FROM message_attempts WHERE outcome = 'refused'").await;
    assert!((3..=40).contains(&refused), "{refused} attempts in vain");
    assert_eq!(count(&app, "SELECT count(*) FROM message_attempts WHERE outcome = 'unknown'").await, 0);
}

#[tokio::test]
async fn a_bot_whose_sends_hang_is_not_hammered_and_holds_up_no_other() {
    let app = TestApp::start_with(&[("INTEGRATIONS_TELEGRAM__REQUEST_TIMEOUT_SECONDS", "5")]).await;
    let (bad, good) = (app.connect_bot().await, app.connect_bot().await);
    let chats = app.people(&bad, 50);
    let fault = Fault::new(FaultAction::HangAfter { ms: 600_000 }).method("sendMessage").bot(bad.telegram_id);
    let fault = app.sim.add_fault(fault);
    send_all(&app, &bad, &chats).await;
    eventually("the sends hang", async || app.hits(fault) >= 4).await;
    // The other one has more to send than may be out unproven.
    let chats = app.people(&good, 30);
    let messages = send_all(&app, &good, &chats).await;
    app.until_all(&messages, "sent").await;
    eventually("the hanging sends are given up", async || {
        count(&app, "SELECT count(*) FROM messages WHERE status = 'unknown'").await >= 4
    })
    .await;
    assert!(app.hits(fault) <= 6, "{} were tried", app.hits(fault));
    app.sim.api().faults().remove(fault);
    settled(&app).await;
    let unknown = count(&app, "SELECT count(*) FROM messages WHERE status = 'unknown'").await;
    assert!((4..=7).contains(&unknown), "{unknown} are unknown");
}

#[tokio::test]
async fn definite_refusals_open_no_circuit() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chats = app.people(&bot, 10);
    let refused = FaultAction::Error {
        error_code: 403,
        description: "Forbidden: bot was blocked by the user".into(),
        parameters: None,
    };
    let fault = app.sim.add_fault(Fault::new(refused).method("sendMessage"));
    let messages = send_all(&app, &bot, &chats).await;
    app.until_all(&messages, "failed").await;
    app.sim.api().faults().remove(fault);
    app.until(app.send(&bot, chats[0], "at once").await, "sent").await;
    assert_eq!(metric(&app, "integrations_circuit_state{upstream=\"telegram_bot_api\"}").await, "0");
}
