//! What happens in the chats of an account.

use serde_json::{Value, json};

use crate::common::app::{TestApp, id_of};
use crate::people::{begin_phone, connected_with_friends, login_path, start};

/// Whether one of the stored events holds a text.
async fn stored(app: &TestApp, text: &str) -> bool {
    let found = "SELECT EXISTS (SELECT 1 FROM events WHERE data::text LIKE '%' || $1 || '%')";
    sqlx::query_scalar(found).bind(text).fetch_one(&app.pool).await.unwrap()
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
