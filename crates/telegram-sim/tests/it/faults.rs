//! Faults on demand: what the client sees, and whether the message was taken.

use serde_json::json;
use telegram_sim::bot_api::{Fault, FaultAction};

use crate::client::Fixture;

async fn with(action: FaultAction) -> Fixture {
    let f = Fixture::new().await;
    f.sim.add_fault(Fault::new(action).method("sendMessage").bot(f.bot_id()).chat(f.user).times(1));
    f
}

fn body(f: &Fixture) -> serde_json::Value {
    json!({ "chat_id": f.user, "text": "once" })
}

#[tokio::test]
async fn a_cut_before_the_message_is_taken() {
    let f = with(FaultAction::CutBefore).await;
    let error = f.post("sendMessage", &body(&f)).await.unwrap_err();
    assert!(error.is_request(), "{error:?}");
    assert_eq!(f.sim.arrived("once"), 0);
    f.send("once").await;
    assert_eq!(f.sim.arrived("once"), 1);
    assert_eq!(f.sim.api().counters().get().cuts, 1);
}

#[tokio::test]
async fn a_cut_after_the_message_was_taken() {
    let f = with(FaultAction::CutAfter).await;
    f.post("sendMessage", &body(&f)).await.unwrap_err();
    assert_eq!(f.sim.arrived("once"), 1);
}

#[tokio::test]
async fn an_error_on_demand() {
    let parameters = Some(json!({ "retry_after": 7 }));
    let description = "Too Many Requests: retry after 7".to_owned();
    let f = with(FaultAction::Error { error_code: 429, description, parameters }).await;
    let (status, answer) = f.call("sendMessage", body(&f)).await;
    assert_eq!((status, &answer["parameters"]["retry_after"]), (429, &json!(7)));
    assert_eq!(f.sim.arrived("once"), 0);
    f.send("once").await;
}

#[tokio::test]
async fn a_gateway_error_with_and_without_effect() {
    for taken in [false, true] {
        let f = with(FaultAction::Http { status: 502, body: String::new(), taken }).await;
        let answer = f.post("sendMessage", &body(&f)).await.unwrap();
        assert_eq!(answer.status(), 502);
        assert!(answer.text().await.unwrap().contains("<html>"));
        assert_eq!(f.sim.arrived("once"), usize::from(taken));
    }
}

#[tokio::test]
async fn a_message_is_taken_while_its_answer_hangs() {
    let f = with(FaultAction::HangAfter { ms: 60_000 }).await;
    let url = f.url("sendMessage");
    let hanging = tokio::spawn(f.http.post(url).json(&body(&f)).send());
    let mut events = f.sim.world().subscribe();
    if f.sim.arrived("once") == 0 {
        events.recv().await.unwrap();
    }
    assert_eq!(f.sim.arrived("once"), 1);
    assert!(!hanging.is_finished());
    assert_eq!(f.sim.api().counters().get().in_flight, 1);
    hanging.abort();
}

#[tokio::test]
async fn other_requests_are_not_touched() {
    let f = with(FaultAction::CutBefore).await;
    f.ok("getMe", json!({})).await;
    let other = f.sim.add_user_of(&f.token);
    f.ok("sendMessage", json!({ "chat_id": other, "text": "fine" })).await;
    assert_eq!(f.sim.api().faults().list()[0].hits, 0);
    f.sim.api().faults().clear();
    f.send("fine").await;
}

#[tokio::test]
async fn a_delay_is_only_that() {
    let f = with(FaultAction::Delay { ms: 1 }).await;
    f.send("late").await;
    assert_eq!(f.sim.arrived("late"), 1);
}
