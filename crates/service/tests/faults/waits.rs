//! Waits that Telegram imposed, when the worker that was told of them is gone.

use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::json;
use sqlx::AssertSqlSafe;
use telegram_sim::mtproto::faults::Fault;
use telegram_sim::world::Filter;
use uuid::Uuid;

use crate::people::Person;
use crate::scene::{Scene, until};

/// Long enough for a crash and a move.
const WAIT: Duration = Duration::from_secs(20);

/// The place of the worker that owns an account.
async fn owner(scene: &Scene, account: Uuid) -> Option<usize> {
    let owner = "SELECT w.pid FROM sender_leases l JOIN workers w ON w.id = l.worker_id AND w.valid_until >= now()
                 WHERE l.sender_id = $1";
    let pid: Option<i32> = sqlx::query_scalar(owner).bind(account).fetch_optional(&scene.pool).await.unwrap();
    scene.places.iter().position(|place| pid.is_some() && place.pid() == pid)
}

/// Everybody is told that something about the account changed, as after a call of the API.
async fn changed(scene: &Scene, account: Uuid) {
    let hint = format!("c{}", account.simple());
    sqlx::query("SELECT pg_notify('integrations_hints', $1)").bind(hint).execute(&scene.pool).await.unwrap();
}

fn is_connected(scene: &Scene, person: &Person) -> bool {
    scene.sim.accounts().authorizations(person.user).iter().any(|authorization| authorization.connected)
}

/// Waits until a wait of this kind is kept for the account.
async fn until_kept(scene: &Scene, column: &str, account: Uuid) {
    let kept = format!("SELECT EXISTS (SELECT 1 FROM sender_leases WHERE sender_id = $1 AND {column} > now())");
    until(column, async || {
        sqlx::query_scalar(AssertSqlSafe(kept.clone())).bind(account).fetch_one(&scene.pool).await.unwrap()
    })
    .await;
}

/// Sends to a friend, who has written before.
async fn send(scene: &Scene, person: &Person, friend: i64, text: &str) {
    scene.sim.accounts().deliver(friend, person.user, "hello").unwrap();
    let path = format!("/api/integrations/telegram/accounts/{}/send", person.account);
    let (status, body) = scene.api.post(&path, &json!({ "chat_id": friend, "text": text }), None).await.unwrap();
    assert_eq!(status, 202, "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_a_crash_nor_a_move_nor_a_change_shortens_a_wait() {
    let mut scene = Scene::with_workers(2).await;
    let people = scene.people.clone();
    let (connecting, sending) = (&people[0], &people[1]);
    let first = owner(&scene, connecting.account).await.unwrap();
    let second = 1 - first;
    let flood = format!("FLOOD_WAIT_{}", WAIT.as_secs());
    let refuse = |method, person: &Person| {
        scene.sim.accounts().add_fault(Fault::error(method, 420, &flood).for_user(person.user).times(1));
    };
    let held = Utc::now();
    refuse("messages.sendMessage", sending);
    send(&scene, sending, sending.friends[0], "held, since it was refused").await;
    until_kept(&scene, "held_until", sending.account).await;
    send(&scene, sending, sending.friends[1], "held, as everything of the account").await;
    let refused = Instant::now();
    refuse("users.getUsers", connecting);
    // From now on nothing would be refused: whoever tries too early succeeds.
    scene.places[first].kill().await;
    until_kept(&scene, "connect_after", connecting.account).await;
    changed(&scene, connecting.account).await;

    scene.places[first].start().await;
    scene.places[second].kill().await;
    until("it is taken over", async || owner(&scene, connecting.account).await == Some(first)).await;
    println!("taken over after a crash {:?} after the wait began", refused.elapsed());
    changed(&scene, connecting.account).await;

    scene.places[second].start().await;
    scene.places[first].stop().await;
    until("it is taken over", async || owner(&scene, connecting.account).await == Some(second)).await;
    println!("taken over after a move {:?} after the wait began", refused.elapsed());
    changed(&scene, connecting.account).await;

    until("the account is connected", async || is_connected(&scene, connecting)).await;
    assert!(refused.elapsed() >= WAIT, "connected too early: {:?}", refused.elapsed());
    until("the messages are sent", async || {
        let sent = "SELECT count(*) FROM messages WHERE status = 'sent'";
        sqlx::query_scalar::<_, i64>(sent).fetch_one(&scene.pool).await.unwrap() == 2
    })
    .await;
    let filter = Filter { from: Some(sending.user), ..Filter::default() };
    let arrived: Vec<i64> = scene.sim.world().lock().messages().find(&filter).map(|sent| sent.arrived_ms).collect();
    let from = held.timestamp_millis() + i64::try_from(WAIT.as_millis()).unwrap();
    assert!(
        arrived.len() == 2 && arrived.iter().all(|at| *at >= from),
        "sent too early: {arrived:?}, not from {from} on"
    );
    assert_eq!(scene.sim.accounts().counters().auth_key_duplicated, 0, "a session was used from two places");
    scene.end().await;
}
