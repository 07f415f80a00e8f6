//! The network breaks, and the service ends, in the middle of many sends.

use std::collections::HashSet;

use futures::future::join_all;
use serde_json::json;
use telegram_sim::mtproto::faults::{Action, Fault};
use telegram_sim::world::Filter;

use crate::common::app::TestApp;
use crate::common::eventually;
use crate::people::{Connected, connected_with_friends, start};

/// Sends so many different texts to the friends, which must be accepted.
pub async fn send_many(app: &TestApp, account: &Connected, friends: &[i64], count: usize) {
    let path = format!("{}/send", account.path());
    for begin in (0..count).step_by(100) {
        let requests = (begin..count.min(begin + 100)).map(|n| {
            let body = json!({ "chat_id": friends[n % friends.len()], "text": format!("text {n}") });
            let path = &path;
            async move { app.user.post(path, &body).await.ok(202) }
        });
        join_all(requests).await;
    }
}

/// How many texts of the account have arrived.
pub fn arrived(app: &TestApp, account: &Connected) -> usize {
    let filter = Filter { from: Some(account.person.id), ..Filter::default() };
    app.sim.world().lock().messages().find(&filter).count()
}

pub async fn until_arrived(app: &TestApp, account: &Connected, count: usize) {
    eventually(&format!("{count} have arrived"), async || arrived(app, account) >= count).await;
}

/// Nothing was lost and nothing doubled, neither by text nor by `random_id`, and the session was never used twice.
pub async fn each_arrived_once(app: &TestApp, account: &Connected, count: usize) {
    eventually("all are sent", async || {
        let sent = "SELECT count(*) FROM messages WHERE status = 'sent' AND sender_id = $1";
        let sent: i64 = sqlx::query_scalar(sent).bind(account.id).fetch_one(&app.pool).await.unwrap();
        sent == i64::try_from(count).unwrap()
    })
    .await;
    for n in 0..count {
        assert_eq!(app.arrived(&format!("text {n}")), 1, "text {n}");
    }
    let filter = Filter { from: Some(account.person.id), ..Filter::default() };
    let world = app.sim.world().lock();
    let random_ids: Vec<i64> = world.messages().find(&filter).map(|message| message.body.random_id.unwrap()).collect();
    assert_eq!((random_ids.len(), random_ids.iter().collect::<HashSet<_>>().len()), (count, count));
    drop(world);
    assert_eq!(app.sim.accounts().counters().auth_key_duplicated, 0);
}

#[tokio::test]
async fn cuts_in_the_middle_of_a_thousand_sends_lose_and_double_nothing() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 50).await;
    let sending = send_many(&app, &account, &friends, 1000);
    let cutting = async {
        for at in [50, 200, 400, 600, 800] {
            until_arrived(&app, &account, at).await;
            // Some are carried out without an answer, one is not, and everything on the wire is cut.
            let fault = |action| Fault::new("messages.sendMessage", action).for_user(account.person.id).times(1);
            app.sim.accounts().add_fault(fault(Action::TakeThenCut));
            until_arrived(&app, &account, at + 10).await;
            app.sim.accounts().add_fault(fault(Action::Cut));
            until_arrived(&app, &account, at + 20).await;
            app.sim.accounts().cut(Some(account.person.id)).unwrap();
        }
    };
    tokio::join!(sending, cutting);
    each_arrived_once(&app, &account, 1000).await;
    account.until(&app, "active").await;
}

#[tokio::test]
async fn an_orderly_restart_in_the_middle_loses_and_doubles_nothing() {
    let mut app = start().await;
    let (account, friends) = connected_with_friends(&app, 20).await;
    send_many(&app, &account, &friends, 300).await;
    until_arrived(&app, &account, 20).await;
    app.stop_service().await;
    app.start_service().await;
    each_arrived_once(&app, &account, 300).await;
}

#[tokio::test]
async fn a_telegram_that_starts_again_in_the_middle_loses_and_doubles_nothing() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 20).await;
    send_many(&app, &account, &friends, 200).await;
    until_arrived(&app, &account, 20).await;
    app.sim.accounts().restart(std::time::Duration::from_millis(300)).await.unwrap();
    each_arrived_once(&app, &account, 200).await;
}
