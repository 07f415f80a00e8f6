//! Workers that are killed, stopped, started and ended.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use sqlx::postgres::PgListener;
use uuid::Uuid;

use crate::load::Load;
use crate::rounds;
use crate::scene::{Scene, until};
use crate::watchdog::watchdog_of;

/// How long workers without work are watched.
const IDLE: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_worker_had_goes_to_the_others() {
    let mut scene = Scene::with_workers(3).await;
    let mut load = Load::start(&scene);
    println!("at first, all live after {:?}", load.all_live(&scene, Instant::now()).await);
    for round in 0..rounds() {
        let victim = round % scene.places.len();
        let begun = Instant::now();
        scene.places[victim].kill().await;
        println!("kill -9: all live again after {:?}", load.all_live(&scene, begun).await);
        scene.places[victim].start().await;
        println!("  shared again {:?} after its start", scene.shared().await);
        load.check(&scene).await;

        load.go_on(&scene);
        load.all_live(&scene, Instant::now()).await;
        let begun = Instant::now();
        for place in &mut scene.places {
            place.kill().await;
        }
        for place in &mut scene.places {
            place.start().await;
        }
        println!("all killed and started: all live again after {:?}", load.all_live(&scene, begun).await);
        println!("  shared again after {:?} more", scene.shared().await);
        load.check(&scene).await;
        load.go_on(&scene);
    }
    load.check(&scene).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_stopped_is_killed_by_its_watchdog() {
    let mut scene = Scene::with_workers(3).await;
    let mut load = Load::start(&scene);
    load.all_live(&scene, Instant::now()).await;
    for round in 0..rounds() {
        let victim = &mut scene.places[round % 3];
        let pid = victim.pid().unwrap();
        // Also one that replaced a watchdog that was killed.
        let watchdog = watchdog_of(pid).unwrap();
        kill_process(watchdog, Signal::KILL).unwrap();
        until("the watchdog is replaced", async || watchdog_of(pid).is_some_and(|other| other != watchdog)).await;
        let begun = Instant::now();
        victim.worker().signal(Signal::STOP);
        let (status, log) = victim.ended().await;
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{log}");
        println!("SIGSTOP: killed after {:?}", begun.elapsed());
        println!("  all live again after {:?}", load.all_live(&scene, begun).await);
        scene.places[round % 3].start().await;
        println!("  shared again {:?} after its start", scene.shared().await);
        load.check(&scene).await;
        load.go_on(&scene);
    }
    load.check(&scene).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_come_and_go_share_the_accounts() {
    let mut scene = Scene::with_workers(1).await;
    let mut load = Load::start(&scene);
    for _ in 0..rounds() {
        load.all_live(&scene, Instant::now()).await;
        let begun = Instant::now();
        for place in &mut scene.places[1..] {
            place.start().await;
        }
        println!("from one to three: shared after {:?}", scene.shared().await);
        println!("  all live after {:?}", load.all_live(&scene, begun).await);
        load.check(&scene).await;
        nothing_moves(&scene).await;

        load.go_on(&scene);
        load.all_live(&scene, Instant::now()).await;
        let begun = Instant::now();
        for place in &mut scene.places[1..] {
            place.stop().await;
        }
        println!("from three to one: ended after {:?}", begun.elapsed());
        println!("  all live again after {:?}", load.all_live(&scene, begun).await);
        load.check(&scene).await;
        load.go_on(&scene);
    }
    load.check(&scene).await;
    scene.end().await;
}

/// Workers without work leave the accounts where they are, and tell each other nothing.
async fn nothing_moves(scene: &Scene) {
    let mut hints = PgListener::connect_with(&scene.pool).await.unwrap();
    let epochs = async || -> Vec<(Uuid, i64)> {
        let epochs = "SELECT sender_id, epoch FROM sender_leases ORDER BY sender_id";
        sqlx::query_as(epochs).fetch_all(&scene.pool).await.unwrap()
    };
    let before = epochs().await;
    hints.listen("integrations_hints").await.unwrap();
    let hint = tokio::time::timeout(IDLE, hints.recv()).await;
    assert!(hint.is_err(), "a hint without work: {hint:?}");
    assert_eq!(epochs().await, before, "accounts moved back and forth");
}
