//! Workers that are cut from the database only, or from Telegram only.

use std::time::Instant;

use testservers::State;

use crate::load::Load;
use crate::rounds;
use crate::scene::{Scene, until};

/// What a worker says when it gives up its connections.
const FENCED: &str = "the worker drops its connections";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_without_the_database_drop_their_connections_and_come_back() {
    let scene = Scene::with_workers(3).await;
    let mut load = Load::start(&scene);
    load.all_live(&scene, Instant::now()).await;
    for round in 0..rounds() {
        let (cut, silent) = (round % 3, (round + 1) % 3);
        let begun = Instant::now();
        scene.places[cut].to_database().set(State::Cut);
        scene.places[silent].to_database().set(State::Silent);
        println!("two cut from the database: all live again after {:?}", load.all_live(&scene, begun).await);
        for place in [cut, silent] {
            let place = &scene.places[place];
            assert!(place.worker().has_said(FENCED));
            place.to_database().set(State::Open);
        }
        println!("  shared again {:?} after the way was mended", scene.shared().await);
        load.check(&scene).await;
        load.go_on(&scene);
    }
    load.check(&scene).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_are_kept_while_the_database_is_away_for_a_moment() {
    let scene = Scene::with_workers(3).await;
    let settings = scene.sim.accounts().settings();
    // So that there is always something on its way.
    scene.sim.accounts().set_settings(telegram_sim::mtproto::Settings { latency_ms: 500, ..settings });
    let mut load = Load::start(&scene);
    load.all_live(&scene, Instant::now()).await;
    let kept = "an outcome is kept until the database takes it";
    for place in &scene.places {
        place.to_database().set(State::Cut);
    }
    until("each worker keeps outcomes", async || scene.places.iter().all(|place| place.worker().has_said(kept))).await;
    for place in &scene.places {
        place.to_database().set(State::Open);
    }
    println!("a moment without the database: all live after {:?}", load.all_live(&scene, Instant::now()).await);
    load.check(&scene).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_without_telegram_give_their_accounts_to_others() {
    let scene = Scene::with_workers(3).await;
    let mut load = Load::start(&scene);
    load.all_live(&scene, Instant::now()).await;
    for round in 0..rounds() {
        for (state, place) in [(State::Cut, round % 3), (State::Silent, (round + 1) % 3)] {
            let begun = Instant::now();
            scene.places[place].to_telegram().set(state);
            println!("{state:?} from Telegram: all live again after {:?}", load.all_live(&scene, begun).await);
            scene.places[place].to_telegram().set(State::Open);
        }
        println!("  shared again {:?} after the way was mended", scene.shared().await);
        load.check(&scene).await;
        load.go_on(&scene);
    }
    load.check(&scene).await;
    scene.end().await;
}
