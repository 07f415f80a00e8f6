//! Keys are rotated by the command line, under load, by a service that is killed while everything is sealed anew.
//!
//! `KEYS_ROWS=50000` tries it with as many bots (and a tenth as many of everything else).

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use service::secrets::{Keyring, Sealer};
use sqlx::PgPool;

use crate::sealed_rows::{insert, open_all};
use crate::stage::{Stage, all_final};
use crate::support::{Api, Machine, until};

/// Bots with sealed tokens, beside those that send.
const ROWS: usize = 2000;
/// How often the service is killed.
const KILLS: usize = 3;

/// Rows that the current key has not sealed yet.
async fn left(pool: &PgPool, current: &str) -> i64 {
    let mut left = 0;
    for column in service::secrets::columns::COLUMNS {
        let counts = store::sealing::count(pool, column.place).await.unwrap();
        left += counts.iter().filter(|(key, _)| key != current).map(|(_, rows)| rows).sum::<i64>();
    }
    left
}

/// Rows that were sealed anew so far, as the service notes it.
async fn noted(pool: &PgPool) -> i64 {
    store::sealing::progress(pool).await.unwrap().iter().map(|progress| progress.done).sum()
}

/// Waits as long as many rows may take.
async fn patiently(machine: &Machine, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_mins(20), "{}", command(machine, &["keys", "status"]).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn command(machine: &Machine, arguments: &[&str]) -> String {
    let output = machine.output(arguments).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Sends through each bot, one message after the other, also over the ends of the service; how many were accepted.
fn load(stage: &Stage, api: &Api, stop: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<usize>> {
    let sending = stage.bots.iter().take(10).map(|(bot, telegram)| {
        let (api, stop, bot, chat) = (api.clone(), stop.clone(), *bot, telegram.chats[0]);
        tokio::spawn(async move {
            let mut accepted = 0;
            while !stop.load(Ordering::Relaxed) {
                // The same key again after an end: the message is accepted once.
                match api.offer(bot, chat, &format!("{bot}/{accepted}")).await {
                    Ok((202, _)) => accepted += 1,
                    Ok((503, _)) | Err(_) => {}
                    Ok((status, body)) => panic!("{status}: {body}"),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            accepted
        })
    });
    sending.collect()
}

#[tokio::test]
async fn a_rotation_goes_on_after_each_kill_and_loses_nothing() {
    let rows = std::env::var("KEYS_ROWS").map_or(ROWS, |rows| rows.parse().unwrap());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut stage = Stage::new().await;
    let machine = stage.machine().with("INTEGRATIONS_HTTP__BIND", free);
    let mut service = machine.serve().await;
    let api = Api::new(&service.url(), &machine.token().await);
    stage.connect_bots(&api).await;
    let options = service::postgres::running_options(&machine.data().canonicalize().unwrap());
    let pool = store::connect(options.clone(), 4).await.unwrap();
    sqlx::query("INSERT INTO users (id) VALUES (7) ON CONFLICT DO NOTHING").execute(&pool).await.unwrap();
    let keyring = machine.data().join("keyring.json");
    let sealer = || Sealer::local(Keyring::open(&keyring).unwrap());
    insert(&pool, &sealer(), rows).await;
    let before: usize = open_all(&pool, &sealer()).await.values().sum();

    let stop = Arc::new(AtomicBool::new(false));
    let sending = load(&stage, &api, &stop);
    let begun = Instant::now();
    let told = command(&machine, &["keys", "rotate"]).await;
    assert!(told.contains("local:2") && told.contains("seals now"), "{told}");
    for kill in 0..KILLS {
        let least = before / (KILLS + 1) * kill;
        patiently(&machine, async || usize::try_from(noted(&pool).await).unwrap() > least).await;
        service.kill().await;
        println!("killed after {} of {before} rows", noted(&pool).await);
        service = machine.serve().await;
    }
    patiently(&machine, async || left(&pool, "local:2").await == 0).await;
    println!("{before} rows of ten columns were sealed anew in {:?}, over {KILLS} kills", begun.elapsed());
    stop.store(true, Ordering::Relaxed);
    let mut accepted = 0;
    for sending in sending {
        accepted += sending.await.unwrap();
    }
    all_final(&api).await;
    // What was on the wire at a kill is unknown; nothing has failed, and nothing arrived twice.
    let (failed, _) = api.messages("failed", None).await;
    assert_eq!(failed, Vec::<serde_json::Value>::new());
    println!("{accepted} messages were accepted meanwhile");
    assert!(accepted > 0);
    let after = open_all(&pool, &sealer()).await;
    assert_eq!(after.into_iter().collect::<Vec<_>>(), [("local:2".to_owned(), before)]);
    until("the command shows it", async || command(&machine, &["keys", "status"]).await.contains("left     0")).await;
    let refused = machine.output(&["keys", "retire"]).await;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("try again in"), "{words}");
    pool.close().await;
    service.stop().await;
}
