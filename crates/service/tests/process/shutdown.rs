//! The end in order: SIGTERM, Ctrl-C, and a Telegram that does not let go.

use std::sync::Arc;

use futures::StreamExt as _;
use rustix::process::Signal;
use telegram_sim::bot_api::{Fault, FaultAction};

use crate::stage::{Stage, all_final};
use crate::support::{Api, Machine, Service, arrived, must_end, until};
use crate::traffic::MESSAGES;

/// No process of the private PostgreSQL is left, and it left nothing that a start would have to clean up.
fn assert_postgres_ended(machine: &Machine) {
    assert_eq!(machine.postgres(), None);
    let layout = service::postgres::layout::Layout::of(&machine.data());
    assert_eq!(service::postgres::processes::members(&layout), Some(Vec::new()));
}

/// Ends the service with traffic under way, and starts it again.
async fn drains(end: impl Fn(&Service)) {
    let mut stage = Stage::new().await;
    let machine = stage.machine();
    let mut service = machine.serve().await;
    let mut api = Api::new(&service.url(), &machine.token().await);
    stage.connect_bots(&api).await;
    stage.slow_telegram();
    let moment = stage.moment();
    let offering = stage.offer_until(moment, "r/", &api).await;
    let on_the_wire = stage.on_the_wire();
    end(&service);
    let status = service.ended().await;
    assert_eq!(status.code(), Some(0), "{}", service.log());
    assert!(service.has_said("PostgreSQL ended"), "{}", service.log());
    assert_postgres_ended(&machine);
    let traffic = offering.await.unwrap();
    let seen = arrived(&stage.sim, "r/").len();
    stage.quiet().await;

    // The second start finds everything. What had been left in `sending` would be unknown now.
    service = machine.serve().await;
    assert!(!service.has_said("making a private PostgreSQL"), "{}", service.log());
    api = api.at(&service.url());
    assert_eq!(api.get("/health/ready").await.0, 200);
    let traffic = traffic.offer(api.clone(), Arc::default()).await;
    all_final(&api).await;
    let tally = traffic.check(&api, &stage.sim).await;
    println!("ended at {moment:?}: {on_the_wire} on the wire, {seen} arrived before the end; {tally:?}");
    assert_eq!(tally.unknown, 0);
    assert_eq!(tally.sent + tally.absent, MESSAGES);
    service.stop().await;
}

#[tokio::test]
async fn sigterm_lets_finish_what_is_on_the_wire() {
    drains(|service| service.signal(Signal::TERM)).await;
}

#[tokio::test]
async fn ctrl_c_in_a_terminal_does_not_reach_postgresql_first() {
    drains(|service| service.signal_group(Signal::INT)).await;
}

/// Sends a message that Telegram takes and never answers; ends the service, which does not get its outcome; and looks
/// what the next start makes of it.
async fn without_an_outcome(machine: impl Fn(Machine) -> Machine, signals: usize) {
    let mut stage = Stage::new().await;
    let machine = machine(stage.machine());
    let mut service = machine.serve().await;
    let api = Api::new(&service.url(), &machine.token().await);
    stage.connect_bots(&api).await;
    stage.sim.add_fault(Fault::new(FaultAction::HangAfter { ms: 600_000 }).method("sendMessage"));
    let (bot, telegram) = &stage.bots[0];
    let id = api.send(*bot, telegram.chats[0], "hangs").await;
    until("Telegram has it", async || stage.sim.arrived("hangs") == 1).await;
    service.signal(Signal::TERM);
    for _ in 1..signals {
        must_end("the first signal is seen", service.says("shutting down")).await;
        service.signal(Signal::TERM);
    }
    assert_eq!(service.ended().await.code(), Some(0), "{}", service.log());
    assert!(service.has_said("ending at once"), "{}", service.log());
    assert_postgres_ended(&machine);

    stage.quiet().await;
    let service = machine.serve().await;
    let api = api.at(&service.url());
    until("it is known to be unknown", async || api.status(id).await == "unknown").await;
    assert_eq!(stage.sim.arrived("hangs"), 1);
    service.stop().await;
}

#[tokio::test]
async fn a_telegram_that_does_not_answer_holds_up_the_end_until_its_limit_only() {
    without_an_outcome(|machine| machine.with("INTEGRATIONS_HTTP__SHUTDOWN_SECONDS", 1), 1).await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    without_an_outcome(|machine| machine.with("INTEGRATIONS_HTTP__SHUTDOWN_SECONDS", 3600), 2).await;
}

#[tokio::test]
async fn it_is_not_ready_at_once_and_takes_requests_until_gateways_have_noticed() {
    let mut stage = Stage::new().await;
    let machine = stage.machine().with("INTEGRATIONS_HTTP__DRAIN_SECONDS", 4);
    let mut service = machine.serve().await;
    let mut api = Api::new(&service.url(), &machine.token().await);
    stage.connect_bots(&api).await;
    let (bot, telegram) = &stage.bots[0];
    let mut events = api.stream("/api/integrations/events").await;
    service.signal(Signal::TERM);
    until("it is not ready any more", async || {
        let (status, body) = api.get("/health/ready").await;
        let is_stopping = body["dependencies"].as_array().unwrap().iter().any(|one| one["name"] == "process");
        assert_eq!(is_stopping, status == 503, "{body}");
        is_stopping
    })
    .await;
    // A stream of events ends as streams do, and is not cut.
    while let Some(part) = must_end("the stream ends", events.next()).await {
        part.unwrap();
    }
    let id = api.send(*bot, telegram.chats[0], "late").await;
    assert_eq!(service.ended().await.code(), Some(0), "{}", service.log());
    assert!(!service.has_said("ending at once"), "{}", service.log());
    stage.quiet().await;
    let service = machine.serve().await;
    api = api.at(&service.url());
    until("what was accepted late is sent", async || api.status(id).await == "sent").await;
    assert_eq!(stage.sim.arrived("late"), 1);
    service.stop().await;
}
