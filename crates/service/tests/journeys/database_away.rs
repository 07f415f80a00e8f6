//! The database cannot be reached for a while: callers are told, and nothing is lost or doubled.

use serde_json::json;
use telegram_sim::bot_api::{Fault, FaultAction};
use testdb::TestDb;
use testservers::State;

use crate::common::app::{BOTS, TestApp, id_of};
use crate::common::eventually;

#[tokio::test]
async fn what_was_on_the_wire_is_sent_and_what_was_refused_can_be_repeated() {
    let (app, road) = TestApp::start_by_road(TestDb::migrated().await).await;
    let bot = app.connect_bot().await;
    let chat = app.person(&bot);
    let mut events = app.events(&app.user, "?type=message.sent", None).await;
    let slow = app.sim.add_fault(Fault::new(FaultAction::Delay { ms: 500 }).method("sendMessage").times(1));
    let on_the_wire = app.send(&bot, chat, "on the wire").await;
    eventually("Telegram has it", async || app.hits(slow) == 1).await;

    road.become_now(State::Gone).await;
    let body = json!({ "chat_id": chat, "text": "refused at first" });
    let (path, nobody) = (bot.send_path(), app.bearer(None));
    let (send, list, ready, live) = tokio::join!(
        app.user.post_with_key(&path, "k", &body),
        app.user.get(BOTS),
        nobody.get("/health/ready"),
        nobody.get("/health/live"),
    );
    for answer in [send, list] {
        answer.problem(503, "database_unavailable");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(ready.ok(503)["dependencies"][0]["status"], "unavailable");
    live.ok(200);
    eventually("it arrives meanwhile", async || app.arrived("on the wire") == 1).await;

    road.become_now(State::Open).await;
    eventually("the service is ready again", async || nobody.get("/health/ready").await.status == 200).await;
    let repeated = app.user.post_with_key(&path, "k", &body).await.ok(202);
    app.until_all(&[on_the_wire, id_of(&repeated)], "sent").await;
    assert_eq!(app.texts(&bot, chat), ["on the wire", "refused at first"]);
    for id in [on_the_wire, id_of(&repeated)] {
        assert_eq!(events.next().await.resource(), id.to_string(), "an open stream goes on");
    }
}
