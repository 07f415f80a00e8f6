//! What happens in the chats of an account.

use serde_json::{Value, json};
use store::{group::Commit as _, leases::Lease};
use telegram::{
    accounts::inbound::{Inbound, InboundEvent, StoreInbound, positions},
    mtproto::StreamPosition,
};
use uuid::Uuid;

use crate::common::app::{TestApp, id_of};
use crate::common::eventually;
use crate::people::{begin_phone, connected_with_friends, login_path, start};

/// How many of the stored events hold a text.
async fn times_stored(app: &TestApp, text: &str) -> i64 {
    let found = "SELECT count(*) FROM events WHERE data::text LIKE '%' || $1 || '%'";
    sqlx::query_scalar(found).bind(text).fetch_one(&app.pool).await.unwrap()
}

/// Whether one of the stored events holds a text.
async fn stored(app: &TestApp, text: &str) -> bool {
    times_stored(app, text).await > 0
}

#[tokio::test]
async fn a_message_is_told_live() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let mut events = app.events(&app.user, "", None).await;
    app.sim.accounts().deliver(friends[0], account.person.id, "good morning").unwrap();
    let event = events.until(|event| event.kind == "account.message_new").await.pop().unwrap();
    let data = &event.data["data"];
    assert_eq!(event.resource(), account.id.to_string());
    assert_eq!(
        (&data["chat_id"], &data["text"], &data["outgoing"]),
        (&json!(friends[0]), &json!("good morning"), &json!(false))
    );
}

#[tokio::test]
async fn what_came_while_the_account_was_away_is_told_after_the_restart() {
    let mut app = start().await;
    let (account, friends) = connected_with_friends(&app, 3).await;
    let mut events = app.events(&app.user, "", None).await;
    app.sim.accounts().deliver(friends[0], account.person.id, "heard").unwrap();
    let last = events.until(|event| event.data["data"]["text"] == "heard").await.pop().unwrap().id;
    app.stop_service().await;
    for n in 0..30 {
        app.sim.accounts().deliver(friends[n % 3], account.person.id, &format!("missed {n}")).unwrap();
    }
    app.start_service().await;
    app.sim.accounts().deliver(friends[0], account.person.id, "the end").unwrap();
    let mut events = app.events(&app.user, "", Some(&last)).await;
    let told = events.until(|event| event.data["data"]["text"] == "the end").await;
    let texts: Vec<&Value> = told
        .iter()
        .filter(|event| event.kind == "account.message_new")
        .map(|event| &event.data["data"]["text"])
        .collect();
    let mut expected: Vec<Value> = (0..30).map(|n| json!(format!("missed {n}"))).collect();
    expected.push(json!("the end"));
    assert_eq!(texts, expected.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn only_the_owner_of_an_account_stores_what_it_is_told() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    // The owner takes the lease once more when it goes on with the login's connection.
    app.sim.accounts().deliver(friends[0], account.person.id, "it goes on").unwrap();
    eventually("the owner takes updates", async || stored(&app, "it goes on").await).await;
    let owner = "SELECT worker_id, epoch FROM sender_leases WHERE sender_id = $1";
    let (worker_id, epoch): (Uuid, i64) = sqlx::query_as(owner).bind(account.id).fetch_one(&app.pool).await.unwrap();
    let login = "SELECT login_epoch FROM telegram_sessions WHERE id = $1";
    let login_epoch: i32 = sqlx::query_scalar(login).bind(account.id).fetch_one(&app.pool).await.unwrap();
    let told = |text: &str, epoch: i64, pts: i32| Inbound {
        lease: Lease { sender_id: account.id, epoch, held_seconds: None, connect_in_seconds: None },
        user_id: crate::common::app::USER,
        login_epoch,
        events: vec![InboundEvent::new("account.message_new", json!({ "text": text }))],
        moved: vec![StreamPosition { channel_id: 5, pts, ..StreamPosition::default() }],
    };
    let by = |worker_id| StoreInbound { pool: app.pool.clone(), worker_id };
    let place = async || {
        let known = positions(&app.pool, account.id, login_epoch).await.unwrap();
        known.iter().find(|position| position.channel_id == 5).map(|position| position.pts)
    };

    let late = by(worker_id).commit(&[told("of a former epoch", epoch - 1, 7)]).await.unwrap();
    let foreign = by(Uuid::now_v7()).commit(&[told("of another worker", epoch, 8)]).await.unwrap();
    assert_eq!((late, foreign), (vec![false], vec![false]));
    assert!(!stored(&app, "of a former epoch").await && !stored(&app, "of another worker").await);
    assert_eq!(place().await, None);

    for (text, pts) in [("said to the owner", 9), ("of the owner, later", 10)] {
        let told = told(text, epoch, pts);
        // The database took the first, but the answer was lost: it is given again.
        for _ in 0..2 {
            assert_eq!(by(worker_id).commit(std::slice::from_ref(&told)).await.unwrap(), [true]);
        }
        assert_eq!(times_stored(&app, text).await, 1);
        assert_eq!(place().await, Some(pts));
    }
    assert_eq!(positions(&app.pool, account.id, login_epoch + 1).await.unwrap(), [], "a new login begins anew");
}

#[tokio::test]
async fn what_came_during_a_break_of_the_line_is_told() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let mut events = app.events(&app.user, "", None).await;
    for n in 0..3 {
        app.sim.accounts().silence(Some(account.person.id), true).unwrap();
        app.sim.accounts().deliver(friends[0], account.person.id, &format!("lost on the line {n}")).unwrap();
        app.sim.accounts().cut(Some(account.person.id)).unwrap();
        let text = format!("lost on the line {n}");
        events.until(|event| event.data["data"]["text"] == text.as_str()).await;
    }
    assert_eq!(app.sim.accounts().counters().auth_key_duplicated, 0);
}

#[tokio::test]
async fn login_codes_are_not_stored() {
    let app = start().await;
    let (account, _) = connected_with_friends(&app, 0).await;
    let mut events = app.events(&app.user, "", None).await;
    // Telegram sends the code as a message to the account that is connected here.
    let login = begin_phone(&app.user, &account.person).await;
    assert_eq!(login["step"]["sent_via"], "app");
    let code = account.person.code(&app);
    let event = events.until(|event| event.kind == "account.message_new").await.pop().unwrap();
    assert_eq!((&event.data["data"]["chat_id"], &event.data["data"]["text"]), (&json!(777_000), &Value::Null));
    assert!(!stored(&app, &code).await);
    assert_eq!(app.user.delete(&login_path(&login)).await.status, 204);
    assert_eq!(id_of(&account.now(&app).await), account.id);
}
