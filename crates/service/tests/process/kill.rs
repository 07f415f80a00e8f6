//! `kill -9` at a random moment, with a thousand messages over forty bots accepted or being accepted.

use std::sync::Arc;

use rustix::process::{Signal, kill_process};
use sqlx::Connection;

use crate::stage::{Stage, all_final};
use crate::support::{Api, Machine, arrived, until};
use crate::traffic::{BOTS, CHATS, MESSAGES};

/// How many messages are between their start and their outcome after the service was killed. The database may still be at
/// a statement of it.
async fn left_sending(machine: &Machine) -> usize {
    let mut database = machine.database().await;
    let others = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'integrations'";
    while sqlx::query_scalar::<_, i64>(others).fetch_one(&mut database).await.unwrap() > 0 {}
    let sending = "SELECT count(*) FROM messages WHERE status = 'sending'";
    let count: i64 = sqlx::query_scalar(sending).fetch_one(&mut database).await.unwrap();
    database.close().await.unwrap();
    usize::try_from(count).unwrap()
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_the_service_is_killed_ten_times() {
    let mut stage = Stage::new().await;
    let machine = stage.machine();
    let mut service = machine.serve().await;
    let mut api = Api::new(&service.url(), &machine.token().await);
    stage.connect_bots(&api).await;
    for round in 0..10 {
        let round = format!("r{round}/");
        stage.slow_telegram();
        let moment = stage.moment();
        let offering = stage.offer_until(moment, &round, &api).await;
        let on_the_wire = stage.on_the_wire();
        service.kill().await;
        let traffic = offering.await.unwrap();
        stage.quiet().await;
        let left = left_sending(&machine).await;
        let seen = arrived(&stage.sim, &round).len();

        service = machine.serve().await;
        assert!(service.has_said("adopted the PostgreSQL that was running"), "{}", service.log());
        api = api.at(&service.url());
        let traffic = traffic.offer(api.clone(), Arc::default()).await;
        all_final(&api).await;
        let tally = traffic.check(&api, &stage.sim).await;
        println!("{round} killed at {moment:?}: {on_the_wire} on the wire, {seen} arrived, {left} sending; {tally:?}");
        // Unknown is what had its start committed and its outcome not, and nothing else: the requests on the wire, and
        // those that were about to be written or just answered, since starts and outcomes are committed in groups.
        assert_eq!(tally.unknown, left);
        // A chat has one message at a time between its start and its outcome.
        assert!(left <= BOTS * CHATS);
    }
    service.stop().await;
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_when_the_service_and_its_postgresql_are_killed() {
    let mut stage = Stage::new().await;
    let machine = stage.machine();
    let mut service = machine.serve().await;
    let mut api = Api::new(&service.url(), &machine.token().await);
    stage.connect_bots(&api).await;
    for round in 0..3 {
        let round = format!("r{round}/");
        stage.slow_telegram();
        let moment = stage.moment();
        let offering = stage.offer_until(moment, &round, &api).await;
        let on_the_wire = stage.on_the_wire();
        // A service that runs would start PostgreSQL again.
        service.signal(Signal::STOP);
        kill_process(machine.postgres().unwrap(), Signal::KILL).unwrap();
        service.kill().await;
        let traffic = offering.await.unwrap();
        stage.quiet().await;

        service = machine.serve().await;
        assert!(service.has_said("PostgreSQL is ready"), "it is started, not adopted: {}", service.log());
        api = api.at(&service.url());
        let traffic = traffic.offer(api.clone(), Arc::default()).await;
        all_final(&api).await;
        let tally = traffic.check(&api, &stage.sim).await;
        println!("{round} killed at {moment:?}: {on_the_wire} on the wire; {tally:?}");
        assert!(tally.unknown <= BOTS * CHATS);
    }
    service.stop().await;
}

#[tokio::test]
async fn the_service_outlives_its_postgresql_and_writes_outcomes_afterwards() {
    let mut stage = Stage::new().await;
    let machine = stage.machine();
    let service = machine.serve().await;
    let api = Api::new(&service.url(), &machine.token().await);
    stage.connect_bots(&api).await;
    for round in 0..3 {
        let round = format!("r{round}/");
        stage.slow_telegram();
        let moment = stage.moment();
        let offering = stage.offer_until(moment, &round, &api).await;
        let old = machine.postgres().unwrap();
        kill_process(old, Signal::KILL).unwrap();
        until("PostgreSQL runs again", async || machine.postgres().is_some_and(|pid| pid != old)).await;
        let traffic = offering.await.unwrap();
        until("the service is ready again", async || api.get("/health/ready").await.0 == 200).await;
        all_final(&api).await;
        stage.sim.api().faults().clear();
        let tally = traffic.check(&api, &stage.sim).await;
        println!("{round} PostgreSQL killed at {moment:?}: {tally:?}");
        // The service lives and knows every outcome; and the callers tried until each message was accepted.
        assert_eq!(tally.sent, MESSAGES);
    }
    assert!(service.has_said("PostgreSQL ended unasked: starting it again"), "{}", service.log());
    service.stop().await;
}
